//! Making batches: for our own producer, for compaction, for tests.
//!
//! Guarantees that a batch it makes passes [`crate::validate`] if its offsets have no gaps and it isn't a control batch.
//! Bounded by the 2 GiB that a batch's length can say; a limit like `max.message.bytes` is the caller's, by [`BatchBuilder::len`].

use bytes::Bytes;

use crate::codec::{Compression, Scratch, compress};
use crate::header::{
    Attributes, HEADER_LEN, Header, MAGIC, NO_EPOCH, NO_PRODUCER, NO_SEQUENCE, NO_TIMESTAMP, Producer,
    TimestampType,
};
use crate::recompress::seal;

/// Why a batch can't be made so. The builder is as it was before the call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// Offset deltas must rise and lie within 0 to `i32::MAX`.
    #[error("offset delta {delta} after {last:?}")]
    OffsetDelta {
        /// The record's.
        delta: i32,
        /// The one before.
        last: Option<i32>,
    },
    /// The batch would be longer than 2 GiB, or have a part that is.
    #[error("a batch can't have more than 2 GiB")]
    TooLarge,
    /// The timestamp is too far from the batch's base timestamp for 64 bits.
    #[error("timestamp {0} is out of range")]
    Timestamp(i64),
    /// The compressor failed, for lack of memory.
    #[error("can't compress: {0}")]
    Compress(String),
}

/// A record's header to be written: name, and value or null.
pub type NewHeader<'a> = (&'a str, Option<&'a [u8]>);

/// A record to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct NewRecord<'a> {
    /// In ms since 1970, or -1.
    pub timestamp: i64,
    /// Key or null.
    pub key: Option<&'a [u8]>,
    /// Value or null.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [NewHeader<'a>],
}

/// Gathers records and makes a batch of them.
#[derive(Debug, Clone)]
pub struct BatchBuilder {
    header: Header,
    compression: Compression,
    level: Option<i32>,
    base_timestamp: Option<i64>,
    fixed_max: Option<i64>,
    last_delta: Option<i32>,
    records: Vec<u8>,
    record: Vec<u8>,
}

impl Default for BatchBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl BatchBuilder {
    /// An empty batch at offset 0, uncompressed, without a producer, with leader epoch 0.
    pub fn new() -> Self {
        let header = Header {
            base_offset: 0,
            length: 0,
            leader_epoch: 0,
            magic: MAGIC,
            crc: 0,
            attributes: Attributes::default(),
            last_offset_delta: 0,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            producer_id: NO_PRODUCER,
            producer_epoch: NO_EPOCH,
            base_sequence: NO_SEQUENCE,
            count: 0,
        };
        Self {
            header,
            compression: Compression::None,
            level: None,
            base_timestamp: None,
            fixed_max: None,
            last_delta: None,
            records: Vec::new(),
            record: Vec::new(),
        }
    }

    /// A builder for what compaction keeps of the batch with this header: its offsets, producer, flags and codec, and,
    /// as it must outlive its records, its last offset delta.
    pub fn keeping(header: &Header) -> Self {
        let mut new = Self::new();
        new.compression = header.attributes.compression().unwrap_or(Compression::None);
        if header.attributes.timestamp_type() == TimestampType::LogAppend {
            new.fixed_max = Some(header.max_timestamp);
        }
        if header.attributes.has_delete_horizon() {
            new.base_timestamp = Some(header.base_timestamp);
        }
        new.header = Header { count: 0, base_timestamp: NO_TIMESTAMP, ..*header };
        new
    }

    /// Sets the base offset.
    pub fn base_offset(mut self, offset: i64) -> Self {
        self.header.base_offset = offset;
        self
    }

    /// Sets the leader epoch.
    pub fn leader_epoch(mut self, epoch: i32) -> Self {
        self.header.leader_epoch = epoch;
        self
    }

    /// Sets the codec and its level (its default if `None`).
    pub fn compression(mut self, codec: Compression, level: Option<i32>) -> Self {
        (self.compression, self.level) = (codec, level);
        self
    }

    /// Sets the idempotent producer.
    pub fn producer(mut self, producer: Producer) -> Self {
        self.header.producer_id = producer.id;
        self.header.producer_epoch = producer.epoch;
        self.header.base_sequence = producer.base_sequence;
        self
    }

    /// Sets or clears the transactional flag.
    pub fn transactional(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_transactional(on);
        self
    }

    /// Sets or clears the control flag. See [`crate::control_batch`].
    pub fn control(mut self, on: bool) -> Self {
        self.header.attributes = self.header.attributes.with_control(on);
        self
    }

    /// Makes it a LogAppendTime batch of this time, in ms.
    pub fn log_append_time(mut self, now: i64) -> Self {
        self.header.attributes = self.header.attributes.with_timestamp_type(TimestampType::LogAppend);
        self.fixed_max = Some(now);
        self
    }

    /// Makes the batch begin and end where another did, whatever records are pushed. Raised by records beyond it.
    pub fn last_offset_delta(mut self, delta: i32) -> Self {
        self.header.last_offset_delta = delta;
        self
    }

    /// Sets the base timestamp, which else is the first record's. Only before the first record.
    pub fn base_timestamp(mut self, timestamp: i64) -> Self {
        if self.header.count == 0 {
            self.base_timestamp = Some(timestamp);
        }
        self
    }

