//! Values that were written once and must be read for ever, and that today's encoders must still write the same.
//!
//! A new version of a format adds files in a folder of its own; the ones that are there never change.

use std::collections::BTreeMap;
use std::path::PathBuf;

use siltstone_log::*;

const TOPIC: TopicId = TopicId(0x0011_2233_4455_4677_8899_aabb_ccdd_eeff);
const AGENT: RegistrationId = RegistrationId(0xfedc_ba98_7654_3210_0123_4567_89ab_cdef);
const AT: i64 = 1_760_000_000_123;

fn partition(index: u32) -> PartitionId {
    PartitionId { topic: TOPIC, index }
}

fn segment(inline: bool) -> SegmentPlace {
    SegmentPlace { id: SegmentId { registration: AGENT, number: 300 }, inline, length: 70_000 }
}

fn place(start: u64, length: u32) -> BlockPlace {
    BlockPlace { start, length, encoding: Encoding::Plain }
}

fn batch(bytes: u32, records: u32, sequence: Option<i32>) -> BatchMeta {
    let producer =
        sequence.map(|first_sequence| ProducerMeta { id: 4_000_000_000, epoch: 7, first_sequence });
    BatchMeta {
        bytes,
        records,
        max_timestamp: AT - 5,
        producer,
        transactional: sequence.is_some(),
        void: false,
    }
}

fn append() -> Entry {
    let zstd = BlockPlace { start: 1000, length: 500, encoding: Encoding::Zstd { raw_length: 2100 } };
    Entry::Append(Append {
        registration: AGENT,
        counter: 129,
        at: AT,
        segment: segment(false),
        blocks: vec![
            Block { partition: partition(0), place: place(0, 1000), batches: vec![batch(1000, 10, None)] },
            Block {
                partition: partition(300),
                place: zstd,
                batches: vec![batch(100, 1, Some(0)), batch(2000, 200, Some(i32::MAX))],
            },
        ],
    })
}

fn entries() -> Vec<(&'static str, Entry)> {
    vec![
        ("entry-append", append()),
        ("entry-trim", Entry::Trim { partition: partition(2), offset: 1 << 40 }),
        ("entry-created", Entry::Created { topic: TOPIC, first: 3, end: 1000, at: AT }),
        ("entry-deleted", Entry::Deleted { topic: TOPIC }),
        ("entry-expire", Entry::Expire { before: -5, ids_below: 5000 }),
        ("entry-ended", Entry::Ended { registration: AGENT }),
        ("entry-feature", Entry::Feature { level: 2 }),
    ]
}

fn footer() -> Footer {
    let block = |index, start, length| FooterBlock {
        partition: partition(index),
        place: place(start, length),
        checksum: 0xdead_beef,
    };
    Footer { id: segment(false).id, at: AT, blocks: vec![block(0, 0, 1000), block(1, 1000, 77)] }
}

fn position(n: u8) -> Position {
    Position::new([0, 0, 0, 0, 1, 2, 3, 4, 5, n], 0x0102)
}

fn partition_row() -> PartitionRow {
    let sequence = |first, base_offset| SequenceRow { first, records: 3, base_offset };
    let producer =
        ProducerRow { epoch: 1, last_used: AT, batches: vec![sequence(i32::MAX - 2, 40), sequence(0, 43)] };
    PartitionRow {
        horizon: position(1),
        log_start: 5,
        next: 46,
        bytes: 1 << 33,
        digest: 0x0123_4567_89ab_cdef,
        forgotten_below: 9,
        last_chunk: Some(ChunkRow { base: 10, extents: 2 }),
        producers: BTreeMap::from([
            (7, producer),
            (1 << 33, ProducerRow { epoch: 0, last_used: -1, batches: vec![] }),
        ]),
        open: BTreeMap::new(),
        aborted: None,
        erasures: BTreeMap::new(),
    }
}

fn marker(commit: bool) -> EndMarker {
    EndMarker { producer_id: 4_000_000_000, epoch: 8, commit }
}

