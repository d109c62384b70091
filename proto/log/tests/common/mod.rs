//! Any value of every format, within what the format can hold.
#![allow(dead_code, reason = "every test binary uses a part of it")]

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use siltstone_log::*;

pub fn topic() -> impl Strategy<Value = TopicId> {
    any::<u128>().prop_map(TopicId)
}

pub fn registration() -> impl Strategy<Value = RegistrationId> {
    any::<u128>().prop_map(RegistrationId)
}

pub fn partition() -> impl Strategy<Value = PartitionId> {
    (topic(), any::<u32>()).prop_map(|(topic, index)| PartitionId { topic, index })
}

pub fn position() -> impl Strategy<Value = Position> {
    any::<[u8; 12]>().prop_map(Position)
}

/// Small numbers, and the ends of the range: where varints change their length.
pub fn offset() -> impl Strategy<Value = i64> {
    prop_oneof![0..300_i64, 0..=i64::MAX, Just(i64::MAX)]
}

fn producer() -> impl Strategy<Value = ProducerMeta> {
    (offset(), 0..=i16::MAX, 0..=i32::MAX).prop_map(|(id, epoch, first_sequence)| ProducerMeta {
        id,
        epoch,
        first_sequence,
    })
}

fn batch() -> impl Strategy<Value = BatchMeta> {
    let flags = any::<(bool, bool)>();
    (0..1_000_000_u32, 1..=i32::MAX as u32, any::<i64>(), option::of(producer()), flags).prop_map(
        |(bytes, records, max_timestamp, producer, (transactional, void))| BatchMeta {
            bytes,
            records,
            max_timestamp,
            producer,
            transactional,
            void,
        },
    )
}

/// A place whose bytes of batches are `raw`.
fn place_of(raw: u32) -> impl Strategy<Value = BlockPlace> {
    let encoded = (0..u64::MAX >> 1, any::<u32>(), any::<bool>());
    encoded.prop_map(move |(start, stored, zstd)| {
        let (length, encoding) =
            if zstd { (stored, Encoding::Zstd { raw_length: raw }) } else { (raw, Encoding::Plain) };
        BlockPlace { start, length, encoding }
    })
}

pub fn place() -> impl Strategy<Value = BlockPlace> {
    any::<u32>().prop_flat_map(place_of)
}

fn block() -> impl Strategy<Value = Block> {
    (partition(), vec(batch(), 0..4)).prop_flat_map(|(partition, batches)| {
        let raw = batches.iter().map(|batch| batch.bytes).sum();
        place_of(raw).prop_map(move |place| Block { partition, place, batches: batches.clone() })
    })
}

fn append() -> impl Strategy<Value = Entry> {
    (registration(), any::<u64>(), any::<i64>(), any::<u64>(), any::<bool>(), vec(block(), 0..4)).prop_map(
        |(registration, counter, at, number, inline, blocks)| {
            let segment = SegmentPlace { id: SegmentId { registration, number }, inline, length: u64::MAX };
            Entry::Append(Append { registration, counter, at, segment, blocks })
        },
    )
}

pub fn entry() -> impl Strategy<Value = Entry> {
    let range = (0..=MAX_PARTITIONS, 0..=MAX_PARTITIONS);
    prop_oneof![
        4 => append(),
        1 => (partition(), offset()).prop_map(|(partition, offset)| Entry::Trim { partition, offset }),
        1 => (topic(), range, any::<i64>())
            .prop_map(|(topic, (first, end), at)| Entry::Created { topic, first, end, at }),
        1 => topic().prop_map(|topic| Entry::Deleted { topic }),
        1 => (any::<i64>(), offset()).prop_map(|(before, ids_below)| Entry::Expire { before, ids_below }),
        1 => registration().prop_map(|registration| Entry::Ended { registration }),
        1 => any::<u32>().prop_map(|level| Entry::Feature { level }),
        1 => (erasure(), topic(), digests())
            .prop_map(|(erasure, topic, keys)| Entry::Erase { erasure, topic, keys }),
        1 => (erasure(), topic()).prop_map(|(erasure, topic)| Entry::Erased { erasure, topic }),
        1 => (marker(), any::<i64>(), vec(partition(), 0..4), 0..3_u32)
            .prop_map(|(marker, at, some, more)| {
                // Several of a topic, side by side.
                let some = some.into_iter().flat_map(|id| {
                    (0..=more).map(move |add| PartitionId { index: (id.index % MAX_PARTITIONS).saturating_sub(add), ..id })
                });
                Entry::TxnEnd(TxnEnd { marker, at, partitions: some.collect() })
            }),
    ]
}

