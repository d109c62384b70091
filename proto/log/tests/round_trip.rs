//! Every format: what is written is read back the same; what was changed on the way is refused or is another value, never a panic.

mod common;

use common::*;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use siltstone_log::*;

/// Bytes with a few of them changed, cut off, or put in.
fn mutated(mut bytes: Vec<u8>, changes: &[(u8, Index, u8)]) -> Vec<u8> {
    for (kind, at, value) in changes {
        let at = at.index(bytes.len() + 1);
        match kind % 4 {
            0 => bytes.truncate(at),
            1 => bytes.insert(at, *value),
            _ => {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = *value;
                }
            }
        }
    }
    bytes
}

fn all_targets(data: &[u8]) {
    fuzz_entry(data);
    fuzz_footer(data);
    fuzz_rows(data);
    fuzz_catalog(data);
    fuzz_groups(data);
    fuzz_transactions(data);
}

fn changes() -> impl Strategy<Value = Vec<(u8, Index, u8)>> {
    let value = prop_oneof![any::<u8>(), Just(0xff), Just(0x80), Just(0)];
    vec((any::<u8>(), any::<Index>(), value), 1..4)
}

macro_rules! round_trips {
    ($($test:ident: $strategy:expr, $encode:expr, $decode:expr, $fuzz:expr;)*) => {
        proptest! {
            $(#[test]
            fn $test(value in $strategy, changes in changes()) {
                let bytes: Vec<u8> = $encode(&value);
                prop_assert_eq!($decode(&bytes), Ok(value));
                for cut in 0..bytes.len() {
                    prop_assert!($decode(&bytes[..cut]).is_err(), "a value cut at {} must be refused", cut);
                }
                let mut longer = bytes.clone();
                longer.push(0);
                prop_assert!($decode(&longer).is_err(), "a value with a byte too many must be refused");
                $fuzz(&mutated(bytes, &changes));
            })*
        }
    };
}

round_trips! {
    entries: entry(), Entry::encode, Entry::decode, fuzz_entry;
    footers: footer(), Footer::encode, Footer::decode, fuzz_footer;
    cleaned_rows: cleaned_row(), CleanedRow::encode, CleanedRow::decode, fuzz_rows;
    partition_rows: partition_row(), PartitionRow::encode, PartitionRow::decode, fuzz_rows;
    extents: vec(extent(), 0..6), |all: &Vec<Extent>| encode_extents(all), decode_extents, fuzz_rows;
    aborted_chunks: vec(aborted(), 0..6), |all: &Vec<Aborted>| encode_aborted(all), decode_aborted, fuzz_rows;
    segment_rows: segment_row(), SegmentRow::encode, SegmentRow::decode, fuzz_rows;
    erasure_rows: erasure_row(), ErasureRow::encode, ErasureRow::decode, fuzz_rows;
    erased_objects: erased_object(), ErasedObject::encode, ErasedObject::decode, fuzz_rows;
    heads: head(), ShardHead::encode, ShardHead::decode, fuzz_rows;
    topics: topic_row(), TopicRow::encode, TopicRow::decode, fuzz_catalog;
    clusters: cluster_row(), ClusterRow::encode, ClusterRow::decode, fuzz_catalog;
    registrations: registration_row(), RegistrationRow::encode, RegistrationRow::decode, fuzz_catalog;
    standings: standing(), Standing::encode, Standing::decode, fuzz_catalog;
    catalog_entries: catalog_entry(), CatalogEntry::encode, CatalogEntry::decode, fuzz_catalog;
    configs_rows: configs(), encode_configs, decode_configs, fuzz_catalog;
    consumer_heads: consumer_head(), ConsumerHeadRow::encode, ConsumerHeadRow::decode, fuzz_groups;
    consumer_members: consumer_member(), ConsumerMemberRow::encode, ConsumerMemberRow::decode, fuzz_groups;
    transactions: txn_row(), TxnRow::encode, TxnRow::decode, fuzz_transactions;
}

