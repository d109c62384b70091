//! An agent and a compactor over stores in memory, in virtual time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::fetch::{FetchPartition, FetchSpec};
use siltstone_agent::produce::{BlockCompression, NewBatch, Placement, PolicySettings, WriteSettings};
use siltstone_compactor::settings::{CompactorSettings, MergeRules};
use siltstone_compactor::worker::{Compactor, Worker};
use siltstone_log::{BatchMeta, PartitionId, TopicRow, mix64};
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_metadata::catalog::NewTopic;
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_metadata::shard::Verdict;
use siltstone_objects::testing::FaultyStore;
use siltstone_objects::{Objects, Options};
use siltstone_records::{BatchBuilder, NewRecord, Scratch};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{KeyRange, RangeLimit};
use tokio::time::Instant;

pub const GRACE: Duration = Duration::from_secs(5);
const EPOCH: i64 = 1_750_000_000_000;

/// Goes with virtual time.
struct Clocks(Instant);

impl Clock for Clocks {
    fn now(&self) -> i64 {
        EPOCH + self.0.elapsed().as_millis() as i64
    }
}

struct Numbers(AtomicU64);

impl Chance for Numbers {
    fn next(&self) -> u128 {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        u128::from(mix64(n)) << 64 | u128::from(mix64(!n))
    }
}

pub struct Setup {
    pub store: MemoryStore,
    pub bucket: Arc<FaultyStore>,
    pub engine: Arc<Engine>,
    pub worker: Worker,
    pub compactor: Compactor,
    pub ambient: Ambient,
    sent: Mutex<u64>,
}

pub fn compactor_settings() -> CompactorSettings {
    CompactorSettings {
        interval: Duration::from_secs(1),
        merge: MergeRules {
            target_bytes: 256 << 10,
            block_bytes: 16 << 10,
            leave_bytes: 1 << 20,
            fan_in: 4,
            wait: Duration::from_secs(3),
            inline_bytes: 64 << 10,
            flushed_segments: 1000,
        },
        grace: GRACE,
        ..CompactorSettings::default()
    }
}

fn engine_settings() -> EngineSettings {
    let ms = Duration::from_millis;
    EngineSettings {
        node: 1,
        zone: String::new(),
        host: "localhost".into(),
        port: 9092,
        shards: 3,
        write: WriteSettings {
            policy: PolicySettings::local(),
            compression: BlockCompression::Off,
            buffer_bytes: 8 << 20,
            upload_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(10),
        },
        cache_bytes: 1 << 20,
        page_bytes: 64 << 10,
        block_bytes: None,
        checkpoint: CheckpointSettings {
            interval: ms(500),
            floor_lag: ms(1500),
            lease: ms(2000),
            ..CheckpointSettings::default()
        },
        lease: Duration::from_secs(10),
        exclusive: false,
        presence: Presence::default(),
    }
}

impl Setup {
    pub async fn new() -> Setup {
        let store = MemoryStore::new(1, Faults::none());
        let bucket = Arc::new(FaultyStore::new(1));
        let chance = Arc::new(Numbers(AtomicU64::new(1)));
        let ambient = Ambient { clock: Arc::new(Clocks(Instant::now())), chance };
        let objects = || Objects::from_store(bucket.clone(), "", &Options::default(), 1);
        let foundations =
            Foundations { store: Arc::new(store.clone()), objects: objects(), ambient: ambient.clone() };
        let engine = Engine::start(foundations, engine_settings()).await.unwrap();
        let compactor = Compactor {
            store: Arc::new(store.clone()),
            objects: objects(),
            ambient: ambient.clone(),
            settings: compactor_settings(),
        };
        let worker = Worker::begin(&compactor).await.unwrap();
        Setup { store, bucket, engine, worker, compactor, ambient, sent: Mutex::new(0) }
    }

