//! Batches that clients send: each different from every other, so that its bytes say which it is.
//!
//! Keys are as different as batches, but in topics that are compacted by key: there they come again and again, some without a value, and a header
//! tells the batches apart.

use bytes::Bytes;
use siltstone_agent::produce::{BatchTransaction, NewBatch, Placement};
use siltstone_log::{BatchMeta, PartitionId, ProducerMeta};
use siltstone_records::{
    BatchBuilder, Compression, HEADER_LEN, Header, NewHeader, NewRecord, Producer, Scratch,
};

/// What a batch is known by: its CRC and its length.
pub(super) type BatchId = (u32, u32);

/// A batch that some client made.
#[derive(Debug, Clone)]
pub(super) struct Made {
    pub(super) id: BatchId,
    pub(super) bytes: Bytes,
    pub(super) meta: BatchMeta,
    pub(super) partition: PartitionId,
    pub(super) placement: Placement,
    pub(super) transaction: Option<BatchTransaction>,
    pub(super) compressed: bool,
}

/// A record of a topic that is compacted by key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Keyed {
    pub(super) key: u64,
    /// It has no value.
    pub(super) tombstone: bool,
}

/// What is to be made.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    /// Never used before.
    pub(super) number: u64,
    pub(super) partition: PartitionId,
    pub(super) records: u32,
    /// As many as there are records, if it is for a topic that is compacted by key; else none.
    pub(super) keyed: Vec<Keyed>,
    pub(super) compression: Compression,
    pub(super) value_bytes: usize,
    pub(super) timestamp: i64,
    pub(super) producer: Option<ProducerMeta>,
    pub(super) placement: Placement,
    pub(super) transactional: bool,
}

/// Makes a batch.
pub(super) fn make(wanted: &Wanted) -> Made {
    let bytes = build(wanted);
    let meta = BatchMeta {
        bytes: bytes.len() as u32,
        records: wanted.records,
        max_timestamp: wanted.timestamp + i64::from(wanted.records) - 1,
        producer: wanted.producer,
        transactional: wanted.transactional,
        void: false,
    };
    let Some(id) = id_of(&bytes) else { unreachable!("a batch has a header") };
    let Wanted { partition, placement, .. } = *wanted;
    let compressed = wanted.compression != Compression::None;
    Made { id, bytes, meta, partition, placement, transaction: None, compressed }
}

fn build(wanted: &Wanted) -> Bytes {
    let mut builder = BatchBuilder::new().compression(wanted.compression, None);
    if let Some(ProducerMeta { id, epoch, first_sequence }) = wanted.producer {
        builder = builder.producer(Producer { id, epoch, base_sequence: first_sequence });
    }
    builder = builder.transactional(wanted.transactional);
    let value = vec![wanted.number as u8; wanted.value_bytes];
    for record in 0..wanted.records {
        let mut own = wanted.number.to_be_bytes().to_vec();
        own.extend_from_slice(&record.to_be_bytes());
        let timestamp = wanted.timestamp + i64::from(record);
        let header: [NewHeader<'_>; 1] = [("n", Some(&own))];
        let of_key = wanted.keyed.get(record as usize);
        let name = of_key.map(|keyed| format!("key {}", keyed.key));
        let record = match (&name, of_key) {
            (Some(name), Some(keyed)) => {
                let value = (!keyed.tombstone).then_some(&value[..]);
                NewRecord { timestamp, key: Some(name.as_bytes()), value, headers: &header }
            }
            _ => NewRecord { timestamp, key: Some(&own), value: Some(&value), headers: &[] },
        };
        assert!(builder.push(&record).is_ok(), "a small record fits");
    }
    let Ok(bytes) = builder.build(&mut Scratch::new()) else { unreachable!("a small batch can be built") };
    bytes
}

impl Made {
    /// As the write path wants it.
    pub(super) fn batch(&self) -> NewBatch {
        NewBatch {
            partition: self.partition,
            bytes: [self.bytes.clone(), Bytes::new()],
            meta: self.meta,
            compressed: self.compressed,
            placement: self.placement,
            transaction: self.transaction.clone(),
        }
    }
}

/// The header at the head of `bytes`.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    bytes.get(..HEADER_LEN)?.try_into().ok().map(Header::parse)
}

/// Which batch it is.
pub(super) fn id_of(bytes: &[u8]) -> Option<BatchId> {
    header(bytes).map(|header| (header.crc, bytes.len() as u32))
}