proptest! {
    #[test]
    fn any_bytes_are_harmless(mut data in vec(any::<u8>(), 0..200), version: bool, kind in 0_u8..11) {
        if version && data.len() > 1 {
            data[0] = 1;
            data[1] = kind;
        }
        all_targets(&data);
    }

    /// A segment with one bit changed anywhere in its footer or trailer is found out.
    #[test]
    fn a_footer_with_a_flipped_bit_is_refused(value in footer(), at: Index, bit in 0..8_u8) {
        let mut bytes = value.encode();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Footer::decode(&bytes).is_err());
    }

    #[test]
    fn a_footer_is_found_from_the_trailer(value in footer()) {
        let bytes = value.encode();
        prop_assert_eq!(Footer::length(&bytes[bytes.len() - TRAILER_BYTES..]), Ok(bytes.len()));
    }
}

/// Puts a count of 2^63 at every place of every kind of value: refused before anything is allocated for it. (If not, this test would
/// need more memory than there is.)
#[test]
fn counts_that_lie_are_refused() {
    let lie = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x01];
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    for _ in 0..20 {
        let mut any =
            |strategy: BoxedStrategy<Vec<u8>>| strategy.new_tree(&mut runner).expect("a value").current();
        let values = [
            any(entry().prop_map(|value| value.encode()).boxed()),
            any(footer().prop_map(|value| value.encode()).boxed()),
            any(partition_row().prop_map(|value| value.encode()).boxed()),
            any(consumer_member().prop_map(|value| value.encode()).boxed()),
            any(erasure_row().prop_map(|value| value.encode()).boxed()),
            any(erased_object().prop_map(|value| value.encode()).boxed()),
            any(head().prop_map(|value| value.encode()).boxed()),
            any(vec(extent(), 0..4).prop_map(|value| encode_extents(&value)).boxed()),
            any(vec(aborted(), 0..4).prop_map(|value| encode_aborted(&value)).boxed()),
            any(catalog_entry().prop_map(|value| value.encode()).boxed()),
            any(registration_row().prop_map(|value| value.encode()).boxed()),
        ];
        for bytes in values {
            for at in 1..bytes.len() {
                let mut lying = bytes[..at].to_vec();
                lying.extend_from_slice(&lie);
                lying.extend_from_slice(&bytes[at..]);
                all_targets(&lying);
            }
        }
    }
}

#[test]
fn unknown_versions_and_kinds_are_told_apart_from_damage() {
    let version =
        |result: Result<Entry, FormatError>| matches!(result, Err(FormatError::UnknownVersion { .. }));
    assert!(version(Entry::decode(&[2, 4])), "another version");
    assert!(version(Entry::decode(&[1, 99])), "another kind");
    assert!(matches!(CatalogEntry::decode(&[1, 99]), Err(FormatError::UnknownVersion { version: 99, .. })));
    assert!(matches!(PartitionRow::decode(&[9]), Err(FormatError::UnknownVersion { version: 9, .. })));
    assert!(matches!(Entry::decode(&[]), Err(FormatError::Short { .. })));
}

#[test]
fn values_that_contradict_themselves_are_refused() {
    let id = SegmentId { registration: RegistrationId(1), number: 1 };
    let batch = BatchMeta {
        bytes: 10,
        records: 1,
        max_timestamp: 0,
        producer: None,
        transactional: false,
        void: false,
    };
    let entry = |start: u64, length: u32, bytes: u32, records: u32| {
        let place = BlockPlace { start, length, encoding: Encoding::Plain };
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        let block = Block { partition, place, batches: vec![BatchMeta { bytes, records, ..batch }] };
        let segment = SegmentPlace { id, inline: false, length: 100 };
        let append =
            Append { registration: id.registration, counter: 1, at: 0, segment, blocks: vec![block] };
        Entry::decode(&Entry::Append(append).encode())
    };
    assert!(entry(90, 10, 10, 1).is_ok());
    assert!(entry(91, 10, 10, 1).is_err(), "a block beyond its segment");
    assert!(entry(u64::MAX, 10, 10, 1).is_err(), "a block at no place at all");
    assert!(entry(0, 10, 9, 1).is_err(), "batches that don't fill the block");
    assert!(entry(0, 10, 10, 0).is_err(), "a batch without records");
    assert!(entry(0, 10, 10, u32::MAX).is_err(), "more records than a batch can hold");
    let row = PartitionRow { log_start: 2, next: 1, ..PartitionRow::default() };
    assert!(PartitionRow::decode(&row.encode()).is_err(), "a log start beyond the end");
    let created = Entry::Created { topic: TopicId(1), first: 0, end: MAX_PARTITIONS + 1, at: 0 };
    assert!(Entry::decode(&created.encode()).is_err(), "more partitions than a topic can have");
}
