//! The 61 bytes at the head of every batch: reading them, writing them, and changing the few that a broker changes.
//!
//! Reading checks nothing, so that it can't fail; [`crate::batches`] checks sizes and magic, [`crate::validate`] the rest.
//! Guarantees that changed headers keep a valid CRC without a second pass over the records.

use crate::Compression;

/// Bytes from the start of a batch to its first record.
pub const HEADER_LEN: usize = 61;
/// The only format that Kafka 4 takes.
pub const MAGIC: i8 = 2;
/// Producer id of a batch without one.
pub const NO_PRODUCER: i64 = -1;
/// Producer epoch of a batch without one.
pub const NO_EPOCH: i16 = -1;
/// Base sequence of a batch without one; control batches have it too.
pub const NO_SEQUENCE: i32 = -1;
/// Timestamp of a record or an empty batch that has none.
pub const NO_TIMESTAMP: i64 = -1;

/// Base offset and length: what the length field itself doesn't count.
pub(crate) const LENGTH_END: usize = 12;
/// Where the magic byte is, in every format that Kafka ever had.
pub(crate) const MAGIC_AT: usize = 16;
/// Where the part that the CRC covers begins.
pub(crate) const CRC_FROM: usize = 21;

/// Whose clock a batch's timestamps come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimestampType {
    /// Each record's own, set by its producer.
    Create,
    /// The batch's max timestamp, set by the broker; holds for all its records.
    LogAppend,
}

/// The 16 bits of attributes. Unknown bits are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Attributes(pub u16);

impl Attributes {
    const CODEC: u16 = 0x07;
    const LOG_APPEND: u16 = 0x08;
    const TRANSACTIONAL: u16 = 0x10;
    const CONTROL: u16 = 0x20;
    const DELETE_HORIZON: u16 = 0x40;

    /// The codec, or its number if no codec has it.
    pub fn compression(self) -> Result<Compression, u8> {
        let id = (self.0 & Self::CODEC) as u8;
        Compression::from_id(id).ok_or(id)
    }

    /// Whose clock the timestamps come from.
    pub fn timestamp_type(self) -> TimestampType {
        if self.0 & Self::LOG_APPEND == 0 { TimestampType::Create } else { TimestampType::LogAppend }
    }

    /// Whether the batch is part of a transaction.
    pub fn is_transactional(self) -> bool {
        self.0 & Self::TRANSACTIONAL != 0
    }

    /// Whether the batch holds a control record, which consumers must not be shown.
    pub fn is_control(self) -> bool {
        self.0 & Self::CONTROL != 0
    }

    /// Whether the base timestamp is the time from which tombstones and markers in this batch may go (compaction sets it).
    pub fn has_delete_horizon(self) -> bool {
        self.0 & Self::DELETE_HORIZON != 0
    }

    /// These with another codec.
    pub fn with_compression(self, codec: Compression) -> Self {
        Self(self.0 & !Self::CODEC | u16::from(codec.id()))
    }

    /// These with another timestamp type.
    pub fn with_timestamp_type(self, kind: TimestampType) -> Self {
        self.set(Self::LOG_APPEND, kind == TimestampType::LogAppend)
    }

    /// These with the transactional bit set or cleared.
    pub fn with_transactional(self, on: bool) -> Self {
        self.set(Self::TRANSACTIONAL, on)
    }

    /// These with the control bit set or cleared.
    pub fn with_control(self, on: bool) -> Self {
        self.set(Self::CONTROL, on)
    }

    /// These with the delete-horizon bit set or cleared.
    pub fn with_delete_horizon(self, on: bool) -> Self {
        self.set(Self::DELETE_HORIZON, on)
    }

    fn set(self, bit: u16, on: bool) -> Self {
        Self(if on { self.0 | bit } else { self.0 & !bit })
    }
}

/// Who wrote a batch, if the producer is idempotent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Producer {
    /// Producer id, 0 or more.
    pub id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// Sequence of the batch's first record; the n-th record's is this plus n, wrapping to 0 after `i32::MAX`.
    pub base_sequence: i32,
}

impl Producer {
    /// The sequence of the batch's last record, which wraps to 0 after `i32::MAX`.
    pub fn last_sequence(self, last_offset_delta: i32) -> i32 {
        self.base_sequence.wrapping_add(last_offset_delta) & i32::MAX
    }
}

