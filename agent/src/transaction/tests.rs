//! The drivers over a store in memory, whose logs, keys and offsets are looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use siltstone_configs::{BrokerConfig, BrokerLayers};
use siltstone_log::{
    EndMarker, Entry, OffsetRow, PartitionId, Position, RegistrationId, RegistrationRow, Role, ShardId,
    TopicId, TxnEnd, TxnState, shard_of,
};
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_metadata::catalog::{Catalog, Changes};
use siltstone_metadata::follow::Followers;
use siltstone_metadata::keys::{group_offset, group_pending, shard_log, txn, txn_group, txn_partition};
use siltstone_metadata::lease;
use siltstone_metadata::transaction::{Admission, Claim, EndRequest, InitRequest, Refusal, admit};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, RangeLimit, Store};

use super::sweep::Sweeper;
use super::*;
use crate::produce::Pending;

const SHARDS: u16 = 4;
const ID: &str = "the id";

struct Wall(AtomicI64);

impl Clock for Wall {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

struct Numbers(AtomicU64);

impl Chance for Numbers {
    fn next(&self) -> u128 {
        u128::from(siltstone_log::mix64(self.0.fetch_add(1, Ordering::Relaxed)))
    }
}

/// A cluster's metadata, and one agent's transactions.
struct Kit {
    store: MemoryStore,
    wall: Arc<Wall>,
    transactions: Arc<Transactions>,
    config: BrokerConfig,
}

fn config(fixed: &[(&str, &str)]) -> BrokerConfig {
    let fixed = fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    BrokerConfig::resolve(BrokerLayers { fixed: &fixed, ..BrokerLayers::none() })
}

impl Kit {
    async fn new(seed: u64) -> Kit {
        let store = MemoryStore::new(seed, Faults::none());
        let wall = Arc::new(Wall(AtomicI64::new(1_000_000)));
        let ambient = Ambient { clock: wall.clone(), chance: Arc::new(Numbers(AtomicU64::new(seed))) };
        lease::open_cluster(&store, &ambient, SHARDS).await.unwrap();
        let shared: Arc<dyn Store> = Arc::new(store.clone());
        let catalog = Catalog::new(shared.clone());
        let following = tokio::spawn(catalog.clone().run());
        catalog.fresh().await.unwrap();
        following.abort();
        let (own, pending) = (RegistrationId(1), Arc::new(Pending::default()));
        let parts = TransactionsParts {
            followers: Followers::new(SHARDS, own, shared.clone(), pending, Duration::ZERO),
            producer_ids: Arc::new(ProducerIds::new(Changes::new(shared.clone(), ambient.clone(), SHARDS))),
            store: shared,
            ambient,
            catalog,
        };
        Kit { store, wall, transactions: Transactions::new(parts), config: config(&[]) }
    }

    async fn init(&self, timeout_ms: i32) -> (i64, i16) {
        let request = InitRequest { held: None, timeout_ms };
        self.transactions.init(&self.config, ID, request).await.unwrap()
    }

    async fn range(&self, range: &KeyRange) -> Vec<(Bytes, Bytes)> {
        let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
        self.store.peek().range(range, limit).await.unwrap().entries
    }

    /// All ends in all logs, shard by shard.
    async fn ends(&self) -> Vec<(ShardId, TxnEnd)> {
        let mut ends = Vec::new();
        for shard in (0..SHARDS).map(ShardId) {
            for (_, value) in self.range(&shard_log::after(shard, Position::ZERO)).await {
                if let Ok(Entry::TxnEnd(end)) = Entry::decode(&value) {
                    ends.push((shard, end));
                }
            }
        }
        ends
    }

    /// Hands offsets of a group to the transaction, without a group.
    async fn pend(&self, producer: i64, group: &str, offsets: &[(u32, i64)]) {
        let set = |key, value| Mutation::Set { key, value };
        let mut mutations = vec![set(txn_group::key(producer, group), Bytes::new())];
        for (index, offset) in offsets {
            let row = OffsetRow { offset: *offset, leader_epoch: -1, ..OffsetRow::default() };
            mutations.push(set(group_pending::key(group, producer, at(*index)), row.encode().into()));
        }
        self.store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    }

    async fn committed(&self, group: &str) -> Vec<(u32, i64)> {
        let rows = self.range(&group_offset::of(group)).await;
        let offset = |(key, value): &(Bytes, Bytes)| {
            let partition = group_offset::parse(key).unwrap();
            (partition.index, OffsetRow::decode(value).unwrap().offset)
        };
        rows.iter().map(offset).collect()
    }

