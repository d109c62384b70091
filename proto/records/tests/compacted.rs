//! What compaction leaves of batches: what Kafka's own classes left of the same ones (fixtures/compacted.txt), and what must hold for any.

// Helpers of tests are tests, which clippy's own exception for them doesn't see.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use siltstone_records::{
    Batch, BatchBuilder, Compression, NewRecord, Producer, RecordView, Scratch, emptied, rewritten,
};

const CAP: usize = 1 << 20;

fn bytes(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// What Kafka does: a batch that keeps tombstones, or that ends a transaction of which nothing is left, gets a horizon once.
fn by_us(batch: &Batch, kept: &[i32], horizon: i64, scratch: &mut Scratch) -> Bytes {
    let records = batch.records(CAP, scratch).unwrap();
    let kept: Vec<_> =
        records.iter().map(Result::unwrap).filter(|record| kept.contains(&record.offset_delta)).collect();
    if kept.is_empty() {
        return emptied(batch, scratch).unwrap();
    }
    let wants = batch.attributes.is_control() || kept.iter().any(|record| record.value.is_none());
    let new = (wants && batch.delete_horizon().is_none()).then_some(horizon);
    if new.is_none() && kept.len() == batch.count as usize {
        return batch.bytes().clone();
    }
    rewritten(batch, kept, new, None, scratch).unwrap()
}

#[test]
fn what_kafkas_classes_leave() {
    let text = include_str!("../fixtures/compacted.txt");
    let mut scratch = Scratch::new();
    for line in text.lines() {
        let [name, from, kept, horizon, to] = line.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        let kept: Vec<i32> =
            kept.split(',').filter(|delta| *delta != "-").map(|d| d.parse().unwrap()).collect();
        let from = Batch::parse(&bytes(from)).unwrap();
        let ours = by_us(&from, &kept, horizon.parse().unwrap(), &mut scratch);
        let (ours, theirs) = (Batch::parse(&ours).unwrap(), Batch::parse(&bytes(to)).unwrap());
        assert!(ours.crc_is_valid() && theirs.crc_is_valid(), "{name}");
        // Compressors differ from one another, so length and CRC may.
        let (length, crc) = (theirs.length, theirs.crc);
        let header = siltstone_records::Header { length, crc, ..*ours.header() };
        assert_eq!(header, *theirs.header(), "{name}");
        let records = |batch: &Batch, scratch: &mut Scratch| batch.records(CAP, scratch).unwrap();
        let (our_records, their_records) = (records(&ours, &mut scratch), records(&theirs, &mut scratch));
        assert_eq!(our_records.bytes(), their_records.bytes(), "{name}");
        if theirs.attributes.compression() == Ok(Compression::None) {
            assert_eq!(ours.bytes(), theirs.bytes(), "{name}");
        }
        assert_eq!(our_records.iter().count(), kept.len(), "{name}");
    }
    assert_eq!(text.lines().count(), 128);
}

#[derive(Debug, Clone)]
struct Sent {
    gap: i32,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    keep: bool,
}

fn sent() -> impl Strategy<Value = Sent> {
    let part = || option::of(vec(any::<u8>(), 0..30));
    let headers = vec(("[a-c]{0,3}", part()), 0..3);
    let timestamp = prop_oneof![Just(-1), -5_000..5_000i64, 1_700_000_000_000..1_700_000_100_000i64];
    (1..50i32, timestamp, part(), part(), headers, any::<bool>()).prop_map(
        |(gap, timestamp, key, value, headers, keep)| Sent { gap, timestamp, key, value, headers, keep },
    )
}

/// A batch with gaps, such as compaction has left before.
fn built(all: &[Sent], builder: BatchBuilder, scratch: &mut Scratch) -> Batch {
    let (mut builder, mut delta) = (builder, -1);
    for one in all {
        delta += one.gap;
        let headers: Vec<_> = one.headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        let (key, value) = (one.key.as_deref(), one.value.as_deref());
        builder
            .push_at(delta, &NewRecord { timestamp: one.timestamp, key, value, headers: &headers })
            .unwrap();
    }
    Batch::parse(&builder.last_offset_delta(delta + 3).build(scratch).unwrap()).unwrap()
}

type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>);

fn seen(record: &RecordView<'_>) -> Seen {
    let headers = record.headers().map(|(name, value)| (name.to_vec(), value.map(Vec::from))).collect();
    (record.offset, record.timestamp, record.key.map(Vec::from), record.value.map(Vec::from), headers)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_changes_of_what_is_kept(
        all in vec(sent(), 1..15), codec in 0..5u8, append in option::of(1_700_000_000_000..1_700_000_009_999i64),
        old in option::of(0..2_000_000_000_000i64), new in option::of(0..2_000_000_000_000i64), txn: bool,
    ) {
        let mut scratch = Scratch::new();
        let producer = Producer { id: 77, epoch: 2, base_sequence: i32::MAX - 3 };
        let codec = Compression::from_id(codec).unwrap();
        let mut builder = BatchBuilder::new().base_offset(1 << 40).producer(producer).transactional(txn);
        builder = builder.compression(codec, None);
        if let Some(time) = append {
            builder = builder.log_append_time(time);
        }
        if let Some(horizon) = old {
            builder = builder.delete_horizon(horizon);
        }
        let batch = built(&all, builder, &mut scratch);
        let records = batch.records(CAP, &mut scratch).unwrap();
        let kept = records.iter().map(Result::unwrap).zip(&all).filter(|(_, one)| one.keep).map(|(record, _)| record);
        let kept: Vec<_> = kept.collect();
        let out = match kept.is_empty() {
            true => emptied(&batch, &mut scratch),
            false => rewritten(&batch, kept.iter().copied(), new, Some(1), &mut scratch),
        };
        let out = Batch::parse(&out.unwrap()).unwrap();

        prop_assert!(out.crc_is_valid());
        prop_assert_eq!((out.base_offset, out.last_offset()), (batch.base_offset, batch.last_offset()));
        prop_assert_eq!((out.producer(), out.count as usize), (batch.producer(), kept.len()));
        prop_assert_eq!(out.attributes.timestamp_type(), batch.attributes.timestamp_type());
        prop_assert_eq!(out.attributes.is_transactional(), txn);
        let after = out.records(CAP, &mut scratch).unwrap();
        let after: Vec<_> = after.iter().map(|record| seen(&record.unwrap())).collect();
        prop_assert_eq!(after, kept.iter().map(seen).collect::<Vec<_>>());
        let newest = kept.iter().map(|record| record.timestamp).max().unwrap_or(batch.max_timestamp);
        prop_assert_eq!(out.max_timestamp, append.unwrap_or(newest));
        if kept.is_empty() {
            prop_assert_eq!((out.delete_horizon(), out.base_timestamp, out.total_len()), (None, -1, 61));
            prop_assert_eq!(out.attributes.compression(), Ok(Compression::None));
        } else {
            prop_assert_eq!(out.delete_horizon(), new.or(old));
            prop_assert_eq!(out.attributes.compression(), Ok(codec));
        }
    }
}