/// A batch's header, field by field, as it is on the wire. Nothing in it has been checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Offset of the first record; the broker sets it, producers send 0.
    pub base_offset: i64,
    /// Bytes after this field, so 12 less than the batch.
    pub length: i32,
    /// Leader epoch; the broker sets it. Not covered by the CRC.
    pub leader_epoch: i32,
    /// Format: 2.
    pub magic: i8,
    /// CRC-32C of all bytes from the attributes on.
    pub crc: u32,
    /// Codec, timestamp type, flags.
    pub attributes: Attributes,
    /// Offset of the last record less the base offset. Stays when compaction removes that record.
    pub last_offset_delta: i32,
    /// What records' timestamps are relative to, in ms since 1970.
    pub base_timestamp: i64,
    /// Greatest timestamp of a record, or the append time, in ms since 1970.
    pub max_timestamp: i64,
    /// Producer id, or -1.
    pub producer_id: i64,
    /// Producer epoch, or -1.
    pub producer_epoch: i16,
    /// Sequence of the first record, or -1.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl Header {
    /// Reads a header. Checks nothing: for bytes that were validated before, or before further checks.
    pub fn parse(bytes: &[u8; HEADER_LEN]) -> Self {
        Self {
            base_offset: i64::from_be_bytes(at(bytes, 0)),
            length: i32::from_be_bytes(at(bytes, 8)),
            leader_epoch: i32::from_be_bytes(at(bytes, 12)),
            magic: i8::from_be_bytes(at(bytes, MAGIC_AT)),
            crc: u32::from_be_bytes(at(bytes, 17)),
            attributes: Attributes(u16::from_be_bytes(at(bytes, CRC_FROM))),
            last_offset_delta: i32::from_be_bytes(at(bytes, 23)),
            base_timestamp: i64::from_be_bytes(at(bytes, 27)),
            max_timestamp: i64::from_be_bytes(at(bytes, 35)),
            producer_id: i64::from_be_bytes(at(bytes, 43)),
            producer_epoch: i16::from_be_bytes(at(bytes, 51)),
            base_sequence: i32::from_be_bytes(at(bytes, 53)),
            count: i32::from_be_bytes(at(bytes, 57)),
        }
    }

    /// Writes the header as it is; `length` and `crc` are the caller's to have set.
    pub fn to_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out[0..8].copy_from_slice(&self.base_offset.to_be_bytes());
        out[8..12].copy_from_slice(&self.length.to_be_bytes());
        out[12..16].copy_from_slice(&self.leader_epoch.to_be_bytes());
        out[16..17].copy_from_slice(&self.magic.to_be_bytes());
        out[17..21].copy_from_slice(&self.crc.to_be_bytes());
        out[21..23].copy_from_slice(&self.attributes.0.to_be_bytes());
        out[23..27].copy_from_slice(&self.last_offset_delta.to_be_bytes());
        out[27..35].copy_from_slice(&self.base_timestamp.to_be_bytes());
        out[35..43].copy_from_slice(&self.max_timestamp.to_be_bytes());
        out[43..51].copy_from_slice(&self.producer_id.to_be_bytes());
        out[51..53].copy_from_slice(&self.producer_epoch.to_be_bytes());
        out[53..57].copy_from_slice(&self.base_sequence.to_be_bytes());
        out[57..61].copy_from_slice(&self.count.to_be_bytes());
        out
    }

    /// Bytes of the whole batch, or `None` if the length field can't be one of this format (less than a header).
    pub fn total_len(&self) -> Option<usize> {
        let total = usize::try_from(self.length).ok()?.checked_add(LENGTH_END)?;
        (total >= HEADER_LEN).then_some(total)
    }

    /// Offset of the last record (or of where it was, once compacted). Saturates on nonsense.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The time, in ms since 1970, from which compaction may drop this batch's tombstones or its marker, if compaction has set one.
    pub fn delete_horizon(&self) -> Option<i64> {
        self.attributes.has_delete_horizon().then_some(self.base_timestamp)
    }

    /// The idempotent producer, if there is one.
    pub fn producer(&self) -> Option<Producer> {
        (self.producer_id >= 0).then_some(Producer {
            id: self.producer_id,
            epoch: self.producer_epoch,
            base_sequence: self.base_sequence,
        })
    }
}

