//! A cluster over the store in memory: agents that register, follow, append.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::{
    Append, BatchMeta, Block, BlockPlace, ClusterRow, Encoding, Entry, PartitionId, Position, ProducerMeta,
    RegistrationId, RegistrationRow, Role, SegmentId, SegmentPlace, ShardId, TopicRow,
};
use siltstone_store::memory::{self, Faults, MemoryStore};
use siltstone_store::{
    Commit, CommitError, Committed, KeyRange, Mutation, RangeLimit, Snapshot, Store, StoreError, Version,
    Watch,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::ambient::{Ambient, Chance, Clock};
use crate::catalog::{Changes, NewTopic};
use crate::checkpoint::{CheckpointSettings, Checkpointer};
use crate::follow::{Outcomes, OwnOutcome, Shard, ShardError};
use crate::keys::{self, registration, shard_log, shard_tick};
use crate::lease::{open_cluster, register};
use crate::shard::PartitionState;

pub const SHARD: ShardId = ShardId(0);

struct TestClock(Instant);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        1_000_000_000 + self.0.elapsed().as_millis() as i64
    }
}

struct TestChance(Mutex<memory::Chance>);

impl Chance for TestChance {
    fn next(&self) -> u128 {
        let mut chance = self.0.lock().unwrap();
        u128::from(chance.any()) << 64 | u128::from(chance.any())
    }
}

pub fn ambient(seed: u64) -> Ambient {
    let chance = TestChance(Mutex::new(memory::Chance::new(seed)));
    Ambient { clock: Arc::new(TestClock(Instant::now())), chance: Arc::new(chance) }
}

