//! The agents, and the partitions.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::produce::{BlockCompression, PolicySettings, WriteSettings};
use siltstone_log::{Configs, PartitionId};
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_metadata::catalog::NewTopic;
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_objects::{Objects, Options};
use siltstone_store::memory::{self, Faults, MemoryStore};
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::args::Args;
use crate::bucket::Bucket;

/// How long the metadata store takes for anything.
const METADATA: Duration = Duration::from_millis(2);
const PER_TOPIC: u32 = 1000;

struct Time(Instant);

impl Clock for Time {
    fn now(&self) -> i64 {
        1_750_000_000_000 + i64::try_from(self.0.elapsed().as_millis()).unwrap_or(0)
    }
}

struct Dice(Mutex<memory::Chance>);

impl Chance for Dice {
    fn next(&self) -> u128 {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(chance.any()) << 64 | u128::from(chance.any())
    }
}

/// Starts the first agent, which makes the cluster, then all others at once: each change of the roster has every agent compute who serves what.
pub(crate) async fn start(args: &Args) -> Result<Vec<Arc<Engine>>, Failure> {
    let store = MemoryStore::new(1, Faults { delay: METADATA..=METADATA, ..Faults::none() });
    let bucket = Arc::new(Bucket::default());
    let mut agents = Vec::with_capacity(args.agents);
    while agents.len() < args.agents {
        let count = if agents.is_empty() { 1 } else { args.agents - agents.len() };
        let starting = (agents.len()..agents.len() + count).map(|index| {
            let ambient = Ambient {
                clock: Arc::new(Time(Instant::now())),
                chance: Arc::new(Dice(Mutex::new(memory::Chance::new(index as u64 + 7)))),
            };
            let foundations = Foundations {
                store: siltstone_store::counted::counted(Arc::new(store.handle(index as u64 + 1000))),
                objects: Objects::from_store(bucket.clone(), "", &Options::default(), index as u64),
                ambient,
            };
            Engine::start(foundations, settings(args, index))
        });
        agents.extend(futures::future::try_join_all(starting).await?);
    }
    while agents.iter().any(|agent| agent.agents().len() < args.agents) {
        sleep(Duration::from_secs(1)).await;
    }
    Ok(agents)
}

/// The defaults of an agent on S3, but for memory.
fn settings(args: &Args, index: usize) -> EngineSettings {
    let policy = PolicySettings {
        flush_bytes: 8 << 20,
        flush_interval: Duration::from_millis(250),
        inline_bytes: 64 << 10,
        inline_bytes_per_second: f64::from(4 << 20),
        puts_per_second: 8.0,
        quiet: Duration::from_millis(2),
        max_uploads: 8,
        few_uploads: 1,
    };
    let write = WriteSettings {
        policy,
        compression: BlockCompression::Off,
        buffer_bytes: 64 << 20,
        upload_timeout: Duration::from_secs(60),
        patience: Duration::from_secs(10),
    };
    let checkpoint = CheckpointSettings {
        interval: Duration::from_secs(20),
        floor_lag: Duration::from_secs(60),
        lease: Duration::from_secs(60),
        producer_expiration: Duration::from_secs(86_400),
    };
    EngineSettings {
        // Named, so that none has to look for one that is free.
        node: index as u32 + 1,
        zone: format!("zone-{}", index % args.zones),
        host: format!("agent-{index}"),
        port: 9092,
        shards: args.shards,
        write,
        cache_bytes: 1 << 20,
        page_bytes: 256 << 10,
        block_bytes: None,
        checkpoint,
        lease: Duration::from_secs(6),
        exclusive: false,
        presence: Presence::default(),
    }
}

/// Makes the topics.
pub(crate) async fn partitions(args: &Args, agents: &[Arc<Engine>]) -> Result<Vec<PartitionId>, Failure> {
    let mut partitions = Vec::new();
    let mut left = args.partitions;
    while left > 0 {
        let count = left.min(PER_TOPIC);
        let topic = NewTopic {
            name: format!("topic-{:05}", partitions.len()),
            partitions: count,
            replication_factor: 3,
            configs: Configs::default(),
        };
        let row = agents[partitions.len() % agents.len()].changes().create(topic).await?;
        partitions.extend((0..count).map(|index| PartitionId { topic: row.id, index }));
        left -= count;
    }
    Ok(partitions)
}