    /// What a transaction leaves while it is open: nothing of it must be there.
    async fn assert_nothing_open(&self, producer: i64, groups: &[&str]) {
        assert_eq!(self.range(&txn_partition::of(producer)).await, []);
        assert_eq!(self.range(&txn_group::of(producer)).await, []);
        for group in groups {
            assert_eq!(self.range(&group_pending::of(group)).await, []);
        }
    }
}

fn at(index: u32) -> PartitionId {
    PartitionId { topic: TopicId(7), index }
}

fn ending((producer_id, epoch): (i64, i16), commit: bool, raises: bool) -> EndRequest {
    EndRequest { producer_id, epoch, commit, raises }
}

fn refused(refusal: Refusal) -> TransactionError {
    TransactionError::Refused(refusal)
}

/// Every partition of these ends, with its shard.
fn spread(ends: &[(ShardId, TxnEnd)]) -> BTreeMap<u32, ShardId> {
    let each = |(shard, end): &(ShardId, TxnEnd)| {
        let shard = *shard;
        end.partitions.iter().map(move |partition| (partition.index, shard)).collect::<Vec<_>>()
    };
    ends.iter().flat_map(each).collect()
}

#[tokio::test(start_paused = true)]
async fn a_commit_reaches_all_shards_and_moves_the_offsets() {
    let kit = Kit::new(1).await;
    let producer = kit.init(60_000).await;
    let partitions: Vec<PartitionId> = (0..6).map(at).collect();
    kit.transactions.add_partitions(ID, producer, &partitions).await.unwrap();
    kit.transactions.add_partitions(ID, producer, &partitions[..2]).await.unwrap();
    kit.transactions.add_group(ID, producer, "h").await.unwrap();
    kit.pend(producer.0, "g", &[(0, 5), (3, 6)]).await;
    let described = kit.transactions.describe(ID).await.unwrap();
    assert_eq!((described.row.state, described.partitions), (TxnState::Ongoing, partitions.clone()));
    assert_eq!(kit.transactions.end(ID, ending(producer, true, false)).await, Ok(producer));
    let ends = kit.ends().await;
    let marker = EndMarker { producer_id: producer.0, epoch: producer.1, commit: true };
    assert!(ends.iter().all(|(_, end)| end.marker == marker && end.at == kit.wall.now()));
    assert_eq!(spread(&ends), partitions.iter().map(|p| (p.index, shard_of(*p, SHARDS))).collect());
    assert_eq!(ends.len(), 4, "one entry a shard");
    assert_eq!(kit.committed("g").await, [(0, 5), (3, 6)]);
    kit.assert_nothing_open(producer.0, &["g", "h"]).await;
    assert_eq!(kit.transactions.end(ID, ending(producer, true, false)).await, Ok(producer), "asked again");
    let otherwise = kit.transactions.end(ID, ending(producer, false, false)).await;
    assert_eq!(otherwise, Err(refused(Refusal::InvalidState)));
    assert_eq!(kit.ends().await.len(), 4, "nothing was written again");
}

#[tokio::test(start_paused = true)]
async fn an_abort_drops_the_offsets_and_raises_the_epoch() {
    let kit = Kit::new(2).await;
    let producer = kit.init(60_000).await;
    kit.transactions.add_partitions(ID, producer, &[at(1)]).await.unwrap();
    kit.pend(producer.0, "g", &[(0, 5)]).await;
    let next = (producer.0, producer.1 + 1);
    assert_eq!(kit.transactions.end(ID, ending(producer, false, true)).await, Ok(next));
    assert_eq!(kit.transactions.end(ID, ending(producer, false, true)).await, Ok(next), "asked again");
    let ends = kit.ends().await;
    let marker = EndMarker { producer_id: producer.0, epoch: next.1, commit: false };
    assert_eq!(ends.iter().map(|(_, end)| end.marker).collect::<Vec<_>>(), [marker]);
    assert_eq!(kit.committed("g").await, []);
    kit.assert_nothing_open(producer.0, &["g"]).await;
    let late = kit.transactions.add_partitions(ID, producer, &[at(1)]).await;
    assert_eq!(late, Err(refused(Refusal::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_second_life_aborts_what_the_first_left_open() {
    let kit = Kit::new(3).await;
    let first = kit.init(60_000).await;
    kit.transactions.add_partitions(ID, first, &[at(0), at(1)]).await.unwrap();
    kit.pend(first.0, "g", &[(0, 5)]).await;
    let second = kit.init(60_000).await;
    assert_eq!(second, (first.0, first.1 + 2), "the abort has an epoch of its own, as in Kafka");
    let ends = kit.ends().await;
    assert_eq!(spread(&ends).len(), 2);
    assert!(ends.iter().all(|(_, end)| end.marker.epoch == first.1 + 1 && !end.marker.commit));
    kit.assert_nothing_open(first.0, &["g"]).await;
    assert_eq!(kit.committed("g").await, []);
    let fenced = kit.transactions.end(ID, ending(first, true, false)).await;
    assert_eq!(fenced, Err(refused(Refusal::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_is_refused() {
    let kit = Kit::new(4).await;
    for timeout_ms in [0, -1, 900_001] {
        let request = InitRequest { held: None, timeout_ms };
        let refused = kit.transactions.init(&kit.config, ID, request).await;
        assert_eq!(refused, Err(TransactionError::InvalidTimeout { most: 900_000 }));
    }
    let long = "x".repeat(MAX_TRANSACTIONAL_ID + 1);
    for id in ["", long.as_str()] {
        let request = InitRequest { held: None, timeout_ms: 1 };
        let refused = kit.transactions.init(&kit.config, id, request).await;
        assert_eq!(refused, Err(TransactionError::InvalidId));
    }
    let nobody = kit.transactions.end("nobody", ending((1, 0), true, true)).await;
    assert_eq!(nobody, Err(refused(Refusal::UnknownId)));
    assert_eq!(kit.transactions.describe("nobody").await, Err(TransactionError::NotFound));
}

#[tokio::test(start_paused = true)]
async fn partitions_are_verified_without_being_added() {
    let kit = Kit::new(5).await;
    let producer = kit.init(60_000).await;
    kit.transactions.add_partitions(ID, producer, &[at(0)]).await.unwrap();
    let verified = kit.transactions.verify_partitions(ID, producer, &[at(0), at(1)]).await.unwrap();
    assert_eq!(verified.into_iter().collect::<Vec<_>>(), [at(0)]);
    let old = (producer.0, producer.1 - 1);
    let fenced = kit.transactions.verify_partitions(ID, old, &[at(0)]).await;
    assert_eq!(fenced, Err(refused(Refusal::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn a_transaction_of_very_many_partitions_ends_in_one_commit() {
    let kit = Kit::new(6).await;
    let producer = kit.init(60_000).await;
    let partitions: Vec<PartitionId> = (0..30_000).map(at).collect();
    for some in partitions.chunks(5_000) {
        kit.transactions.add_partitions(ID, producer, some).await.unwrap();
    }
    kit.transactions.end(ID, ending(producer, true, false)).await.unwrap();
    let ends = kit.ends().await;
    assert_eq!(spread(&ends).len(), 30_000);
    assert_eq!(ends.iter().map(|(_, end)| end.partitions.len()).sum::<usize>(), 30_000, "each once");
    kit.assert_nothing_open(producer.0, &[]).await;
}

/// What a flush or a commit of offsets does: adds to the transaction by writing, if it is admitted. False: refused.
async fn write(kit: &Kit, producer: (i64, i16), partition: PartitionId) -> bool {
    let claim = Claim { producer_id: producer.0, epoch: producer.1, implicit: true };
    loop {
        let Ok(snapshot) = kit.store.snapshot().await else { continue };
        let Ok(found) = row(snapshot.as_ref(), ID).await else { continue };
        let set = |key, value| Mutation::Set { key, value };
        let offset = OffsetRow { offset: i64::from(producer.1), ..OffsetRow::default() };
        let mut mutations = vec![
            set(txn_partition::key(producer.0, partition), Bytes::new()),
            set(txn_group::key(producer.0, "g"), Bytes::new()),
            set(group_pending::key("g", producer.0, partition), offset.encode().into()),
        ];
        match admit(found.as_ref(), &claim, kit.wall.now()) {
            Admission::Ongoing => {}
            Admission::Begin(row) => mutations.push(set(txn::key(ID), row.encode().into())),
            Admission::Refused(_) => return false,
        }
        let reads = vec![KeyRange::key(txn::key(ID))];
        let read_version = Some(snapshot.version());
        let done = kit.store.commit(Commit { read_version, reads, mutations, ..Commit::default() }).await;
        match done {
            Ok(_) => return true,
            Err(CommitError::TooLarge(why)) => panic!("{why}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    }
}

/// Asks until it is answered, as clients do.
async fn insist<T, F: Future<Output = Result<T, TransactionError>>>(mut ask: impl FnMut() -> F) -> T {
    loop {
        match ask().await {
            Ok(done) => return done,
            Err(TransactionError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Whatever becomes of commits, each transaction ends once, as it was asked for, at every partition that it touched, with its offsets.
#[tokio::test(start_paused = true)]
async fn steps_of_unknown_outcome_take_effect_once() {
    for seed in 0..25 {
        let kit = Kit::new(seed).await;
        let storm =
            Faults { unknown_applied: 0.15, unknown_late: 0.1, unknown_never: 0.1, ..Faults::storm() };
        kit.store.set_faults(storm);
        let request = InitRequest { held: None, timeout_ms: 60_000 };
        let mut producer = insist(|| kit.transactions.init(&kit.config, ID, request)).await;
        let mut expected: BTreeMap<(i16, u32), bool> = BTreeMap::new();
        let mut offsets = BTreeMap::new();
        for n in 0..12_u32 {
            let commit = n % 3 != 1;
            for index in [n % 5, n % 5 + 7] {
                assert!(write(&kit, producer, at(index)).await, "seed {seed}: it is the producer's turn");
                expected.insert((producer.1 + 1, index), commit);
                if commit {
                    offsets.insert(index, i64::from(producer.1));
                }
            }
            let before = producer;
            producer = insist(|| kit.transactions.end(ID, ending(before, commit, true))).await;
            assert_eq!(producer, (before.0, before.1 + 1), "seed {seed}");
            assert!(!write(&kit, before, at(0)).await, "seed {seed}: that transaction is over");
        }
        kit.store.set_faults(Faults::none());
        tokio::time::sleep(Duration::from_secs(60)).await;
        let mut found: BTreeMap<(i16, u32), bool> = BTreeMap::new();
        for (_, end) in kit.ends().await {
            for partition in end.partitions {
                let twice = found.insert((end.marker.epoch, partition.index), end.marker.commit);
                assert_eq!(twice, None, "seed {seed}: a second marker");
            }
        }
        assert_eq!(found, expected, "seed {seed}");
        assert_eq!(kit.committed("g").await, offsets.into_iter().collect::<Vec<_>>(), "seed {seed}");
        kit.assert_nothing_open(producer.0, &["g"]).await;
    }
}

async fn sweeper(kit: &Kit, agent: u128) -> Sweeper {
    let own = RegistrationRow {
        id: RegistrationId(agent),
        node: 1,
        started: 0,
        zone: String::new(),
        host: String::new(),
        port: 1,
        lowest_level: 1,
        highest_level: u32::MAX,
        role: Role::Agent,
        listeners: Vec::new(),
        peer: None,
    };
    lease::register(&kit.store, &own).await.unwrap();
    Sweeper::new(kit.transactions.clone(), own.id, Duration::from_secs(10))
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_takes_too_long_is_aborted() {
    let kit = Kit::new(7).await;
    let mut sweeper = sweeper(&kit, 1).await;
    let producer = kit.init(15_000).await;
    kit.transactions.add_partitions(ID, producer, &[at(0), at(1)]).await.unwrap();
    // Whatever the wall clock does.
    kit.wall.0.fetch_add(1_000_000_000, Ordering::Relaxed);
    for _ in 0..2 {
        sweeper.round(&kit.config).await.unwrap();
        assert_eq!(kit.transactions.describe(ID).await.unwrap().row.state, TxnState::Ongoing);
        seconds(10).await;
    }
    sweeper.round(&kit.config).await.unwrap();
    let row = kit.transactions.describe(ID).await.unwrap().row;
    assert_eq!((row.state, row.epoch), (TxnState::CompleteAbort, producer.1 + 1));
    assert_eq!(spread(&kit.ends().await).len(), 2);
    let late = kit.transactions.end(ID, ending(producer, true, false)).await;
    assert_eq!(late, Err(refused(Refusal::Fenced)));
}

#[tokio::test(start_paused = true)]
async fn transactions_that_end_in_time_are_left_alone() {
    let kit = Kit::new(8).await;
    let mut sweeper = sweeper(&kit, 1).await;
    let mut producer = kit.init(15_000).await;
    for _ in 0..5 {
        assert!(write(&kit, producer, at(0)).await);
        sweeper.round(&kit.config).await.unwrap();
        seconds(10).await;
        producer = kit.transactions.end(ID, ending(producer, true, true)).await.unwrap();
    }
    assert!(kit.ends().await.iter().all(|(_, end)| end.marker.commit));
}

#[tokio::test(start_paused = true)]
async fn who_takes_the_sweep_over_counts_anew() {
    let kit = Kit::new(9).await;
    let (mut first, mut second) = (sweeper(&kit, 1).await, sweeper(&kit, 2).await);
    let producer = kit.init(15_000).await;
    kit.transactions.add_partitions(ID, producer, &[at(0)]).await.unwrap();
    first.round(&kit.config).await.unwrap();
    second.round(&kit.config).await.unwrap();
    seconds(12).await;
    // The first one is silent: the second takes over, and sees the transaction for the first time.
    second.round(&kit.config).await.unwrap();
    seconds(12).await;
    second.round(&kit.config).await.unwrap();
    first.round(&kit.config).await.unwrap();
    assert_eq!(kit.transactions.describe(ID).await.unwrap().row.state, TxnState::Ongoing);
    seconds(12).await;
    second.round(&kit.config).await.unwrap();
    assert_eq!(kit.transactions.describe(ID).await.unwrap().row.state, TxnState::CompleteAbort);
}

#[tokio::test(start_paused = true)]
async fn unused_ids_are_forgotten_at_the_second_look() {
    let mut kit = Kit::new(10).await;
    kit.config = config(&[
        ("transactional.id.expiration.ms", "5000"),
        ("transaction.remove.expired.transaction.cleanup.interval.ms", "1000"),
    ]);
    let mut sweeper = sweeper(&kit, 1).await;
    let mut look = async || {
        seconds(1).await;
        sweeper.round(&kit.config).await.unwrap();
    };
    let producer = kit.init(800_000).await;
    look().await;
    kit.wall.0.fetch_add(6_000, Ordering::Relaxed);
    look().await;
    // Used meanwhile: it counts from there.
    assert!(write(&kit, producer, at(0)).await);
    look().await;
    kit.wall.0.fetch_add(6_000, Ordering::Relaxed);
    for _ in 0..3 {
        look().await;
        assert!(kit.transactions.describe(ID).await.is_ok(), "one that is ongoing stays");
    }
    kit.transactions.end(ID, ending(producer, true, true)).await.unwrap();
    kit.wall.0.fetch_add(6_000, Ordering::Relaxed);
    look().await;
    assert!(kit.transactions.describe(ID).await.is_ok());
    look().await;
    assert_eq!(kit.transactions.describe(ID).await, Err(TransactionError::NotFound));
    let again = kit.init(800_000).await;
    assert!(again.0 != producer.0 && again.1 == 0, "a new life, under another producer id");
}

#[tokio::test(start_paused = true)]
async fn ids_are_listed_by_what_is_asked_for() {
    let kit = Kit::new(11).await;
    let request = InitRequest { held: None, timeout_ms: 60_000 };
    let mut producers = Vec::new();
    for id in ["a", "b", "c"] {
        producers.push(kit.transactions.init(&kit.config, id, request).await.unwrap());
    }
    kit.transactions.add_partitions("b", producers[1], &[at(0)]).await.unwrap();
    kit.wall.0.fetch_add(1_000, Ordering::Relaxed);
    let ids = async |filter: ListFilter<'_>| {
        let listed = kit.transactions.list(&filter).await.unwrap();
        listed.into_iter().map(|one| one.id).collect::<String>()
    };
    assert_eq!(ids(ListFilter::default()).await, "abc");
    let states = Some(vec![TxnState::Ongoing]);
    assert_eq!(ids(ListFilter { states, ..ListFilter::default() }).await, "b");
    let producer_ids = Some(&[producers[0].0, -5][..]);
    assert_eq!(ids(ListFilter { producer_ids, ..ListFilter::default() }).await, "a");
    let older = |ms| ListFilter { older_than_ms: Some(ms), ..ListFilter::default() };
    assert_eq!(ids(older(999)).await, "abc");
    assert_eq!(ids(older(1_000)).await, "ac", "those that never began one pass, as in Kafka");
    let not_a = |id: &str| id != "a";
    assert_eq!(ids(ListFilter { id: Some(&not_a), ..ListFilter::default() }).await, "bc");
}