fn erasure() -> impl Strategy<Value = ErasureId> {
    any::<u128>().prop_map(ErasureId)
}

fn digests() -> impl Strategy<Value = std::collections::BTreeSet<KeyDigest>> {
    btree_set(any::<[u8; 16]>().prop_map(KeyDigest), 0..4)
}

fn segment_id() -> impl Strategy<Value = SegmentId> {
    (registration(), any::<u64>()).prop_map(|(registration, number)| SegmentId { registration, number })
}

fn shard_set() -> impl Strategy<Value = ShardSet> {
    (vec(0_u16..40, 0..6), 1_u16..40)
        .prop_map(|(some, shards)| ShardSet::of(some.into_iter().map(ShardId), shards))
}

pub fn erasure_row() -> impl Strategy<Value = ErasureRow> {
    let scan = prop_oneof![
        Just(ErasureScan::Waits),
        (any::<bool>(), segment_id()).prop_map(|(trash, last)| ErasureScan::Under { trash, last }),
        Just(ErasureScan::Done)
    ];
    let what = (any::<[u8; 10]>(), topic(), ".{0,30}", 0..=MAX_PARTITIONS, any::<u32>(), digests());
    let time = || option::of(any::<i64>());
    (what, any::<i64>(), (time(), time(), time()), scan, any::<bool>()).prop_map(
        |(what, requested, (invisible, scanned, completed), scan, topic_deleted)| {
            let (stamp, topic, name, partitions, named, keys) = what;
            let stamp = Some(stamp);
            ErasureRow {
                stamp,
                topic,
                name,
                partitions,
                requested,
                named,
                keys,
                invisible,
                scan,
                scanned,
                completed,
                topic_deleted,
            }
        },
    )
}

pub fn erased_object() -> impl Strategy<Value = ErasedObject> {
    let numbers = (any::<u64>(), any::<u64>(), any::<i64>());
    (any::<bool>(), numbers, option::of(any::<i64>()), shard_set()).prop_map(
        |(inline, (length, records, found), deleted, shards)| ErasedObject {
            inline,
            length,
            records,
            found,
            deleted,
            shards,
        },
    )
}

fn marker() -> impl Strategy<Value = EndMarker> {
    let all = (offset(), 0..=i16::MAX, any::<bool>());
    all.prop_map(|(producer_id, epoch, commit)| EndMarker { producer_id, epoch, commit })
}

pub fn aborted() -> impl Strategy<Value = Aborted> {
    (offset(), offset(), offset(), offset()).prop_map(|(producer_id, a, b, stable)| Aborted {
        producer_id,
        first: a.min(b),
        last: a.max(b),
        stable,
    })
}

pub fn footer() -> impl Strategy<Value = Footer> {
    let block = (partition(), place(), any::<u32>()).prop_map(|(partition, place, checksum)| FooterBlock {
        partition,
        place,
        checksum,
    });
    (registration(), any::<u64>(), any::<i64>(), vec(block, 0..5)).prop_map(
        |(registration, number, at, blocks)| Footer { id: SegmentId { registration, number }, at, blocks },
    )
}

fn marker_extent() -> impl Strategy<Value = Extent> {
    (marker(), 0..i64::MAX / 2, any::<u64>(), any::<i64>(), any::<u32>()).prop_map(
        |(marker, base, bytes_before, max_timestamp, length)| {
            let place = ExtentPlace::Marker(marker);
            Extent { base, records: 1, bytes_before, place, length, max_timestamp }
        },
    )
}

pub fn extent() -> impl Strategy<Value = Extent> {
    prop_oneof![4 => stored_extent(), 1 => marker_extent()]
}

fn stored_extent() -> impl Strategy<Value = Extent> {
    let ids = (registration(), any::<u64>(), any::<bool>(), any::<u64>());
    let run = (0..i64::MAX / 2, 0..u64::MAX / 4, any::<u64>(), any::<i64>());
    let level = prop_oneof![3 => Just(0u8), 1 => any::<u8>()];
    (ids, run, place(), any::<(u32, u32)>(), level).prop_map(|(ids, run, block, (a, b), level)| {
        let (registration, number, inline, length) = ids;
        let (base, records, bytes_before, max_timestamp) = run;
        let start = a.min(block.raw_length());
        let segment = SegmentPlace { id: SegmentId { registration, number }, inline, length };
        let length = b.min(block.raw_length() - start);
        let place = ExtentPlace::Stored { segment, block, start, level };
        Extent { base, records, bytes_before, place, length, max_timestamp }
    })
}

