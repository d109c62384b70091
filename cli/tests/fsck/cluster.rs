//! A cluster in this process: an agent, a compactor, stores in memory, time that passes only when all wait.
#![allow(clippy::unwrap_used, reason = "a test's helper: a failure here is the test's")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::produce::{
    BatchTransaction, BlockCompression, NewBatch, Placement, PolicySettings, WriteSettings,
};
use siltstone_compactor::compact::plan::Settings;
use siltstone_compactor::context::Context;
use siltstone_compactor::fsck::finding::{Finding, Kind};
use siltstone_compactor::fsck::repair::{Repaired, repair};
use siltstone_compactor::fsck::report::Report;
use siltstone_compactor::fsck::{Options, Unwatched, fsck};
use siltstone_compactor::settings::{CompactRules, CompactorSettings, MergeRules};
use siltstone_compactor::worker::{Compactor, Worker};
use siltstone_configs::{BrokerConfig, BrokerLayers, Overrides};
use siltstone_log::{
    BatchMeta, Extent, PartitionId, RegistrationId, SegmentId, TopicId, decode_extents, shard_of,
};

use siltstone_log::{PartitionRow, ProducerMeta};
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::NewTopic;
use siltstone_metadata::checkpoint::CheckpointSettings;
use siltstone_metadata::keys::{cleaned, extent_chunk, partition_row, parts};
use siltstone_metadata::transaction::{EndRequest, InitRequest};
use siltstone_metadata::trim;
use siltstone_objects::{Environment, Objects};
use siltstone_records::{BatchBuilder, NewRecord, Producer, Scratch};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{Commit, Entry, KeyRange, Mutation, RangeLimit, Store};
use tokio::time::{Instant, sleep};

const NOW: i64 = 1_700_000_000_000;
/// A transactional id.
const ID: &str = "someone";
const PATIENCE: Duration = Duration::from_secs(60);

pub struct Cluster {
    store: MemoryStore,
    foundations: Foundations,
    shards: u16,
    engine: Option<Arc<Engine>>,
    worker: Option<Worker>,
    number: u64,
}

fn checkpoints() -> CheckpointSettings {
    CheckpointSettings {
        interval: Duration::from_millis(200),
        floor_lag: Duration::from_millis(300),
        lease: Duration::from_secs(2),
        producer_expiration: Duration::from_secs(3600),
    }
}

fn compactor(wait: Duration) -> CompactorSettings {
    CompactorSettings {
        merge: MergeRules {
            target_bytes: 4000,
            fan_in: 3,
            wait,
            inline_bytes: 1 << 20,
            ..MergeRules::default()
        },
        grace: Duration::from_secs(1),
        compact: CompactRules {
            plan: Settings { small_bytes: 0, small_wait_ms: 0 },
            look: Duration::ZERO,
            ..CompactRules::default()
        },
        ..CompactorSettings::default()
    }
}

impl Cluster {
    pub async fn start(shards: u16) -> Cluster {
        let store = MemoryStore::new(1, Faults::none());
        let objects = Objects::open("memory://", &Default::default(), &Environment::of_process(), 1).unwrap();
        let ambient = Ambient::fixed(NOW);
        let foundations = Foundations { store: Arc::new(store.clone()), objects, ambient };
        let mut cluster = Cluster { store, foundations, shards, engine: None, worker: None, number: 0 };
        cluster.resume().await;
        cluster
    }

    /// An agent and a compactor that merges whatever there is.
    pub async fn resume(&mut self) {
        let settings = EngineSettings {
            node: 1,
            zone: String::new(),
            host: "127.0.0.1".into(),
            port: 9092,
            shards: self.shards,
            write: WriteSettings {
                policy: PolicySettings::local(),
                compression: BlockCompression::Off,
                buffer_bytes: 32 << 20,
                upload_timeout: Duration::from_secs(10),
                patience: Duration::from_secs(10),
            },
            cache_bytes: 16 << 20,
            page_bytes: 256 << 10,
            block_bytes: None,
            checkpoint: checkpoints(),
            lease: Duration::from_secs(10),
            exclusive: true,
            presence: Presence::default(),
        };
        self.engine = Some(Engine::start(self.foundations.clone(), settings).await.unwrap());
        self.compact(Duration::ZERO).await;
    }

