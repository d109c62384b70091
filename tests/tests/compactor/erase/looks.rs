//! Writing records of any key, and looking for them: as a reader, and in the bytes of the bucket.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_agent::fetch::{FetchPartition, FetchSpec};
use siltstone_agent::produce::{BatchTransaction, NewBatch, Placement};
use siltstone_configs::{BrokerConfig, BrokerLayers};
use siltstone_log::{
    BatchMeta, Encoding, ErasedObject, ErasureId, Footer, PartitionId, ProducerMeta, SegmentId, TRAILER_BYTES,
};
use siltstone_metadata::keys::{erasure, inline_segment, parts, segment_row};
use siltstone_metadata::shard::Verdict;
use siltstone_metadata::transaction::{EndRequest, InitRequest};
use siltstone_records::{Batch, BatchBuilder, Compression, NewRecord, Producer, Scratch, batches};
use siltstone_store::{KeyRange, RangeLimit};

use crate::kit::Setup;

pub const ALICE: &str = "alice@example.org";
/// In every value of hers, and in no other.
pub const SECRET: &str = "the secret of alice";

/// What a reader sees of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub offset: i64,
    pub timestamp: i64,
    pub key: Option<Bytes>,
    pub value: Option<Bytes>,
    pub headers: Vec<(Bytes, Option<Bytes>)>,
}

/// A batch with records of these keys. What is Alice's says so, and is told apart from what she writes later.
pub fn batch(partition: PartitionId, round: usize, keys: &[Option<&str>], codec: Compression) -> NewBatch {
    of_producer(partition, round, keys, codec, None)
}

fn of_producer(
    partition: PartitionId,
    round: usize,
    keys: &[Option<&str>],
    codec: Compression,
    producer: Option<(ProducerMeta, BatchTransaction)>,
) -> NewBatch {
    let mut builder = BatchBuilder::new().compression(codec, None).transactional(producer.is_some());
    if let Some((meta, _)) = &producer {
        let base_sequence = meta.first_sequence;
        builder = builder.producer(Producer { id: meta.id, epoch: meta.epoch, base_sequence });
    }
    for (at, key) in keys.iter().enumerate() {
        let value = match *key == Some(ALICE) && round != 99 {
            true => format!("{SECRET} {round} {at} {}", "x".repeat(400)),
            false => format!("value {round} {at} {}", "y".repeat(400)),
        };
        let header = format!("h{at}");
        let record = NewRecord {
            timestamp: 1_750_000_000_000 + (round * 10 + at) as i64,
            key: key.map(str::as_bytes),
            value: Some(value.as_bytes()),
            headers: &[(&header, Some(b"1")), ("null", None)],
        };
        builder.push(&record).unwrap();
    }
    new_batch(partition, builder, codec, keys.len(), producer)
}

/// A record without a value.
pub fn tombstone(partition: PartitionId, key: &str) -> NewBatch {
    let mut builder = BatchBuilder::new();
    let record =
        NewRecord { timestamp: 1_750_000_000_999, key: Some(key.as_bytes()), value: None, headers: &[] };
    builder.push(&record).unwrap();
    new_batch(partition, builder, Compression::None, 1, None)
}

fn new_batch(
    partition: PartitionId,
    builder: BatchBuilder,
    codec: Compression,
    records: usize,
    producer: Option<(ProducerMeta, BatchTransaction)>,
) -> NewBatch {
    let bytes = builder.build(&mut Scratch::new()).unwrap();
    let header = Batch::parse(&bytes).unwrap();
    let (producer, transaction) = producer.unzip();
    let meta = BatchMeta {
        bytes: bytes.len() as u32,
        records: records as u32,
        max_timestamp: header.max_timestamp,
        producer,
        transactional: transaction.is_some(),
        void: false,
    };
    let (bytes, compressed) = ([bytes, Bytes::new()], codec != Compression::None);
    NewBatch { partition, bytes, meta, compressed, placement: Placement::Auto, transaction }
}

