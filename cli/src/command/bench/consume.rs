//! The reading half of the benchmark.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_records::Scratch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::BenchArgs;
use super::load;
use super::report::{Meter, Report, Until};
use crate::client::{Client, Consumer, ConsumerOptions, EARLIEST, LATEST, Polled, Topic};
use crate::failure::{Failure, Outcome};

/// The most that a batch may be when decompressed.
const LARGEST_BATCH: usize = 1 << 30;
/// How long a follower waits for the last records.
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(5);

type Offsets = BTreeMap<i32, i64>;

async fn offsets(client: &Client, topic: &Topic, time: i64) -> Result<Offsets, Failure> {
    let wanted: Vec<(i32, i64)> = topic.partitions.iter().map(|partition| (partition.index, time)).collect();
    Ok(client.offsets(&topic.name, &wanted).await?.into_iter().map(|at| (at.partition, at.offset)).collect())
}

/// Partitions dealt out to the consumers, without those that `keep` drops.
fn shares(args: &BenchArgs, from: &Offsets, keep: impl Fn(i32) -> bool) -> Vec<Offsets> {
    let mut shares = vec![Offsets::new(); usize::from(args.consumers)];
    let count = shares.len();
    for (at, (partition, offset)) in from.iter().filter(|(partition, _)| keep(**partition)).enumerate() {
        shares[at % count].insert(*partition, *offset);
    }
    shares.retain(|share| !share.is_empty());
    shares
}

/// Reads all that the topic holds.
pub(super) async fn measure(args: &BenchArgs, client: &Client, topic: &Topic) -> Result<Report, Failure> {
    let (first, ends) = (offsets(client, topic, EARLIEST).await?, offsets(client, topic, LATEST).await?);
    let total: i64 =
        ends.iter().map(|(partition, end)| end - first.get(partition).copied().unwrap_or(0)).sum();
    let meter = Meter::new();
    let shown = meter.show("consume", Until::Records(u64::try_from(total).unwrap_or(0)));
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    let unread = |partition: i32| first.get(&partition) < ends.get(&partition);
    for share in shares(args, &first, unread) {
        let ends = share.keys().filter_map(|partition| Some((*partition, *ends.get(partition)?))).collect();
        tasks.spawn(read(args.clone(), topic.clone(), share, ends, meter.clone()));
    }
    while let Some(done) = tasks.join_next().await {
        done.map_err(|error| Failure::new(format!("a consumer ended unexpectedly: {error}")))??;
    }
    drop(shown);
    Ok(meter.report("consume", began))
}

async fn read(args: BenchArgs, topic: Topic, from: Offsets, mut missing: Offsets, meter: Meter) -> Outcome {
    let client = args.server.client();
    client.topic(&topic.name, false).await?;
    let mut consumer = Consumer::open(&client, &topic.name, from, ConsumerOptions::default());
    let mut scratch = Scratch::new();
    while !missing.is_empty() {
        let Some(polled) = consumer.next().await else { break };
        let polled = polled?;
        count(&polled, &meter, &mut scratch, false)?;
        if missing.get(&polled.partition).is_some_and(|end| polled.end() >= *end) {
            missing.remove(&polled.partition);
        }
    }
    Ok(())
}

/// Walks all records, as every consumer must.
fn count(polled: &Polled, meter: &Meter, scratch: &mut Scratch, timed: bool) -> Outcome {
    let (mut records, mut bytes, mut latencies) = (0, 0, Vec::new());
    let now = Instant::now();
    for batch in polled.batches.iter().filter(|batch| !batch.attributes.is_control()) {
        if !batch.crc_is_valid() {
            return Err(Failure::new(format!("partition {}: a checksum does not match", polled.partition)));
        }
        let found = batch.records(LARGEST_BATCH, scratch).map_err(|error| Failure::new(error.to_string()))?;
        for record in &found {
            let record = record.map_err(|error| Failure::new(error.to_string()))?;
            let value = record.value.unwrap_or_default();
            let due = if timed { load::due(value) } else { None };
            if record.offset < polled.from || (timed && due.is_none()) {
                continue;
            }
            records += 1;
            bytes += value.len() as u64;
            latencies.extend(due.map(|due| now.saturating_duration_since(due)));
        }
    }
    meter.count(records, bytes, latencies.into_iter());
    Ok(())
}

/// Consumers that read what is being written.
pub(super) struct Follower {
    meter: Meter,
    began: Instant,
    tasks: JoinSet<Outcome>,
}

impl Follower {
    pub(super) async fn start(args: &BenchArgs, client: &Client, topic: &Topic) -> Result<Follower, Failure> {
        load::begin();
        let (meter, mut tasks) = (Meter::new(), JoinSet::new());
        for share in shares(args, &offsets(client, topic, LATEST).await?, |_| true) {
            tasks.spawn(follow(args.clone(), topic.clone(), share, meter.clone()));
        }
        Ok(Follower { meter, began: Instant::now(), tasks })
    }

    /// Waits until all `records` have come.
    pub(super) async fn finish(mut self, records: u64) -> Result<Report, Failure> {
        let until = Instant::now() + PATIENCE;
        while self.meter.records() < records {
            if let Some(ended) = self.tasks.try_join_next() {
                ended.map_err(|error| Failure::new(format!("a consumer ended unexpectedly: {error}")))??;
            }
            if Instant::now() >= until {
                let came = self.meter.records();
                return Err(Failure::new(format!("only {came} of {records} records came back within 60 s")));
            }
            tokio::time::sleep(LOOK).await;
        }
        Ok(self.meter.report("roundtrip", self.began))
    }
}

async fn follow(args: BenchArgs, topic: Topic, from: Offsets, meter: Meter) -> Outcome {
    let client = args.server.client();
    client.topic(&topic.name, false).await?;
    let mut consumer = Consumer::open(&client, &topic.name, from, ConsumerOptions::default());
    let mut scratch = Scratch::new();
    while let Some(polled) = consumer.next().await {
        count(&polled?, &meter, &mut scratch, true)?;
    }
    Ok(())
}