    async fn compact(&mut self, wait: Duration) {
        if let Some(worker) = self.worker.take() {
            worker.end().await;
        }
        let Foundations { store, objects, ambient } = self.foundations.clone();
        let compactor = Compactor { store, objects, ambient, settings: compactor(wait) };
        self.worker = Some(Worker::begin(&compactor).await.unwrap());
    }

    /// From now on what was flushed waits.
    pub async fn patient(&mut self) {
        self.compact(Duration::from_secs(1 << 30)).await;
    }

    fn engine(&self) -> &Arc<Engine> {
        self.engine.as_ref().unwrap()
    }

    pub async fn topic(&self, name: &str, partitions: u32) -> TopicId {
        self.topic_with(name, partitions, &[]).await
    }

    pub async fn topic_with(&self, name: &str, partitions: u32, configs: &[(&str, &str)]) -> TopicId {
        let configs = configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let new = NewTopic { name: name.into(), partitions, replication_factor: 1, configs };
        let row = self.engine().changes().create(new).await.unwrap();
        self.engine().catalog().fresh().await.unwrap();
        row.id
    }

    pub async fn delete(&self, name: &str) {
        let topic = self.engine().catalog().fresh().await.unwrap().topic(name).unwrap().id;
        self.engine().changes().delete(name, topic).await.unwrap();
    }

    /// One batch of so many records.
    pub async fn produce(&mut self, topic: TopicId, index: u32, placement: Placement, records: u32) {
        self.write(PartitionId { topic, index }, placement, records, None).await;
    }

    /// A transaction of one batch in each partition, ended so.
    pub async fn transaction(&mut self, partitions: &[PartitionId], placement: Placement, commit: bool) {
        let nothing = Overrides::new();
        let layers = BrokerLayers { broker: &nothing, cluster: &nothing, fixed: &nothing };
        let config = BrokerConfig::resolve(layers);
        let request = InitRequest { held: None, timeout_ms: 60_000 };
        let (producer_id, epoch) = self.engine().transactions().init(&config, ID, request).await.unwrap();
        for partition in partitions {
            self.write(*partition, placement, 2, Some((producer_id, epoch))).await;
        }
        let request = EndRequest { producer_id, epoch, commit, raises: true };
        self.engine().transactions().end(ID, request).await.unwrap();
    }

    /// A batch, the producer's first in its epoch.
    async fn write(
        &mut self,
        partition: PartitionId,
        placement: Placement,
        records: u32,
        producer: Option<(i64, i16)>,
    ) {
        self.number += 1;
        let mut builder = BatchBuilder::new().transactional(producer.is_some());
        if let Some((id, epoch)) = producer {
            builder = builder.producer(Producer { id, epoch, base_sequence: 0 });
        }
        for record in 0..records {
            let (timestamp, value) =
                (NOW + i64::from(record), format!("{} {record} {:100}", self.number, ""));
            let (key, value) = (format!("k{record}"), Some(value.as_bytes()));
            builder.push(&NewRecord { timestamp, key: Some(key.as_bytes()), value, headers: &[] }).unwrap();
        }
        let bytes = builder.build(&mut Scratch::default()).unwrap();
        let meta = BatchMeta {
            bytes: bytes.len() as u32,
            records,
            max_timestamp: NOW + i64::from(records) - 1,
            producer: producer.map(|(id, epoch)| ProducerMeta { id, epoch, first_sequence: 0 }),
            transactional: producer.is_some(),
            void: false,
        };
        let bytes = [bytes, Bytes::new()];
        let transaction = producer.map(|_| BatchTransaction { id: ID.into(), implicit: true });
        let batch = NewBatch { partition, bytes, meta, compressed: false, placement, transaction };
        self.engine().followers().load(&[partition]).await.unwrap();
        let outcomes = self.engine().writer().append(1, vec![batch], None, false).outcomes().await;
        assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    }

    pub async fn trim(&self, topic: TopicId, index: u32, offset: i64) {
        let partition = PartitionId { topic, index };
        let Foundations { store, ambient, .. } = &self.foundations;
        trim::trim(store.as_ref(), ambient, self.shards, &[(partition, offset)]).await.unwrap();
    }

    /// Lets checkpoints pass, and the floor, too.
    pub async fn checkpoint(&self) {
        sleep(Duration::from_secs(2)).await;
    }

    pub async fn pass(&mut self) {
        self.worker.as_mut().unwrap().pass().await.unwrap();
    }