/// The first 16 bytes of a batch as it is served: base offset, the length as it was, leader epoch. The CRC begins behind
/// them, so it stays valid, and the rest of the batch is sent as it lies.
pub fn patched_prefix(header: &[u8; HEADER_LEN], base_offset: i64, leader_epoch: i32) -> [u8; 16] {
    let mut out = [0; 16];
    out[0..8].copy_from_slice(&base_offset.to_be_bytes());
    out[8..12].copy_from_slice(&header[8..12]);
    out[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
    out
}

/// The header of the same batch with timestamp type LogAppendTime and max timestamp `now`, in ms. Like Kafka 4.2 it
/// leaves the base timestamp alone: readers then take every record's timestamp from the max timestamp. `body_len` is the
/// number of bytes after the header; the CRC is carried over it, so `header`'s own must have been checked.
pub fn with_log_append_time(header: &[u8; HEADER_LEN], body_len: usize, now: i64) -> [u8; HEADER_LEN] {
    restamped(header, body_len, TimestampType::LogAppend, now)
}

/// The header of the same batch with timestamp type CreateTime and this max timestamp: for producers that wrote another
/// one than their records have. As for [`with_log_append_time`], the CRC is carried over.
pub fn with_max_timestamp(
    header: &[u8; HEADER_LEN],
    body_len: usize,
    max_timestamp: i64,
) -> [u8; HEADER_LEN] {
    restamped(header, body_len, TimestampType::Create, max_timestamp)
}

fn restamped(header: &[u8; HEADER_LEN], body_len: usize, kind: TimestampType, max: i64) -> [u8; HEADER_LEN] {
    let old = Header::parse(header);
    let attributes = old.attributes.with_timestamp_type(kind);
    let mut out = Header { attributes, max_timestamp: max, ..old }.to_bytes();
    // crc(head ++ body) = shift(crc(head)) ^ crc(body), so the body's part is found from the old CRC without its bytes.
    let body = old.crc ^ crc32c::crc32c_combine(crc32c::crc32c(&header[CRC_FROM..]), 0, body_len);
    let crc = crc32c::crc32c_combine(crc32c::crc32c(&out[CRC_FROM..]), body, body_len);
    out[17..21].copy_from_slice(&crc.to_be_bytes());
    out
}

/// `N` bytes of a header; every caller's offset is a constant within it.
fn at<const N: usize>(bytes: &[u8; HEADER_LEN], from: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[from..from + N]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_back_as_it_was_written() {
        let mut bytes = [0u8; HEADER_LEN];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = (i * 37 + 11) as u8;
        }
        assert_eq!(Header::parse(&bytes).to_bytes(), bytes);
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let producer = Producer { id: 1, epoch: 0, base_sequence: i32::MAX - 1 };
        assert_eq!(producer.last_sequence(1), i32::MAX);
        assert_eq!(producer.last_sequence(2), 0);
        assert_eq!(producer.last_sequence(5), 3);
    }

    #[test]
    fn a_crc_carried_over_is_the_crc_computed_anew() {
        for len in [0usize, 1, 7, 1000, 70_000] {
            let body: Vec<u8> = (0..len).map(|i| (i * 131 % 251) as u8).collect();
            let mut header = [7u8; HEADER_LEN];
            let crc = |h: &[u8; HEADER_LEN]| crc32c::crc32c_append(crc32c::crc32c(&h[CRC_FROM..]), &body);
            let first = crc(&header);
            header[17..21].copy_from_slice(&first.to_be_bytes());
            for new in [with_log_append_time(&header, len, 12345), with_max_timestamp(&header, len, -1)] {
                assert_eq!(Header::parse(&new).crc, crc(&new));
            }
            let new = Header::parse(&with_log_append_time(&header, len, 12345));
            assert_eq!(
                (new.attributes.timestamp_type(), new.max_timestamp),
                (TimestampType::LogAppend, 12345)
            );
            assert_eq!(new.base_timestamp, Header::parse(&header).base_timestamp);
        }
    }
}