/// Writes a batch, in a flush of its own.
pub async fn write(setup: &Setup, batch: NewBatch, placement: Placement) {
    setup.engine.followers().load(&[batch.partition]).await.unwrap();
    let batch = NewBatch { placement, ..batch };
    let room = setup.engine.writer().budget().reserve(batch.meta.bytes as usize).await;
    for outcome in setup.engine.writer().append(1, vec![batch], Some(room), true).outcomes().await {
        assert!(matches!(outcome, Ok(Verdict::Appended { .. })), "{outcome:?}");
    }
}

/// A transaction of one batch.
pub async fn transaction(
    setup: &Setup,
    id: &str,
    partition: PartitionId,
    keys: &[Option<&str>],
    commit: bool,
) {
    let config = BrokerConfig::resolve(BrokerLayers::none());
    let transactions = setup.engine.transactions();
    let init = InitRequest { held: None, timeout_ms: 60_000 };
    let (producer, epoch) = transactions.init(&config, id, init).await.unwrap();
    let meta = ProducerMeta { id: producer, epoch, first_sequence: 0 };
    let implicit = BatchTransaction { id: id.into(), implicit: true };
    let some = of_producer(partition, 7, keys, Compression::Zstd, Some((meta, implicit)));
    write(setup, some, Placement::Auto).await;
    let end = EndRequest { producer_id: producer, epoch, commit, raises: true };
    transactions.end(id, end).await.unwrap();
    setup.engine.followers().fresh([partition]).await.unwrap();
}

/// All data records of a partition, as a client would see them.
pub async fn read(engine: &Engine, partition: PartitionId, committed: bool) -> Vec<Seen> {
    read_from(engine, partition, 0, committed).await
}

/// The records that one fetch gives.
pub async fn fetch_once(engine: &Engine, partition: PartitionId, offset: i64) -> Vec<Seen> {
    let spec = FetchSpec {
        partitions: vec![FetchPartition { partition, offset, max_bytes: 1 << 20 }],
        committed: false,
        min_bytes: 0,
        max_bytes: 1 << 20,
        max_wait: Duration::ZERO,
    };
    let result = engine.reader().fetch(&spec).await.remove(0);
    batches(result.records.unwrap().concat().into()).flat_map(|batch| seen(&batch.unwrap())).collect()
}

/// As [`read`], from an offset on, if that is not before the log start.
pub async fn read_from(engine: &Engine, partition: PartitionId, from: i64, committed: bool) -> Vec<Seen> {
    engine.followers().load(&[partition]).await.unwrap();
    let bounds = engine.reader().fresh_bounds(partition).await.unwrap();
    let (mut all, mut next) = (Vec::new(), from.max(bounds.log_start));
    let end = if committed { bounds.last_stable } else { bounds.high_watermark };
    while next < end {
        let spec = FetchSpec {
            partitions: vec![FetchPartition { partition, offset: next, max_bytes: 20_000 }],
            committed,
            min_bytes: 0,
            max_bytes: 1 << 20,
            max_wait: Duration::ZERO,
        };
        let result = engine.reader().fetch(&spec).await.remove(0);
        let before = next;
        for batch in batches(result.records.unwrap().concat().into()) {
            let batch = batch.unwrap();
            assert!(batch.crc_is_valid());
            next = batch.last_offset() + 1;
            let aborted = result.aborted.iter().any(|aborted| {
                aborted.producer_id == batch.producer_id && aborted.touches(batch.base_offset, next)
            });
            if !batch.attributes.is_control() && !aborted {
                all.extend(seen(&batch));
            }
        }
        assert!(next > before, "no way on from offset {next} of {end}");
    }
    all
}

fn seen(batch: &Batch) -> Vec<Seen> {
    let records = batch.records(1 << 20, &mut Scratch::new()).unwrap();
    let own = |bytes: &[u8]| Bytes::copy_from_slice(bytes);
    let record = |record: siltstone_records::RecordView<'_>| Seen {
        offset: record.offset,
        timestamp: record.timestamp,
        key: record.key.map(own),
        value: record.value.map(own),
        headers: record.headers().map(|(name, value)| (own(name), value.map(own))).collect(),
    };
    records.iter().map(|found| record(found.unwrap())).collect()
}

fn contains(bytes: &[u8], wanted: &[u8]) -> bool {
    bytes.windows(wanted.len()).any(|window| window == wanted)
}