    /// Checkpoints and passes, so many of each.
    pub async fn work(&mut self, rounds: usize) {
        for _ in 0..rounds {
            self.checkpoint().await;
            self.pass().await;
        }
    }

    pub async fn stop(&mut self) {
        if let Some(worker) = self.worker.take() {
            worker.end().await;
        }
        if let Some(engine) = self.engine.take() {
            engine.stop(PATIENCE).await;
        }
    }

    fn context(&self) -> Context {
        self.context_over(self.foundations.store.clone())
    }

    fn context_over(&self, store: Arc<dyn Store>) -> Context {
        let Foundations { objects, ambient, .. } = self.foundations.clone();
        Context::new(store, objects, ambient, RegistrationId(0), self.shards, compactor(Duration::ZERO))
    }

    pub async fn report(&self, deep: bool) -> Report {
        let options = Options { deep, pause: Duration::from_millis(1) };
        fsck(&self.context(), options, &Unwatched).await.unwrap()
    }

    /// Looks one after the other, by a reader to whom the metadata is slow and whose snapshots don't last.
    pub fn slow_looks(&self, count: usize) -> impl Future<Output = Vec<Report>> + Send + 'static {
        let store = self.store.handle(7);
        let delay = Duration::from_millis(1)..=Duration::from_millis(80);
        store.set_faults(Faults { delay, read_too_old: 0.1, ..Faults::none() });
        let cx = self.context_over(Arc::new(store));
        async move {
            let mut reports = Vec::new();
            for _ in 0..count {
                reports
                    .push(fsck(&cx, Options { deep: true, ..Options::default() }, &Unwatched).await.unwrap());
            }
            reports
        }
    }

    /// A moment in which others go on.
    pub async fn nap(&self) {
        sleep(Duration::from_millis(150)).await;
    }

    pub async fn found(&self, deep: bool) -> Vec<Finding> {
        self.report(deep).await.findings
    }

    pub async fn repair(&self, report: &Report) -> Vec<Repaired> {
        repair(&self.context(), report).await.unwrap()
    }

    pub async fn commit(&self, mutations: Vec<Mutation>) {
        self.store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    }

    pub async fn restore(&self, entries: Vec<Entry>) {
        self.commit(entries.into_iter().map(|(key, value)| Mutation::Set { key, value }).collect()).await;
    }

    pub async fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.store.peek().get(key).await.unwrap()
    }

    pub async fn range(&self, range: &KeyRange) -> Vec<Entry> {
        self.store.peek().range(range, RangeLimit::default()).await.unwrap().entries
    }

    pub async fn row_of(&self, partition: PartitionId) -> PartitionRow {
        let prefix = partition_row::prefix(shard_of(partition, self.shards), partition);
        let bytes = parts::get(self.store.peek().as_ref(), &prefix).await.unwrap().unwrap();
        PartitionRow::decode(&bytes).unwrap()
    }

    /// Whether a partition was compacted by key.
    pub async fn cleaned(&self, partition: PartitionId) -> bool {
        self.get(&cleaned::key(shard_of(partition, self.shards), partition)).await.is_some()
    }

    pub async fn put(&self, name: &str, bytes: Bytes) {
        self.foundations.objects.put(name, vec![bytes], Instant::now() + PATIENCE).await.unwrap();
    }

    pub async fn delete_object(&self, id: SegmentId) {
        let names = vec![id.object_name()];
        self.foundations.objects.delete(names, Instant::now() + PATIENCE).await.unwrap();
    }

    /// The object in which an extent lies.
    pub async fn segment_of(&self, extent: &Extent) -> (SegmentId, Bytes) {
        let place = extent.segment().unwrap();
        let (name, all) = (place.id.object_name(), 0..place.length);
        (place.id, self.foundations.objects.get(&name, all, Instant::now() + PATIENCE).await.unwrap())
    }
}

/// A partition's extents.
pub async fn extents_of(cluster: &Cluster, partition: PartitionId) -> Vec<Extent> {
    let all = extent_chunk::between(shard_of(partition, cluster.shards), partition, 0, i64::MAX);
    let chunks = cluster.range(&all).await;
    chunks.iter().flat_map(|(_, value)| decode_extents(value).unwrap()).collect()
}

pub fn kinds(found: &[Finding]) -> BTreeMap<Kind, usize> {
    let mut kinds = BTreeMap::new();
    found.iter().for_each(|one| *kinds.entry(one.kind).or_default() += 1);
    kinds
}