/// Waits for `holds`, up to an hour of virtual time.
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(3600);
    while !holds() {
        assert!(Instant::now() < deadline, "not within an hour: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

/// A database with a cluster in it.
pub struct Cluster {
    pub store: MemoryStore,
    pub shards: u16,
    pub changes: Changes,
}

impl Cluster {
    pub async fn new(shards: u16) -> Self {
        let store = MemoryStore::new(1, Faults::none());
        open_cluster(&store, &ambient(2), shards).await.unwrap();
        let changes = Changes::new(Arc::new(store.clone()), ambient(3), shards);
        Cluster { store, shards, changes }
    }

    /// One whose row says a level below this program's.
    pub async fn at_level(shards: u16, level: u32) -> Self {
        let cluster = Cluster::new(shards).await;
        let row = ClusterRow::decode(&cluster.get(&keys::cluster::key()).await.unwrap()).unwrap();
        let value = ClusterRow { level, ..row }.encode().into();
        cluster.put(vec![Mutation::Set { key: keys::cluster::key(), value }]).await;
        cluster
    }

    pub async fn topic(&self, name: &str, partitions: u32) -> TopicRow {
        self.changes.create(new_topic(name, partitions)).await.unwrap()
    }

    pub async fn agent(&self, n: u64) -> Agent {
        Agent::start(self, n, SHARD).await
    }

    /// Commits what can't fail.
    pub async fn put(&self, mutations: Vec<Mutation>) {
        self.store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    }

    /// Appends an entry's bytes to a shard, whatever they are.
    pub async fn append_bytes(&self, shard: ShardId, bytes: Vec<u8>) -> Position {
        let mutations = vec![shard_log::append(shard, 0, bytes), shard_tick::tick(shard)];
        let committed = self.store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
        Position::new(committed.stamp.0, 0)
    }

    pub async fn get(&self, key: &[u8]) -> Option<Bytes> {
        self.store.peek().get(key).await.unwrap()
    }

    /// All of a range, which must be small.
    pub async fn range(&self, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
        let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
        self.store.peek().range(range, limit).await.unwrap().entries
    }

    pub async fn log(&self, shard: ShardId) -> Vec<(Position, Entry)> {
        let all = self.range(&shard_log::after(shard, Position::ZERO)).await;
        let entry = |(key, value): (Bytes, Bytes)| {
            (shard_log::position(&key).unwrap(), Entry::decode(&value).unwrap())
        };
        all.into_iter().map(entry).collect()
    }

    pub fn snapshot(&self) -> Box<dyn Snapshot> {
        self.store.peek()
    }
}

pub fn new_topic(name: &str, partitions: u32) -> NewTopic {
    NewTopic { name: name.to_owned(), partitions, replication_factor: 1, configs: Default::default() }
}

/// What an agent is told of its own entries.
#[derive(Default)]
pub struct Told {
    pub outcomes: Mutex<Vec<OwnOutcome>>,
    pub reloads: Mutex<Vec<u64>>,
    /// Whether it says that it awaits some.
    pub awaited: AtomicBool,
    pub over: AtomicBool,
}

impl Outcomes for Told {
    fn folded(&self, _: ShardId, outcome: OwnOutcome) {
        self.outcomes.lock().unwrap().push(outcome);
    }

    fn reloaded(&self, _: ShardId, last_counter: u64) {
        self.reloads.lock().unwrap().push(last_counter);
    }

    fn awaits(&self, _: ShardId) -> bool {
        self.awaited.load(Ordering::SeqCst)
    }

    fn over(&self) {
        self.over.store(true, Ordering::SeqCst);
    }
}

/// A registered agent that follows one shard.
pub struct Agent {
    pub store: MemoryStore,
    pub own: RegistrationId,
    pub shard: Arc<Shard>,
    pub told: Arc<Told>,
    counter: AtomicU64,
    task: JoinHandle<()>,
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub fn registration_row(id: RegistrationId) -> RegistrationRow {
    RegistrationRow {
        id,
        node: id.0 as u32,
        started: 0,
        zone: String::new(),
        host: "localhost".to_owned(),
        port: 9092,
        lowest_level: 1,
        highest_level: u32::MAX,
        role: Role::Agent,
        listeners: Vec::new(),
        peer: None,
    }
}

impl Agent {
    pub async fn start(cluster: &Cluster, n: u64, shard: ShardId) -> Agent {
        let (store, own) = (cluster.store.handle(n), RegistrationId(u128::from(n)));
        store.set_faults(Faults::none());
        register(&store, &registration_row(own)).await.unwrap();
        let told = Arc::new(Told::default());
        let shard = Shard::alone(shard, cluster.shards, own, Arc::new(store.clone()), told.clone());
        let task = tokio::spawn(shard.clone().run());
        Agent { store, own, shard, told, counter: AtomicU64::new(0), task }
    }

    /// Like [`Agent::start`], with these partitions loaded.
    pub async fn loaded(cluster: &Cluster, n: u64, partitions: &[PartitionId]) -> Agent {
        let agent = cluster.agent(n).await;
        agent.shard.load(partitions).await.unwrap();
        agent
    }

    /// The next entry of this agent.
    pub fn entry(&self, blocks: Vec<Block>) -> Entry {
        let counter = self.counter.fetch_add(1, Ordering::SeqCst) + 1;
        let id = SegmentId { registration: self.own, number: counter };
        let segment = SegmentPlace { id, inline: false, length: 1 << 40 };
        Entry::Append(Append { registration: self.own, counter, at: 0, segment, blocks })
    }

    /// The transaction that appends `entry`, on the registration as of now.
    pub async fn commit_of(&self, entry: &Entry) -> Result<Commit, ShardError> {
        let stale = |_| ShardError::Stale(self.shard.id());
        let snapshot = self.store.snapshot().await.map_err(stale)?;
        let row = snapshot.get(&registration::key(self.own)).await.map_err(stale)?;
        assert!(row.is_some(), "registration {:?} is over", self.own);
        let id = self.shard.id();
        Ok(Commit {
            read_version: Some(snapshot.version()),
            reads: vec![KeyRange::key(registration::key(self.own))],
            mutations: vec![shard_log::append(id, 0, entry.encode()), shard_tick::tick(id)],
            ..Commit::default()
        })
    }

    /// Appends until the result is known.
    pub async fn append(&self, blocks: Vec<Block>) {
        let entry = self.entry(blocks);
        loop {
            let Ok(commit) = self.commit_of(&entry).await else { continue };
            match self.store.commit(commit).await {
                Ok(_) => return,
                Err(CommitError::TooLarge(why)) => panic!("{why}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        }
    }

    /// Appends `extents` blocks of one record each to a partition.
    pub async fn extents(&self, partition: PartitionId, extents: usize) {
        let blocks = (0..extents).map(|n| block(partition, n as u64 * 10, &[plain(1)])).collect();
        self.append(blocks).await;
        self.shard.fresh().await.unwrap();
    }

    pub fn with<R>(&self, id: PartitionId, f: impl FnOnce(&PartitionState) -> R) -> R {
        self.shard.partition(id, f).unwrap()
    }

    pub fn next(&self, id: PartitionId) -> i64 {
        self.with(id, PartitionState::next)
    }

    /// Row bytes of these partitions, fresh, without what differs by when they were loaded.
    pub async fn rows(&self, partitions: &[PartitionId]) -> Vec<Vec<u8>> {
        self.shard.fresh().await.unwrap();
        self.shard.load(partitions).await.unwrap();
        let row = |id: &PartitionId| {
            let row = self.with(*id, |partition| partition.row().clone());
            siltstone_log::PartitionRow { horizon: Position::ZERO, last_chunk: None, aborted: None, ..row }
                .encode()
        };
        partitions.iter().map(row).collect()
    }

    pub fn checkpointer(&self, settings: CheckpointSettings) -> Checkpointer {
        let store = Arc::new(self.store.clone());
        Checkpointer::new(self.shard.clone(), store, self.own, settings, ambient(self.own.0 as u64))
    }

    pub fn position(&self) -> Position {
        self.shard.read(|state| state.position()).unwrap()
    }

    pub fn dirty(&self) -> BTreeSet<PartitionId> {
        self.shard.checkpoint_view(|_, dirty, _| dirty.partitions.keys().copied().collect()).unwrap()
    }
}

pub fn id(topic: &TopicRow, index: u32) -> PartitionId {
    PartitionId { topic: topic.id, index }
}

pub fn plain(records: u32) -> BatchMeta {
    BatchMeta { bytes: 10, records, max_timestamp: 0, producer: None, transactional: false, void: false }
}

pub fn of(producer: i64, first_sequence: i32, records: u32) -> BatchMeta {
    BatchMeta { producer: Some(ProducerMeta { id: producer, epoch: 0, first_sequence }), ..plain(records) }
}

pub fn block(partition: PartitionId, start: u64, batches: &[BatchMeta]) -> Block {
    let length = batches.iter().map(|batch| batch.bytes).sum();
    let place = BlockPlace { start, length, encoding: Encoding::Plain };
    Block { partition, place, batches: batches.to_vec() }
}

/// A store whose commits wait at a gate.
pub struct Gated {
    store: MemoryStore,
    pub open: Arc<watch::Sender<bool>>,
}

impl Gated {
    /// Open at first.
    pub fn new(store: &MemoryStore) -> Arc<Self> {
        Arc::new(Gated { store: store.clone(), open: Arc::new(watch::Sender::new(true)) })
    }
}

#[async_trait]
impl Store for Gated {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot().await
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        self.store.snapshot_at(version).await
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.open.subscribe().wait_for(|open| *open).await.expect("the gate stays");
        self.store.commit(commit).await
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        self.store.watch(key).await
    }
}