    /// Sets the delete horizon: the time, in ms, from which this batch's tombstones or marker may go. It takes the base
    /// timestamp's place, so records' timestamps become relative to it. Only before the first record.
    pub fn delete_horizon(mut self, horizon: i64) -> Self {
        if self.header.count == 0 {
            self.header.attributes = self.header.attributes.with_delete_horizon(true);
            self.base_timestamp = Some(horizon);
        }
        self
    }

    /// Records pushed so far.
    pub fn count(&self) -> usize {
        self.header.count as usize
    }

    /// Whether no record was pushed.
    pub fn is_empty(&self) -> bool {
        self.header.count == 0
    }

    /// Bytes of the batch as it is, without compression.
    pub fn len(&self) -> usize {
        HEADER_LEN + self.records.len()
    }

    /// Adds a record at the next offset.
    pub fn push(&mut self, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let delta = match self.last_delta {
            None => 0,
            Some(last) => last.checked_add(1).ok_or(BuildError::TooLarge)?,
        };
        self.push_at(delta, record)
    }

    /// Adds a record at this offset delta, which must be greater than the one before: for batches with gaps.
    pub fn push_at(&mut self, offset_delta: i32, record: &NewRecord<'_>) -> Result<(), BuildError> {
        let headers = record.headers.iter().map(|(name, value)| (name.as_bytes(), *value));
        self.push_parts(offset_delta, record.timestamp, record.key, record.value, headers)
    }

    /// Adds a record of another batch, at its offset delta there, with everything it has.
    pub fn push_copy(&mut self, record: &crate::RecordView<'_>) -> Result<(), BuildError> {
        self.push_parts(record.offset_delta, record.timestamp, record.key, record.value, record.headers())
    }

    fn push_parts<'a>(
        &mut self,
        offset_delta: i32,
        timestamp: i64,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + Clone,
    ) -> Result<(), BuildError> {
        if offset_delta < 0 || self.last_delta.is_some_and(|last| offset_delta <= last) {
            return Err(BuildError::OffsetDelta { delta: offset_delta, last: self.last_delta });
        }
        let base = self.base_timestamp.unwrap_or(timestamp);
        let delta = timestamp.checked_sub(base).ok_or(BuildError::Timestamp(timestamp))?;
        self.record.clear();
        self.record.push(0);
        put_varlong(&mut self.record, delta);
        put_varint(&mut self.record, offset_delta);
        put_bytes(&mut self.record, key)?;
        put_bytes(&mut self.record, value)?;
        put_varint(&mut self.record, length(headers.clone().count())?);
        for (name, value) in headers {
            put_bytes(&mut self.record, Some(name))?;
            put_bytes(&mut self.record, value)?;
        }
        // A length takes five bytes at most.
        length(self.len() + self.record.len() + 5)?;
        put_varint(&mut self.records, length(self.record.len())?);
        self.records.extend_from_slice(&self.record);
        self.pushed(offset_delta, timestamp, base);
        Ok(())
    }

    fn pushed(&mut self, offset_delta: i32, timestamp: i64, base: i64) {
        let first = self.header.count == 0;
        self.base_timestamp = Some(base);
        self.last_delta = Some(offset_delta);
        self.header.count += 1;
        self.header.last_offset_delta = self.header.last_offset_delta.max(offset_delta);
        self.header.max_timestamp = if first { timestamp } else { self.header.max_timestamp.max(timestamp) };
    }

    /// Makes the batch. Without records it is an empty one, which keeps its offsets, producer and max timestamp, as
    /// compaction leaves it; Kafka never compresses that.
    pub fn build(mut self, scratch: &mut Scratch) -> Result<Bytes, BuildError> {
        let codec = if self.is_empty() { Compression::None } else { self.compression };
        self.header.attributes = self.header.attributes.with_compression(codec);
        self.header.base_timestamp = self.base_timestamp.unwrap_or(NO_TIMESTAMP);
        if let Some(max) = self.fixed_max {
            self.header.max_timestamp = max;
        }
        let mut out = Vec::with_capacity(HEADER_LEN + self.records.len());
        out.resize(HEADER_LEN, 0);
        if codec == Compression::None {
            out.append(&mut self.records);
        } else {
            out = compress(codec, self.level, &self.records, out, scratch)
                .map_err(|e| BuildError::Compress(e.to_string()))?;
        }
        length(out.len())?;
        seal(&mut self.header, &mut out);
        Ok(out.into())
    }
}

fn length(n: usize) -> Result<i32, BuildError> {
    i32::try_from(n).map_err(|_| BuildError::TooLarge)
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), BuildError> {
    match bytes {
        None => put_varint(out, -1),
        Some(bytes) => {
            put_varint(out, length(bytes.len())?);
            out.extend_from_slice(bytes);
        }
    }
    Ok(())
}

pub(crate) fn put_varint(out: &mut Vec<u8>, value: i32) {
    put_unsigned(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

pub(crate) fn put_varlong(out: &mut Vec<u8>, value: i64) {
    put_unsigned(out, ((value << 1) ^ (value >> 63)) as u64);
}

fn put_unsigned(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
