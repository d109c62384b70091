//! Whatever the builder is given comes back, under every codec, by our reader and by the `kafka-protocol` crate's; and
//! what that crate writes, ours reads and takes.

// Helpers of tests are tests, which clippy's own exception for them doesn't see.
#![allow(clippy::unwrap_used)]

use bytes::{Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as other;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use siltstone_records::{
    Batch, BatchBuilder, Compression, NewRecord, Producer, RecompressLimits, RecordView, Rules, Scratch,
    recompress, stored_header, validate,
};

const CAP: usize = 8 << 20;
const NOW: i64 = 1_700_000_000_000;

#[derive(Debug, Clone, PartialEq)]
struct Sent {
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![vec(any::<u8>(), 0..40), (any::<u8>(), 0..20_000usize).prop_map(|(b, n)| vec![b; n])]
}

fn sent() -> impl Strategy<Value = Sent> {
    let name = vec(0..26u8, 0..6).prop_map(|n| n.iter().map(|c| char::from(b'a' + c)).collect::<String>());
    let headers = vec((name, option::of(vec(any::<u8>(), 0..9))), 0..4);
    (0..NOW * 2, option::of(bytes()), option::of(bytes()), headers)
        .prop_map(|(timestamp, key, value, headers)| Sent { timestamp, key, value, headers })
}

fn codec() -> impl Strategy<Value = Compression> {
    (0..5u8).prop_map(|id| Compression::from_id(id).unwrap())
}

fn build(all: &[Sent], codec: Compression, level: Option<i32>, scratch: &mut Scratch) -> Bytes {
    let producer = Producer { id: 77, epoch: 2, base_sequence: 5 };
    let mut builder = BatchBuilder::new().compression(codec, level).producer(producer).transactional(true);
    for one in all {
        let headers: Vec<_> = one.headers.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        let (key, value) = (one.key.as_deref(), one.value.as_deref());
        builder.push(&NewRecord { timestamp: one.timestamp, key, value, headers: &headers }).unwrap();
    }
    builder.build(scratch).unwrap()
}

fn read(bytes: &Bytes, scratch: &mut Scratch) -> Vec<Sent> {
    let records = Batch::parse(bytes).unwrap().records(CAP, scratch).unwrap();
    let header = |(name, value): (&[u8], Option<&[u8]>)| {
        (String::from_utf8(name.into()).unwrap(), value.map(Vec::from))
    };
    let one = |record: RecordView<'_>| Sent {
        timestamp: record.timestamp,
        key: record.key.map(Vec::from),
        value: record.value.map(Vec::from),
        headers: record.headers().map(header).collect(),
    };
    records.iter().map(|record| one(record.unwrap())).collect()
}

fn rules() -> Rules {
    let defaults = Rules::defaults(NOW);
    Rules { max_message_bytes: CAP, max_decompressed: CAP, timestamp_after_max_ms: i64::MAX, ..defaults }
}

/// The crate keeps headers in a map, so names that occur twice are outside of what can be compared with it.
fn unique_names(all: &mut [Sent]) {
    for one in all {
        one.headers.sort();
        one.headers.dedup_by(|a, b| a.0 == b.0);
    }
}

fn by_other(bytes: &Bytes) -> Vec<Sent> {
    let set = other::RecordBatchDecoder::decode(&mut bytes.clone()).unwrap();
    let one = |record: other::Record| Sent {
        timestamp: record.timestamp,
        key: record.key.map(|key| key.to_vec()),
        value: record.value.map(|value| value.to_vec()),
        headers: record.headers.into_iter().map(|(n, v)| (n.to_string(), v.map(|v| v.to_vec()))).collect(),
    };
    set.records.into_iter().map(one).collect()
}

fn to_other(all: &[Sent]) -> Vec<other::Record> {
    let header = |(name, value): &(String, Option<Vec<u8>>)| {
        (StrBytes::from_string(name.clone()), value.clone().map(Bytes::from))
    };
    let one = |(offset, one): (i64, &Sent)| other::Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: 0,
        producer_id: -1,
        producer_epoch: -1,
        timestamp_type: other::TimestampType::Creation,
        offset,
        // The crate takes a sequence as relative to the base: each record's own has to rise with its offset.
        sequence: offset as i32,
        timestamp: one.timestamp,
        key: one.key.clone().map(Bytes::from),
        value: one.value.clone().map(Bytes::from),
        headers: one.headers.iter().map(header).collect::<IndexMap<_, _>>(),
    };
    (0..).zip(all).map(one).collect()
}

