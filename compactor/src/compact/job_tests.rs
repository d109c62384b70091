//! Rounds over a partition in a store and a bucket: what is published, what is not, and that it holds under faults.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use siltstone_configs::BrokerLayers;
use siltstone_log::*;
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_metadata::checkpoint::uses;
use siltstone_metadata::keys::lease::Task;
use siltstone_metadata::keys::{
    aborted_chunk, extent_chunk, partition_row, parts, segment_row, segment_use, shard_counted,
};
use siltstone_metadata::lease::{TaskLease, open_cluster, register};
use siltstone_metadata::shard::{MAX_LEVEL, MIN_LEVEL};
use siltstone_objects::testing::FaultyStore;
use siltstone_objects::{Objects, Options};
use siltstone_records::{Batch, BatchBuilder, NewRecord, Producer, Scratch};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_store::{Commit, Mutation, Store};

use super::*;
use crate::compact::round::Batches;
use crate::scan;
use crate::settings::{CompactRules, CompactorSettings};
use crate::view::ShardView;

const SHARD: ShardId = ShardId(0);
const PARTITION: PartitionId = PartitionId { topic: TopicId(9), index: 0 };
const WRITER: RegistrationId = RegistrationId(5);
const OWN: RegistrationId = RegistrationId(6);

#[derive(Default)]
struct Time(AtomicI64);

impl Clock for Time {
    fn now(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Default)]
struct Counting(AtomicU64);

impl Chance for Counting {
    fn next(&self) -> u128 {
        u128::from(self.0.fetch_add(1, Ordering::Relaxed)) + 1
    }
}

struct World {
    store: MemoryStore,
    time: Arc<Time>,
    cx: Context,
    held: Held,
    topic: TopicRow,
}

fn batch(records: &[(&str, Option<&str>)], producer: Option<i64>) -> Bytes {
    let mut builder = BatchBuilder::new();
    if let Some(id) = producer {
        builder = builder.producer(Producer { id, epoch: 0, base_sequence: 0 }).transactional(true);
    }
    for (key, value) in records {
        let value = value.map(str::as_bytes);
        let record = NewRecord { timestamp: 5, key: Some(key.as_bytes()), value, headers: &[] };
        builder.push(&record).unwrap();
    }
    builder.build(&mut Scratch::new()).unwrap()
}

/// Flushed extents, one segment each, and ends of transactions.
enum Input {
    Batch(Bytes),
    Abort(i64),
}

fn input() -> Vec<Input> {
    vec![
        Input::Batch(batch(&[("a", Some("1")), ("b", Some("1")), ("a", Some("2"))], None)), // 0..3
        Input::Batch(batch(&[("a", Some("never"))], Some(7))),                              // 3
        Input::Batch(batch(&[("b", None), ("c", Some("1"))], None)),                        // 4..6
        Input::Abort(7),                                                                    // 6
        Input::Batch(batch(&[("c", Some("2"))], Some(7))), // 7, of a transaction that is open
    ]
}

async fn world() -> World {
    let store = MemoryStore::new(1, Faults::none());
    let time = Arc::new(Time(AtomicI64::new(1_000_000)));
    let ambient = Ambient { clock: time.clone(), chance: Arc::new(Counting::default()) };
    let shared: Arc<dyn Store> = Arc::new(store.clone());
    open_cluster(shared.as_ref(), &ambient, 1).await.unwrap();
    let own = RegistrationRow {
        id: OWN,
        node: 0,
        started: 0,
        zone: String::new(),
        host: String::new(),
        port: 0,
        lowest_level: MIN_LEVEL,
        highest_level: MAX_LEVEL,
        role: Role::Compactor,
        listeners: Vec::new(),
        peer: None,
    };
    register(shared.as_ref(), &own).await.unwrap();
    let mut lease = TaskLease::new(shared.clone(), Task::Compact(SHARD), OWN, Duration::from_secs(60));
    let held = lease.acquire().await.unwrap().unwrap();
    let objects = Objects::from_store(Arc::new(FaultyStore::new(1)), "", &Options::default(), 1);
    let settings = CompactorSettings {
        compact: CompactRules { piece_bytes: 200, ..CompactRules::default() },
        grace: Duration::from_millis(50),
        ..CompactorSettings::default()
    };
    let cx = Context::new(shared, objects, ambient, OWN, 1, settings);
    let configs = [("cleanup.policy", "compact"), ("delete.retention.ms", "100")];
    let configs = configs.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let topic = TopicRow {
        name: "t".to_owned(),
        id: PARTITION.topic,
        partitions: 1,
        replication_factor: 1,
        created: 0,
        configs,
    };
    let world = World { store, time, cx, held, topic };
    world.fill().await;
    world
}

