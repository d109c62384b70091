//! What is written: a task per agent, as its clients' requests would come.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_agent::placement::Placement as Leaders;
use siltstone_agent::produce::{NewBatch, Placement};
use siltstone_log::{BatchMeta, PartitionId};
use siltstone_records::{BatchBuilder, NewRecord, Scratch};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval};

use crate::Failure;
use crate::args::Args;

/// How often each agent's clients send.
const TICK: Duration = Duration::from_millis(100);

/// The writers. They end when it is dropped.
pub(crate) struct Load {
    _tasks: JoinSet<()>,
    written: Arc<AtomicU64>,
}

impl Load {
    /// Begins to write to every partition at its rate, through the agent that leads it for clients of some zone.
    pub(crate) async fn begin(
        args: &Args,
        agents: &[Arc<Engine>],
        partitions: &[PartitionId],
    ) -> Result<Self, Failure> {
        let (bytes, meta) = batch(args.batch)?;
        let first = agents.first().ok_or("no agents")?;
        let leaders = Leaders::new(&first.agents(), "", args.shards);
        let mut shares: BTreeMap<i32, Vec<PartitionId>> = BTreeMap::new();
        for (index, partition) in partitions.iter().enumerate() {
            let zone = format!("zone-{}", index % args.zones);
            let leader = leaders.leader(*partition, Some(&zone)).ok_or("nobody leads")?;
            shares.entry(leader.node).or_default().push(*partition);
        }
        let busiest = shares.values().map(Vec::len).max().unwrap_or(0);
        println!("{} agents lead partitions, {busiest} at most", shares.len());
        let (mut tasks, written) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
        for agent in agents {
            let node = i32::try_from(agent.registration().node)?;
            let Some(share) = shares.remove(&node) else { continue };
            let writer = Writer {
                agent: agent.clone(),
                share,
                bytes: bytes.clone(),
                meta,
                per_tick: args.batches_per_second() * TICK.as_secs_f64(),
                written: written.clone(),
            };
            tasks.spawn(writer.run());
        }
        Ok(Load { _tasks: tasks, written })
    }

    /// Bytes of batches acknowledged so far.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }
}

struct Writer {
    agent: Arc<Engine>,
    share: Vec<PartitionId>,
    bytes: Bytes,
    meta: BatchMeta,
    /// Batches of one partition.
    per_tick: f64,
    written: Arc<AtomicU64>,
}

impl Writer {
    /// Partitions take turns, so that in each tick as many are written as their rate asks for.
    async fn run(self) {
        for partition in &self.share {
            let shard = self.agent.followers().of(*partition);
            if shard.load(&[*partition]).await.is_err() {
                return;
            }
        }
        let (mut ticks, begun) = (interval(TICK), Instant::now());
        let (mut next, mut sent, mut answers) = (0_usize, 0.0, JoinSet::new());
        loop {
            ticks.tick().await;
            let due =
                begun.elapsed().as_secs_f64() / TICK.as_secs_f64() * self.per_tick * self.share.len() as f64;
            let mut batches = Vec::new();
            while sent < due {
                batches.push(self.batch(self.share[next % self.share.len()]));
                (next, sent) = (next + 1, sent + 1.0);
            }
            if batches.is_empty() {
                continue;
            }
            let (count, written) = (batches.len() as u64 * self.bytes.len() as u64, self.written.clone());
            let ticket = self.agent.writer().append(1, batches, None, true);
            answers.spawn(async move {
                if ticket.outcomes().await.iter().all(Result::is_ok) {
                    written.fetch_add(count, Ordering::Relaxed);
                }
            });
            while answers.try_join_next().is_some() {}
        }
    }

    fn batch(&self, partition: PartitionId) -> NewBatch {
        NewBatch {
            partition,
            bytes: [self.bytes.clone(), Bytes::new()],
            meta: self.meta,
            compressed: false,
            placement: Placement::Auto,
            transaction: None,
        }
    }
}

fn batch(size: usize) -> Result<(Bytes, BatchMeta), Failure> {
    let value = vec![7; size.saturating_sub(100)];
    let mut builder = BatchBuilder::new();
    builder.push(&NewRecord { timestamp: 0, key: None, value: Some(&value), headers: &[] })?;
    let bytes = builder.build(&mut Scratch::new())?;
    let meta = BatchMeta {
        bytes: u32::try_from(bytes.len())?,
        records: 1,
        max_timestamp: 0,
        producer: None,
        transactional: false,
        void: false,
    };
    Ok((bytes, meta))
}