fn other_codec(codec: Compression) -> other::Compression {
    match codec {
        Compression::None => other::Compression::None,
        Compression::Gzip => other::Compression::Gzip,
        Compression::Snappy => other::Compression::Snappy,
        Compression::Lz4 => other::Compression::Lz4,
        Compression::Zstd => other::Compression::Zstd,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_built_is_taken_and_comes_back(
        all in vec(sent(), 1..20), codec in codec(), level in option::of(-5..25i32)
    ) {
        let mut scratch = Scratch::new();
        let bytes = build(&all, codec, level, &mut scratch);
        prop_assert_eq!(&read(&bytes, &mut scratch), &all);
        let checked = validate(&bytes, &rules(), &mut scratch).unwrap();
        prop_assert_eq!(checked.count as usize, all.len());
        let max = all.iter().map(|one| one.timestamp).max();
        prop_assert_eq!(Some(checked.max_timestamp), max);
        let delta = all.iter().position(|one| Some(one.timestamp) == max);
        prop_assert_eq!(checked.max_timestamp_delta.map(|delta| delta as usize), delta);
        prop_assert_eq!(stored_header(&checked), None);
    }

    #[test]
    fn another_codec_changes_only_the_codec(all in vec(sent(), 1..20), from in codec(), to in codec()) {
        let mut scratch = Scratch::new();
        let bytes = build(&all, from, None, &mut scratch);
        let batch = Batch::parse(&bytes).unwrap();
        let limits = RecompressLimits { max_decompressed: CAP, max_message_bytes: CAP };
        let new = recompress(&batch, to, None, limits, &mut scratch).unwrap();
        let checked = validate(&new, &rules(), &mut scratch).unwrap();
        prop_assert_eq!(checked.compression, to);
        prop_assert_eq!(checked.producer, batch.producer());
        prop_assert!(checked.transactional);
        prop_assert_eq!(read(&new, &mut scratch), all);
        let back = recompress(&checked.batch, Compression::None, None, limits, &mut scratch).unwrap();
        let plain = recompress(&batch, Compression::None, None, limits, &mut scratch).unwrap();
        prop_assert_eq!(back, plain);
    }

    #[test]
    fn the_other_opinion_reads_ours(mut all in vec(sent(), 1..20), codec in codec()) {
        unique_names(&mut all);
        prop_assert_eq!(by_other(&build(&all, codec, None, &mut Scratch::new())), all);
    }

    #[test]
    fn we_read_and_take_the_other_opinions(mut all in vec(sent(), 1..20), codec in codec()) {
        unique_names(&mut all);
        let mut out = BytesMut::new();
        let options = other::RecordEncodeOptions { version: 2, compression: other_codec(codec) };
        other::RecordBatchEncoder::encode(&mut out, &to_other(&all), &options).unwrap();
        let bytes = out.freeze();
        let mut scratch = Scratch::new();
        prop_assert_eq!(read(&bytes, &mut scratch), all);
        match validate(&bytes, &rules(), &mut scratch) {
            Ok(checked) => prop_assert_eq!(checked.batch.bytes(), &bytes),
            // Its lz4 frames are of linked blocks, which Kafka's Java readers don't know.
            Err(refusal) => prop_assert!(codec == Compression::Lz4, "{refusal}"),
        }
    }
}

#[test]
fn compaction_keeps_offsets_with_gaps_and_empty_batches() {
    let mut scratch = Scratch::new();
    let one = |i| Sent { timestamp: NOW + i, key: Some(vec![i as u8]), value: None, headers: Vec::new() };
    let bytes = build(&(0..10).map(one).collect::<Vec<_>>(), Compression::Zstd, None, &mut scratch);
    let batch = Batch::parse(&bytes).unwrap();
    let mut kept = BatchBuilder::keeping(&batch);
    let records = batch.records(CAP, &mut scratch).unwrap();
    for record in records.iter().map(Result::unwrap).filter(|record| record.offset_delta % 4 == 1) {
        kept.push_copy(&record).unwrap();
    }
    let kept = Batch::parse(&kept.build(&mut scratch).unwrap()).unwrap();
    assert_eq!((kept.count, kept.last_offset_delta, kept.base_timestamp), (3, 9, NOW + 1));
    assert_eq!((kept.producer(), kept.max_timestamp), (batch.producer(), NOW + 9));
    let records = kept.records(CAP, &mut scratch).unwrap();
    let offsets: Vec<_> = records.iter().map(|r| r.map(|r| (r.offset, r.timestamp)).unwrap()).collect();
    assert_eq!(offsets, [(1, NOW + 1), (5, NOW + 5), (9, NOW + 9)]);

    let empty = Batch::parse(&BatchBuilder::keeping(&batch).build(&mut scratch).unwrap()).unwrap();
    assert_eq!((empty.count, empty.last_offset_delta, empty.total_len()), (0, 9, 61));
    assert_eq!((empty.base_timestamp, empty.max_timestamp), (-1, NOW + 9));
    assert!(empty.crc_is_valid() && empty.attributes.is_transactional());
    assert_eq!(empty.records(CAP, &mut scratch).unwrap().iter().count(), 0);
}