impl World {
    async fn fill(&self) {
        let (mut extents, mut next, mut bytes) = (Vec::new(), 0, 0);
        let mut mutations = vec![
            Mutation::Set { key: shard_counted::key(SHARD), value: Bytes::new() },
            Mutation::Set { key: topic_name::key("t"), value: self.topic.encode().into() },
        ];
        for (number, input) in (1..).zip(input()) {
            let (records, length, place) = match input {
                Input::Abort(producer_id) => {
                    (1, 78, ExtentPlace::Marker(EndMarker { producer_id, epoch: 0, commit: false }))
                }
                Input::Batch(whole) => {
                    let id = SegmentId { registration: WRITER, number };
                    let length = whole.len() as u32;
                    let records = Batch::parse(&whole).unwrap().count as u64;
                    let deadline = tokio::time::Instant::now() + Duration::from_secs(9);
                    self.cx.objects.put(&id.object_name(), vec![whole], deadline).await.unwrap();
                    let segment = SegmentPlace { id, inline: false, length: u64::from(length) };
                    mutations.push(segment_row::published(&segment, [SHARD], 1));
                    let block = BlockPlace { start: 0, length, encoding: Encoding::Plain };
                    (records, length, ExtentPlace::Stored { segment, block, start: 0, level: 0 })
                }
            };
            extents.push(Extent {
                base: next,
                records,
                bytes_before: bytes,
                place,
                length,
                max_timestamp: 5,
            });
            next += records as i64;
            bytes += u64::from(length);
        }
        let counted = uses(extents.iter()).into_iter();
        mutations.extend(counted.map(|(segment, weight)| segment_use::add(SHARD, segment, weight)));
        let aborted = Aborted { producer_id: 7, first: 3, last: 6, stable: 7 };
        let row = PartitionRow {
            next,
            bytes,
            last_chunk: Some(ChunkRow { base: 0, extents: extents.len() as u32 }),
            open: BTreeMap::from([(7, 7)]),
            aborted: Some(AbortedRow { chunk: ChunkRow { base: 6, extents: 1 }, last: 6 }),
            ..PartitionRow::default()
        };
        parts::set(&mut mutations, &partition_row::prefix(SHARD, PARTITION), &row.encode().into());
        let key = extent_chunk::key(SHARD, PARTITION, 0);
        mutations.push(Mutation::Set { key, value: encode_extents(&extents).into() });
        let key = aborted_chunk::key(SHARD, PARTITION, 6);
        mutations.push(Mutation::Set { key, value: encode_aborted(&[aborted]).into() });
        self.store.commit(Commit { mutations, ..Commit::blind() }).await.unwrap();
    }

    fn config(&self) -> TopicConfig {
        TopicConfig::resolve(&self.topic.configs, BrokerLayers::none())
    }

    async fn plan(&self) -> Plan {
        let mut view = ShardView::default();
        scan::shard(&self.store, SHARD, &mut view, &self.cx.settings.merge).await.unwrap();
        let view = &view.partitions[&PARTITION];
        self.cx.compaction(SHARD, PARTITION, view, &self.config()).await.unwrap()
    }

    async fn round(&self, plan: &RoundPlan) -> Result<Outcome, CompactError> {
        let topic = Topic { row: &self.topic, config: &self.config() };
        self.cx.compact(self.held, SHARD, PARTITION, &topic, plan).await
    }

    /// Plans and does whatever is due. Whether anything was.
    async fn step(&self) -> bool {
        match self.plan().await {
            Plan::Nothing { .. } => false,
            Plan::Round(plan) => {
                let outcome = self.round(&plan).await.unwrap();
                assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
                true
            }
        }
    }

    /// Offsets of records, key and value, and of control batches.
    async fn left(&self) -> Vec<(i64, String)> {
        let source = PartitionBatches { cx: &self.cx, shard: SHARD, partition: PARTITION, hidden: None };
        let (mut left, mut at) = (Vec::new(), 0);
        while at < 8 {
            let piece = source.read(at, 8, 1).await.unwrap();
            for batch in piece.batches {
                let records = batch.records(1000, &mut Scratch::new()).unwrap();
                left.extend(records.iter().map(Result::unwrap).map(|record| {
                    let text = |bytes: Option<&[u8]>| {
                        bytes.map_or("-".into(), |b| String::from_utf8_lossy(b).into_owned())
                    };
                    let control = batch.attributes.is_control();
                    let what = if control {
                        "end".into()
                    } else {
                        format!("{}={}", text(record.key), text(record.value))
                    };
                    (record.offset, what)
                }));
            }
            at = piece.end;
        }
        left
    }

    async fn aborted(&self) -> usize {
        let snapshot = self.store.peek();
        siltstone_metadata::rows::aborted_between(snapshot.as_ref(), SHARD, PARTITION, 0, 8)
            .await
            .unwrap()
            .len()
    }

    /// Uses as they are counted, and as they are.
    async fn uses(&self) -> (BTreeMap<SegmentId, u64>, BTreeMap<SegmentId, u64>) {
        let snapshot = self.store.peek();
        let page = snapshot.range(&segment_use::of_shard(SHARD), Default::default()).await.unwrap();
        let counted = page.entries.iter().map(|(key, value)| {
            (segment_use::parse(key).unwrap(), u64::from_le_bytes(value[..8].try_into().unwrap()))
        });
        let chunks = extent_chunk::between(SHARD, PARTITION, 0, i64::MAX);
        let page = snapshot.range(&chunks, Default::default()).await.unwrap();
        let extents: Vec<_> =
            page.entries.iter().flat_map(|(_, value)| decode_extents(value).unwrap()).collect();
        (counted.filter(|(_, uses)| *uses != 0).collect(), uses(extents.iter()).into_iter().collect())
    }
}