fn entries_of_transactions() -> Vec<(&'static str, Entry)> {
    let void = BatchMeta { void: true, ..batch(1000, 10, Some(3)) };
    let Entry::Append(some) = append() else { unreachable!() };
    let block = Block { partition: partition(0), place: place(0, 1000), batches: vec![void] };
    let other = PartitionId { topic: TopicId(7), index: 0 };
    let ends = [partition(0), partition(300), other];
    vec![
        ("v2/entry-append-void", Entry::Append(Append { blocks: vec![block], ..some })),
        (
            "v2/entry-txn-end",
            Entry::TxnEnd(TxnEnd { marker: marker(true), at: AT, partitions: ends.to_vec() }),
        ),
    ]
}

fn partition_row_with_transactions() -> PartitionRow {
    let aborted = AbortedRow { chunk: ChunkRow { base: 20, extents: 3 }, last: 44 };
    PartitionRow { open: BTreeMap::from([(7, 40), (1 << 33, 45)]), aborted: Some(aborted), ..partition_row() }
}

fn extents_with_markers() -> Vec<Extent> {
    let place = ExtentPlace::Marker(marker(false));
    let [first, ..] = extents()[..] else { unreachable!() };
    vec![first, Extent { base: 46, records: 1, bytes_before: 14_345, place, length: 78, max_timestamp: AT }]
}

const ERASURE: ErasureId = ErasureId(0x0f1e_2d3c_4b5a_4697_8877_6655_4433_2211);

fn erased_keys() -> std::collections::BTreeSet<KeyDigest> {
    [&b"alice"[..], b"bob", b""].into_iter().map(|key| KeyDigest::of(TOPIC, key)).collect()
}

fn entries_of_erasures() -> Vec<(&'static str, Entry)> {
    vec![
        ("v3/entry-erase", Entry::Erase { erasure: ERASURE, topic: TOPIC, keys: erased_keys() }),
        ("v3/entry-erased", Entry::Erased { erasure: ERASURE, topic: TOPIC }),
    ]
}

fn partition_row_with_erasures() -> PartitionRow {
    let erased = ErasedRow { upto: 44, keys: erased_keys().into() };
    PartitionRow { erasures: BTreeMap::from([(ERASURE, erased)]), ..partition_row_with_transactions() }
}