    /// One more agent of the cluster.
    pub async fn agent(&self, node: u32) -> Arc<Engine> {
        let objects = Objects::from_store(self.bucket.clone(), "", &Options::default(), u64::from(node));
        let (store, ambient) = (Arc::new(self.store.clone()), self.ambient.clone());
        let foundations = Foundations { store, objects, ambient };
        Engine::start(foundations, EngineSettings { node, ..engine_settings() }).await.unwrap()
    }

    /// The worker dies, and another comes.
    pub async fn new_worker(&mut self) {
        self.worker = Worker::begin(&self.compactor).await.unwrap();
    }

    pub async fn topic(&self, name: &str, partitions: u32, configs: &[(&str, &str)]) -> TopicRow {
        let configs = configs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let new = NewTopic { name: name.into(), partitions, replication_factor: 1, configs };
        self.engine.changes().create(new).await.unwrap()
    }

    /// Writes a batch of one record to each of these partitions, in one flush.
    pub async fn write(&self, partitions: &[PartitionId], placement: Placement, value_bytes: usize) {
        let mut batches = Vec::new();
        for partition in partitions {
            self.engine.followers().load(&[*partition]).await.unwrap();
            batches.push(self.batch(*partition, placement, value_bytes));
        }
        let bytes = batches.iter().map(|batch| batch.meta.bytes as usize).sum();
        let room = self.engine.writer().budget().reserve(bytes).await;
        for outcome in self.engine.writer().append(1, batches, Some(room), true).outcomes().await {
            assert!(matches!(outcome, Ok(Verdict::Appended { .. })), "{outcome:?}");
        }
    }

    fn batch(&self, partition: PartitionId, placement: Placement, value_bytes: usize) -> NewBatch {
        let number = {
            let mut sent = self.sent.lock().unwrap();
            *sent += 1;
            *sent
        };
        // Nothing that compresses.
        let value: Vec<u8> = (0..value_bytes as u64).map(|at| mix64(number << 32 | at) as u8).collect();
        let timestamp = self.ambient.clock.now();
        let mut builder = BatchBuilder::new();
        let record = NewRecord { timestamp, key: Some(b"k"), value: Some(&value), headers: &[] };
        builder.push(&record).unwrap();
        let bytes = builder.build(&mut Scratch::new()).unwrap();
        let meta = BatchMeta {
            bytes: bytes.len() as u32,
            records: 1,
            max_timestamp: timestamp,
            producer: None,
            transactional: false,
            void: false,
        };
        let bytes = [bytes, Bytes::new()];
        NewBatch { partition, bytes, meta, compressed: false, placement, transaction: None }
    }

    /// Reads a partition from `offset` to its end: what follows the base offset in each batch, by offset.
    pub async fn read(&self, partition: PartitionId, offset: i64) -> Vec<(i64, Bytes)> {
        let mut all: Vec<(i64, Bytes)> = Vec::new();
        let mut next = offset;
        loop {
            let wanted = FetchPartition { partition, offset: next, max_bytes: 20_000 };
            let spec = FetchSpec {
                partitions: vec![wanted],
                committed: false,
                min_bytes: 0,
                max_bytes: 1 << 20,
                max_wait: Duration::ZERO,
            };
            let result = self.engine.reader().fetch(&spec).await.remove(0);
            let bytes: Bytes = result.records.unwrap().concat().into();
            if bytes.is_empty() {
                return all;
            }
            for batch in siltstone_records::batches(bytes) {
                let batch = batch.unwrap();
                assert!(batch.crc_is_valid());
                next = batch.last_offset() + 1;
                all.push((batch.base_offset, batch.bytes().slice(16..)));
            }
        }
    }

    /// Lets so much time pass, with a pass of the compactor every second.
    pub async fn work(&mut self, seconds: u64) {
        for _ in 0..seconds {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.worker.pass().await.unwrap();
        }
    }

    pub async fn keys(&self, range: KeyRange) -> usize {
        let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
        self.store.peek().range(&range, limit).await.unwrap().entries.len()
    }
}

pub fn ids(topic: &TopicRow) -> Vec<PartitionId> {
    (0..topic.partitions).map(|index| PartitionId { topic: topic.id, index }).collect()
}