fn owned(left: &[(i64, &str)]) -> Vec<(i64, String)> {
    left.iter().map(|(offset, what)| (*offset, (*what).to_owned())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_round_replaces_extents_and_what_they_use() {
    let world = world().await;
    assert!(world.step().await);
    let left = owned(&[(2, "a=2"), (4, "b=-"), (5, "c=1"), (6, "end"), (7, "c=2")]);
    assert_eq!(world.left().await, left, "what is open is left alone, what was aborted is gone");
    let (counted, used) = world.uses().await;
    assert_eq!(counted, used);
    assert!(used.keys().any(|segment| segment.registration == OWN), "{used:?}");
    assert_eq!(world.aborted().await, 1);
    let Plan::Nothing { until, .. } = world.plan().await else { panic!("there is more to do") };
    assert_eq!(until, Some(1_000_100), "when the tombstone may go");
    world.time.0.store(1_000_100, Ordering::Relaxed);
    assert!(world.step().await);
    assert_eq!(world.left().await, owned(&[(2, "a=2"), (5, "c=1"), (6, "end"), (7, "c=2")]));
    assert_eq!(world.aborted().await, 1, "its marker has just got its horizon");
    world.time.0.store(1_000_200, Ordering::Relaxed);
    assert!(world.step().await);
    assert_eq!((world.left().await.len(), world.aborted().await), (4, 0), "the entry goes, its marker stays");
    world.time.0.store(1_000_300, Ordering::Relaxed);
    assert!(world.step().await);
    assert_eq!(world.left().await, owned(&[(2, "a=2"), (5, "c=1"), (7, "c=2")]));
    assert!(!world.step().await, "it has settled");
    let (counted, used) = world.uses().await;
    assert_eq!(counted, used);
}

#[tokio::test(start_paused = true)]
async fn settings_that_change_meanwhile_stop_a_round() {
    let world = world().await;
    let Plan::Round(plan) = world.plan().await else { panic!("nothing to do") };
    let before = world.left().await;
    let settings = world.cx.compaction_settings(&world.topic).await.unwrap().unwrap();
    let configs = BTreeMap::from([("cleanup.policy".to_owned(), "delete".to_owned())]);
    let other = TopicRow { configs: configs.into_iter().collect(), ..world.topic.clone() };
    let set = Mutation::Set { key: topic_name::key("t"), value: other.encode().into() };
    world.store.commit(Commit { mutations: vec![set], ..Commit::blind() }).await.unwrap();
    assert!(matches!(world.round(&plan).await, Ok(Outcome::Changed(_))), "before it begins");
    let hiding = world.cx.hiding();
    let sink = PartitionPieces {
        cx: &world.cx,
        held: world.held,
        shard: SHARD,
        partition: PARTITION,
        settings,
        hiding,
    };
    let source = PartitionBatches { cx: &world.cx, shard: SHARD, partition: PARTITION, hidden: None };
    let limits =
        Limits { map_bytes: 999, piece_bytes: 99, max_decompressed: 9999, level: None, longest_read_ms: 5 };
    let outcome = round::run(&source, &sink, &plan, &limits, 100, 1, [1, 2]).await;
    assert!(matches!(outcome, Ok(Outcome::Changed(_))), "{outcome:?}");
    assert_eq!(world.left().await, before);
    let (counted, used) = world.uses().await;
    assert_eq!(counted, used);
}

#[tokio::test(start_paused = true)]
async fn whatever_the_store_does_the_end_is_the_same() {
    let mut failed = 0;
    for seed in 0..20 {
        let world = world().await;
        let shaky = world.store.handle(seed);
        let World { cx, held, topic, time, store } = world;
        let Context { objects, ambient, settings, .. } = &cx;
        let (objects, ambient, settings) = (objects.clone(), ambient.clone(), settings.clone());
        let cx = Context::new(Arc::new(shaky.clone()), objects, ambient, OWN, 1, settings);
        let world = World { store: shaky.clone(), cx, held, topic, time };
        for step in 0..8 {
            world.time.0.store(1_000_000 + step * 100, Ordering::Relaxed);
            shaky.set_faults(Faults::calm());
            let Plan::Round(plan) = world.plan().await else { continue };
            shaky.set_faults(Faults::storm());
            // It may fail: the next one goes on.
            failed += u32::from(world.round(&plan).await.is_err());
        }
        shaky.set_faults(Faults::none());
        tokio::time::sleep(Duration::from_secs(60)).await;
        for step in 8..14 {
            world.time.0.store(1_000_000 + step * 100, Ordering::Relaxed);
            world.step().await;
        }
        assert_eq!(world.left().await, owned(&[(2, "a=2"), (5, "c=1"), (7, "c=2")]), "seed {seed}");
        let (counted, used) = world.uses().await;
        assert_eq!((counted, world.aborted().await), (used, 0), "seed {seed}");
        drop(store);
    }
    assert!(failed > 0, "no round met a fault");
}