fn producer_row() -> impl Strategy<Value = ProducerRow> {
    let sequence = (0..=i32::MAX, any::<u32>(), offset())
        .prop_map(|(first, records, base_offset)| SequenceRow { first, records, base_offset });
    (0..=i16::MAX, any::<i64>(), vec(sequence, 0..=SEQUENCE_WINDOW))
        .prop_map(|(epoch, last_used, batches)| ProducerRow { epoch, last_used, batches })
}

pub fn partition_row() -> impl Strategy<Value = PartitionRow> {
    let chunk = (offset(), any::<u32>()).prop_map(|(base, extents)| ChunkRow { base, extents });
    let numbers = (offset(), offset(), any::<u64>(), any::<u64>(), offset());
    let aborted = (offset(), any::<u32>(), offset())
        .prop_map(|(base, extents, last)| AbortedRow { chunk: ChunkRow { base, extents }, last });
    let transactions = prop_oneof![
        Just((Default::default(), None)),
        (btree_map(offset(), offset(), 0..4), option::of(aborted))
    ];
    let producers = btree_map(offset(), producer_row(), 0..5);
    let erased = (offset(), digests()).prop_map(|(upto, keys)| ErasedRow { upto, keys: keys.into() });
    let erasures = prop_oneof![Just(Default::default()), btree_map(erasure(), erased, 0..3)];
    (position(), numbers, option::of(chunk), producers, transactions, erasures).prop_map(
        |(horizon, numbers, last_chunk, producers, (open, aborted), erasures)| {
            let (a, b, bytes, digest, forgotten_below) = numbers;
            PartitionRow {
                horizon,
                log_start: a.min(b),
                next: a.max(b),
                bytes,
                digest,
                forgotten_below,
                last_chunk,
                producers,
                open,
                aborted,
                erasures,
            }
        },
    )
}

pub fn head() -> impl Strategy<Value = ShardHead> {
    let expired = (position(), any::<i64>(), offset()).prop_map(|(position, before, ids_below)| Expired {
        position,
        before,
        ids_below,
    });
    let counters = btree_map(registration(), any::<u64>(), 0..5);
    let topics = btree_map(topic(), 0..=MAX_PARTITIONS, 0..5);
    (any::<u32>(), option::of(expired), counters, topics)
        .prop_map(|(level, expired, counters, topics)| ShardHead { level, expired, counters, topics })
}

pub fn configs() -> impl Strategy<Value = Configs> {
    btree_map(".{0,20}", ".{0,40}", 0..5)
}

pub fn topic_row() -> impl Strategy<Value = TopicRow> {
    (".{0,30}", topic(), 0..=MAX_PARTITIONS, any::<i16>(), any::<i64>(), configs()).prop_map(
        |(name, id, partitions, replication_factor, created, configs)| TopicRow {
            name,
            id,
            partitions,
            replication_factor,
            created,
            configs,
        },
    )
}

pub fn cluster_row() -> impl Strategy<Value = ClusterRow> {
    (".{0,30}", any::<u128>(), 1..=u16::MAX, any::<i64>(), any::<u32>()).prop_map(
        |(cluster_id, incarnation, shards, created, level)| ClusterRow {
            cluster_id,
            incarnation,
            shards,
            created,
            level,
        },
    )
}

pub fn registration_row() -> impl Strategy<Value = RegistrationRow> {
    let place = (".{0,10}", ".{0,30}", any::<u16>());
    let role = prop_oneof![Just(Role::Agent), Just(Role::Compactor)];
    let listener = (".{0,8}", endpoint()).prop_map(|(name, place)| Listener { name, place });
    let places = (vec(listener, 0..3), option::of(endpoint()));
    (registration(), any::<u32>(), any::<i64>(), place, any::<(u32, u32)>(), (role, places)).prop_map(
        |(id, node, started, place, (lowest_level, highest_level), (role, (listeners, peer)))| {
            RegistrationRow {
                id,
                node,
                started,
                zone: place.0,
                host: place.1,
                port: place.2,
                lowest_level,
                highest_level,
                role,
                listeners,
                peer,
            }
        },
    )
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    (".{0,20}", any::<u16>()).prop_map(|(host, port)| Endpoint { host, port })
}

pub fn standing() -> impl Strategy<Value = Standing> {
    any::<u16>().prop_map(Standing::new)
}

pub fn segment_row() -> impl Strategy<Value = SegmentRow> {
    (any::<[bool; 3]>(), any::<u64>(), any::<[u8; 10]>(), shard_set()).prop_map(
        |([inline, writing, merged], length, stamp, shards)| SegmentRow {
            inline,
            writing,
            merged,
            length,
            stamp: Some(stamp),
            shards,
        },
    )
}