fn erasure_rows() -> Vec<(&'static str, ErasureRow)> {
    let asked = ErasureRow {
        stamp: Some([9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        topic: TOPIC,
        name: "orders.v1".to_owned(),
        partitions: 1000,
        requested: AT,
        named: 3,
        keys: erased_keys(),
        invisible: None,
        scan: ErasureScan::Under { trash: false, last: segment(false).id },
        scanned: None,
        completed: None,
        topic_deleted: false,
    };
    let over = ErasureRow {
        keys: Default::default(),
        invisible: Some(AT + 5_000),
        scan: ErasureScan::Done,
        scanned: Some(AT + 60_000),
        completed: Some(AT + 900_000),
        topic_deleted: true,
        ..asked.clone()
    };
    vec![("erasure", asked), ("erasure-completed", over)]
}

fn erased_object() -> ErasedObject {
    let shards = ShardSet::of([ShardId(0), ShardId(9)], 16);
    let length = 70_000;
    ErasedObject { inline: false, length, records: 300, found: AT, deleted: Some(AT + 1), shards }
}

fn aborted() -> Vec<Aborted> {
    vec![
        Aborted { producer_id: 7, first: 3, last: 20, stable: 9 },
        Aborted { producer_id: 1 << 33, first: 9, last: 300, stable: 301 },
    ]
}

fn extents() -> Vec<Extent> {
    let extent = |base, inline| Extent {
        base,
        records: 36,
        bytes_before: 12_345,
        place: ExtentPlace::Stored {
            segment: segment(inline),
            block: place(4096, 2048),
            start: 48,
            level: 0,
        },
        length: 2000,
        max_timestamp: AT,
    };
    vec![extent(10, false), extent(46, true)]
}

fn head() -> ShardHead {
    ShardHead {
        level: 2,
        expired: Some(Expired { position: position(2), before: AT, ids_below: 1000 }),
        counters: BTreeMap::from([(AGENT, 129), (RegistrationId(1), 1)]),
        topics: BTreeMap::from([(TOPIC, 1000)]),
    }
}

fn configs() -> Configs {
    let pairs = [("retention.ms", "604800000"), ("cleanup.policy", "compact,delete"), ("empty", "")];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn txn_row() -> TxnRow {
    TxnRow {
        producer_id: 1 << 33,
        epoch: 7,
        last_epoch: 6,
        previous_producer_id: 4_000,
        timeout_ms: 60_000,
        state: TxnState::Ongoing,
        implicit: true,
        started: AT,
        updated: AT + 1,
    }
}

fn new_txn_row() -> TxnRow {
    TxnRow {
        producer_id: 0,
        epoch: 0,
        last_epoch: -1,
        previous_producer_id: -1,
        timeout_ms: i32::MAX,
        state: TxnState::Empty,
        implicit: false,
        started: -1,
        updated: AT,
    }
}

fn cleaned_rows() -> Vec<(&'static str, CleanedRow)> {
    let open = OpenProducers { all: false, ids: [7, 1 << 33].into() };
    let round = CleaningRow { begun: AT, upto: 1 << 41, cursor: 300, horizon: Some(AT + 86_400_000), open };
    let row = CleanedRow { first_dirty: 1 << 40, begun: AT - 1000, horizon: None, round: None };
    vec![
        ("cleaned-row", row.clone()),
        ("cleaned-row-round", CleanedRow { horizon: Some(-1), round: Some(round), ..row }),
    ]
}

fn topic_row() -> TopicRow {
    TopicRow {
        name: "orders.v1".to_owned(),
        id: TOPIC,
        partitions: 1000,
        replication_factor: -1,
        created: AT,
        configs: configs(),
    }
}

fn cluster_row() -> ClusterRow {
    ClusterRow {
        cluster_id: "AAECAwQFBgcICQoLDA0ODw".to_owned(),
        incarnation: 42,
        shards: 256,
        created: AT,
        level: 2,
    }
}

fn registration_row() -> RegistrationRow {
    RegistrationRow {
        id: AGENT,
        node: 3,
        started: AT,
        zone: "zone-a".to_owned(),
        host: "agent-3.example".to_owned(),
        port: 9092,
        lowest_level: 1,
        highest_level: 2,
        role: Role::Agent,
        listeners: Vec::new(),
        peer: None,
    }
}

fn places_row() -> RegistrationRow {
    let at = |host: &str, port| Endpoint { host: host.to_owned(), port };
    let listeners = vec![
        Listener { name: "inside".to_owned(), place: at("10.0.0.3", 9094) },
        Listener { name: "zone-b".to_owned(), place: at("agent-3.b.example", 300) },
    ];
    RegistrationRow { listeners, peer: Some(at("10.0.0.3", 9095)), ..registration_row() }
}

fn compactor_row() -> RegistrationRow {
    RegistrationRow { port: 0, host: String::new(), role: Role::Compactor, ..registration_row() }
}

fn merged_extents() -> Vec<Extent> {
    let [first, last] = extents_with_markers()[..] else { unreachable!() };
    let ExtentPlace::Stored { segment, block, start, .. } = first.place else { unreachable!() };
    let place = ExtentPlace::Stored { segment, block, start, level: 2 };
    vec![Extent { place, ..first }, first, last]
}

fn segment_rows() -> Vec<(&'static str, SegmentRow)> {
    let stamp = Some([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let shards = ShardSet::of([ShardId(0), ShardId(9)], 16);
    let object = SegmentRow {
        inline: false,
        writing: true,
        merged: true,
        length: 70_000,
        stamp,
        shards: shards.clone(),
    };
    vec![
        (
            "segment-row",
            SegmentRow { inline: true, writing: false, merged: false, stamp: None, ..object.clone() },
        ),
        ("v2/segment-row", object),
    ]
}

fn catalog_entries() -> Vec<(&'static str, CatalogEntry)> {
    vec![
        ("catalog-topic", CatalogEntry::Topic(topic_row())),
        ("catalog-removed", CatalogEntry::Removed { id: TOPIC, name: "orders.v1".to_owned() }),
        ("catalog-broker", CatalogEntry::Broker { node: "3".to_owned(), configs: configs() }),
        ("catalog-feature", CatalogEntry::Feature { level: 2 }),
    ]
}

fn consumer_head() -> ConsumerHeadRow {
    ConsumerHeadRow { epoch: 300, target_epoch: 299, topics_digest: 0x0123_4567_89ab_cdef }
}

fn consumer_members() -> Vec<(&'static str, ConsumerMemberRow)> {
    let partitions = |some: &[u32]| Partitions::from([(TOPIC, some.iter().copied().collect())]);
    let member = ConsumerMemberRow {
        rack: Some("zone-a".to_owned()),
        client_id: "billing-1".to_owned(),
        client_host: "/10.0.0.7".to_owned(),
        rebalance_timeout_ms: 300_000,
        assignor: Some("uniform".to_owned()),
        topics: ["orders".to_owned(), "orders.v1".to_owned()].into(),
        regex: Some("audit\\..*".to_owned()),
        epoch: 299,
        previous_epoch: 298,
        state: ConsumerMemberState::Unrevoked,
        assigned: partitions(&[0, 1, 2, 300]),
        revoking: partitions(&[3]),
        target: partitions(&[0, 1, 2, 4, 300]),
        ..ConsumerMemberRow::default()
    };
    let classic = ConsumerMemberRow {
        instance: Some("billing-2".to_owned()),
        classic: Some(ClassicPart {
            session_timeout_ms: 45_000,
            protocols: vec![
                ("range".to_owned(), b"subscription".as_slice().into()),
                (String::new(), Default::default()),
            ],
        }),
        epoch: -2,
        state: ConsumerMemberState::Unreleased,
        assigned: partitions(&[7]),
        target: partitions(&[7]),
        ..ConsumerMemberRow::default()
    };
    vec![("consumer-member", member), ("consumer-member-classic", classic)]
}

/// Formats of the first version are in a folder of their own; later ones are named with theirs.
fn path(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let name = format!("{name}.bin");
    if name.contains('/') { folder.join(name) } else { folder.join("v1").join(name) }
}

fn files() -> usize {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    ["v1", "v2", "v3"]
        .map(|version| std::fs::read_dir(folder.join(version)).expect("a folder of fixtures").count())
        .iter()
        .sum()
}

/// Every fixture's name, and the bytes that it must have.
fn all() -> Vec<(&'static str, Vec<u8>)> {
    let mut all: Vec<(&'static str, Vec<u8>)> = Vec::new();
    all.extend(entries().into_iter().map(|(name, entry)| (name, entry.encode())));
    all.extend(catalog_entries().into_iter().map(|(name, entry)| (name, entry.encode())));
    all.extend(consumer_members().into_iter().map(|(name, row)| (name, row.encode())));
    all.push(("consumer-head", consumer_head().encode()));
    all.push(("segment-footer", footer().encode()));
    all.push(("partition-row", partition_row().encode()));
    all.push(("extent-chunk", encode_extents(&extents())));
    all.push(("shard-head", head().encode()));
    all.push(("transaction", txn_row().encode()));
    all.push(("transaction-new", new_txn_row().encode()));
    all.push(("topic-row", topic_row().encode()));
    all.push(("cluster-row", cluster_row().encode()));
    all.push(("registration-row", registration_row().encode()));
    all.push(("configs-row", encode_configs(&configs())));
    all.extend(entries_of_transactions().into_iter().map(|(name, entry)| (name, entry.encode())));
    all.push(("v2/partition-row", partition_row_with_transactions().encode()));
    all.push(("v2/extent-chunk", encode_extents(&extents_with_markers())));
    all.push(("v2/aborted-chunk", encode_aborted(&aborted())));
    all.push(("v2/registration-row", compactor_row().encode()));
    all.push(("v3/registration-row", places_row().encode()));
    all.push(("standing", Standing::new(300).encode()));
    all.extend(cleaned_rows().into_iter().map(|(name, row)| (name, row.encode())));
    all.push(("v3/extent-chunk", encode_extents(&merged_extents())));
    all.extend(entries_of_erasures().into_iter().map(|(name, entry)| (name, entry.encode())));
    all.push(("v3/partition-row", partition_row_with_erasures().encode()));
    all.extend(erasure_rows().into_iter().map(|(name, row)| (name, row.encode())));
    all.push(("erased-object", erased_object().encode()));
    all.extend(segment_rows().into_iter().map(|(name, row)| (name, row.encode())));
    all
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Writes the fixtures that are not there yet: `cargo test -p siltstone-log --test fixtures -- --ignored`. Never changes one.
#[test]
#[ignore = "writes files; for the author of a new format"]
fn write_missing() {
    for (name, bytes) in all() {
        let path = path(name);
        if !path.exists() {
            std::fs::write(path, bytes).unwrap();
        }
    }
    assert_eq!(files(), all().len());
}

#[test]
fn the_fixtures_are_what_todays_encoder_writes() {
    for (name, bytes) in all() {
        assert_eq!(read(name), bytes, "{name}: the encoder has changed without a new version");
    }
    assert_eq!(files(), all().len(), "a fixture without a test");
}

#[test]
fn the_fixtures_open_for_ever() {
    for (name, entry) in entries().into_iter().chain(entries_of_transactions()).chain(entries_of_erasures()) {
        assert_eq!(Entry::decode(&read(name)), Ok(entry), "{name}");
    }
    for (name, entry) in catalog_entries() {
        assert_eq!(CatalogEntry::decode(&read(name)), Ok(entry), "{name}");
    }
    for (name, row) in consumer_members() {
        assert_eq!(ConsumerMemberRow::decode(&read(name)), Ok(row), "{name}");
    }
    assert_eq!(ConsumerHeadRow::decode(&read("consumer-head")), Ok(consumer_head()));
    assert_eq!(Footer::decode(&read("segment-footer")), Ok(footer()));
    assert_eq!(PartitionRow::decode(&read("partition-row")), Ok(partition_row()));
    assert_eq!(decode_extents(&read("extent-chunk")), Ok(extents()));
    assert_eq!(PartitionRow::decode(&read("v2/partition-row")), Ok(partition_row_with_transactions()));
    assert_eq!(decode_extents(&read("v2/extent-chunk")), Ok(extents_with_markers()));
    assert_eq!(decode_aborted(&read("v2/aborted-chunk")), Ok(aborted()));
    assert_eq!(decode_extents(&read("v3/extent-chunk")), Ok(merged_extents()));
    assert_eq!(RegistrationRow::decode(&read("v2/registration-row")), Ok(compactor_row()));
    assert_eq!(RegistrationRow::decode(&read("v3/registration-row")), Ok(places_row()));
    assert_eq!(Standing::decode(&read("standing")), Ok(Standing::new(300)));
    for (name, row) in cleaned_rows() {
        assert_eq!(CleanedRow::decode(&read(name)), Ok(row), "{name}");
    }
    for (name, row) in segment_rows() {
        assert_eq!(SegmentRow::decode(&read(name)), Ok(row), "{name}");
    }
    assert_eq!(PartitionRow::decode(&read("v3/partition-row")), Ok(partition_row_with_erasures()));
    for (name, row) in erasure_rows() {
        assert_eq!(ErasureRow::decode(&read(name)), Ok(row), "{name}");
    }
    assert_eq!(ErasedObject::decode(&read("erased-object")), Ok(erased_object()));
    assert_eq!(ShardHead::decode(&read("shard-head")), Ok(head()));
    assert_eq!(TxnRow::decode(&read("transaction")), Ok(txn_row()));
    assert_eq!(TxnRow::decode(&read("transaction-new")), Ok(new_txn_row()));
    assert_eq!(TopicRow::decode(&read("topic-row")), Ok(topic_row()));
    assert_eq!(ClusterRow::decode(&read("cluster-row")), Ok(cluster_row()));
    assert_eq!(RegistrationRow::decode(&read("registration-row")), Ok(registration_row()));
    assert_eq!(decode_configs(&read("configs-row")), Ok(configs()));
}