/// Whether a segment holds the secret in blocks of these partitions, as it lies or decompressed.
fn holds_secret(bytes: &Bytes, partitions: &[PartitionId]) -> bool {
    let length = Footer::length(&bytes[bytes.len() - TRAILER_BYTES..]).unwrap();
    let footer = Footer::decode(&bytes[bytes.len() - length..]).unwrap();
    footer.blocks.iter().filter(|block| partitions.contains(&block.partition)).any(|block| {
        let at = block.place.start as usize;
        let stored = bytes.slice(at..at + block.place.length as usize);
        let raw = match block.place.encoding {
            Encoding::Plain => stored,
            Encoding::Zstd { raw_length } => zstd_decompress(&stored, raw_length as usize),
        };
        batches(raw).any(|batch| {
            let records = batch.unwrap();
            let records = records.records(1 << 20, &mut Scratch::new()).unwrap();
            contains(records.bytes(), SECRET.as_bytes())
        })
    })
}

fn zstd_decompress(stored: &Bytes, raw: usize) -> Bytes {
    siltstone_records::decompress(Compression::Zstd, stored, raw, &mut Scratch::new()).unwrap().into()
}

/// Segments, inline and objects, that hold the secret in blocks of these partitions.
pub async fn secret_places(setup: &Setup, partitions: &[PartitionId]) -> BTreeSet<(bool, String)> {
    let mut found = BTreeSet::new();
    for name in setup.bucket.names() {
        if holds_secret(&setup.bucket.content(&name).unwrap(), partitions) {
            found.insert((false, name));
        }
    }
    let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
    let snapshot = setup.store.peek();
    for (key, _) in snapshot.range(&segment_row::all(), limit).await.unwrap().entries {
        let id: SegmentId = segment_row::parse(&key).unwrap();
        let inline = parts::get(snapshot.as_ref(), &inline_segment::prefix(id)).await.unwrap();
        if inline.is_some_and(|bytes| holds_secret(&bytes, partitions)) {
            found.insert((true, id.object_name()));
        }
    }
    found
}

/// Keys of the metadata store, outside of inline segments, and names of objects, whose bytes hold this.
pub async fn anywhere(setup: &Setup, wanted: &[u8]) -> (Vec<Bytes>, Vec<String>) {
    let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
    let all = KeyRange { begin: Bytes::new(), end: Bytes::from_static(&[0xff]) };
    let entries = setup.store.peek().range(&all, limit).await.unwrap().entries;
    let keys = entries.into_iter().filter(|(_, value)| contains(value, wanted)).map(|(key, _)| key);
    let names = setup.bucket.names().into_iter();
    let names = names.filter(|name| contains(&setup.bucket.content(name).unwrap(), wanted));
    (keys.collect(), names.collect())
}

/// What a receipt names.
pub async fn objects_in_receipt(setup: &Setup, id: ErasureId) -> BTreeSet<(bool, String)> {
    let limit = RangeLimit { entries: 1_000_000, bytes: usize::MAX, reverse: false };
    let entries = setup.store.peek().range(&erasure::objects(id), limit).await.unwrap().entries;
    let object = |(key, value): (Bytes, Bytes)| {
        let object = ErasedObject::decode(&value).unwrap();
        assert!(object.records > 0);
        (object.inline, erasure::parse_object(&key).unwrap().object_name())
    };
    entries.into_iter().map(object).collect()
}

/// By partition: where the erasure ends, and how many records are gone.
pub async fn uptos(setup: &Setup, id: ErasureId) -> Vec<(u32, i64, u64)> {
    let limit = RangeLimit::default();
    let snapshot = setup.store.peek();
    let ends = snapshot.range(&erasure::uptos(id), limit).await.unwrap().entries;
    let counts = snapshot.range(&erasure::counts(id), limit).await.unwrap().entries;
    let counted =
        |index| counts.iter().filter_map(|(k, v)| erasure::parse_count(k, v)).find(|(at, _)| *at == index);
    let end = |(key, value): &(Bytes, Bytes)| {
        let (index, upto) = erasure::parse_upto(key, value).unwrap();
        (index, upto, counted(index).map_or(0, |(_, records)| records))
    };
    ends.iter().map(end).collect()
}