pub fn catalog_entry() -> impl Strategy<Value = CatalogEntry> {
    prop_oneof![
        topic_row().prop_map(CatalogEntry::Topic),
        (topic(), ".{0,30}").prop_map(|(id, name)| CatalogEntry::Removed { id, name }),
        (".{0,10}", configs()).prop_map(|(node, configs)| CatalogEntry::Broker { node, configs }),
        any::<u32>().prop_map(|level| CatalogEntry::Feature { level }),
    ]
}

pub fn consumer_head() -> impl Strategy<Value = ConsumerHeadRow> {
    (0..=i32::MAX, 0..=i32::MAX, any::<u64>()).prop_map(|(one, other, topics_digest)| ConsumerHeadRow {
        epoch: one.max(other),
        target_epoch: one.min(other),
        topics_digest,
    })
}

fn partitions() -> impl Strategy<Value = Partitions> {
    let index = prop_oneof![0..300_u32, any::<u32>(), Just(u32::MAX)];
    btree_map(topic(), btree_set(index, 1..6), 0..3)
}

fn classic_part() -> impl Strategy<Value = ClassicPart> {
    let protocol = (".{0,10}", vec(any::<u8>(), 0..20).prop_map(Into::into));
    (0..=i32::MAX, vec(protocol, 0..3))
        .prop_map(|(session_timeout_ms, protocols)| ClassicPart { session_timeout_ms, protocols })
}

pub fn consumer_member() -> impl Strategy<Value = ConsumerMemberRow> {
    let texts = (option::of(".{0,10}"), option::of(".{0,10}"), ".{0,10}", ".{0,10}", option::of(".{0,10}"));
    let wants = (btree_set(".{0,10}", 0..4), option::of(".{0,10}"), option::of(classic_part()), 0..=i32::MAX);
    let state = prop_oneof![
        Just(ConsumerMemberState::Stable),
        Just(ConsumerMemberState::Unrevoked),
        Just(ConsumerMemberState::Unreleased)
    ];
    let owns = (partitions(), partitions(), option::of(partitions()));
    (texts, wants, any::<(i32, i32)>(), state, owns).prop_map(|(texts, wants, epochs, state, owns)| {
        let (instance, rack, client_id, client_host, assignor) = texts;
        let (topics, regex, classic, rebalance_timeout_ms) = wants;
        let (assigned, revoking, target) = owns;
        let target = target.unwrap_or_else(|| assigned.clone());
        let (epoch, previous_epoch) = epochs;
        let who =
            ConsumerMemberRow { instance, rack, client_id, client_host, assignor, ..Default::default() };
        let who = ConsumerMemberRow { rebalance_timeout_ms, topics, regex, classic, ..who };
        ConsumerMemberRow { epoch, previous_epoch, state, assigned, revoking, target, ..who }
    })
}

pub fn cleaned_row() -> impl Strategy<Value = CleanedRow> {
    let open = prop_oneof![
        Just(OpenProducers { all: true, ids: Default::default() }),
        btree_set(offset(), 0..5).prop_map(|ids| OpenProducers { all: false, ids })
    ];
    let round = (any::<i64>(), offset(), offset(), option::of(any::<i64>()), open)
        .prop_map(|(begun, upto, cursor, horizon, open)| CleaningRow { begun, upto, cursor, horizon, open });
    (offset(), any::<i64>(), option::of(any::<i64>()), option::of(round))
        .prop_map(|(first_dirty, begun, horizon, round)| CleanedRow { first_dirty, begun, horizon, round })
}

pub fn txn_row() -> impl Strategy<Value = TxnRow> {
    let ids = (offset(), 0..=i16::MAX, -1..=i16::MAX, -1..=i64::MAX, 0..=i32::MAX);
    let state = prop_oneof![
        Just(TxnState::Empty),
        Just(TxnState::Ongoing),
        Just(TxnState::CompleteCommit),
        Just(TxnState::CompleteAbort)
    ];
    (ids, state, any::<bool>(), any::<(i64, i64)>()).prop_map(|(ids, state, implicit, (started, updated))| {
        let (producer_id, epoch, last_epoch, previous_producer_id, timeout_ms) = ids;
        let ends = TxnRow { producer_id, epoch, last_epoch, previous_producer_id, timeout_ms, ..empty_txn() };
        TxnRow { state, implicit, started, updated, ..ends }
    })
}

fn empty_txn() -> TxnRow {
    TxnRow {
        producer_id: 0,
        epoch: 0,
        last_epoch: -1,
        previous_producer_id: -1,
        timeout_ms: 0,
        state: TxnState::Empty,
        implicit: false,
        started: -1,
        updated: 0,
    }
}
