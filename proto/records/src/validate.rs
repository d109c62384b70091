//! What a Kafka 4.2 broker checks before it takes a batch from a producer.
//!
//! Guarantees that a batch that passes can be stored and served as it is: its CRC holds, its header agrees with its
//! records, its records were all walked, and Java clients can decompress it. Where it is stricter than Kafka,
//! docs/formats/record-batch.md says so and why. Does not know a producer's last sequence or whether its epoch is
//! fenced: that is the fold's to say.

use bytes::Bytes;

use crate::batch::FrameError;
use crate::codec::{self, Compression};
use crate::header::{HEADER_LEN, Header, NO_PRODUCER, NO_TIMESTAMP, Producer, TimestampType};
use crate::refusal::{MAX_RECORD_FAULTS, RecordFault, Refusal};
use crate::walk::{RecordsError, SliceSource, Source, record};
use crate::{Batch, Scratch, with_log_append_time, with_max_timestamp};

/// Records of a batch may have so many bytes once decompressed. What agents take is what every reader must be able to read, so all of them go by this.
pub const MAX_DECOMPRESSED: usize = 64 << 20;

/// What a topic, a request and a moment allow.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// `max.message.bytes`: of the batch as it was sent, header included.
    pub max_message_bytes: usize,
    /// Bytes that the records may have once decompressed. Uncompressed batches are bound by `max_message_bytes` alone.
    pub max_decompressed: usize,
    /// False for Produce before version 7, whose clients can't know of zstd.
    pub zstd_allowed: bool,
    /// `cleanup.policy` includes `compact`: every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// The agent's clock, in ms since 1970.
    pub now: i64,
    /// `message.timestamp.before.max.ms`. Not used with [`TimestampType::LogAppend`].
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`. Not used with [`TimestampType::LogAppend`].
    pub timestamp_after_max_ms: i64,
}

impl Rules {
    /// Kafka 4.2's defaults, at this moment: 1,048,588 bytes, CreateTime, at most an hour ahead, any time back; at most
    /// 64 MiB decompressed.
    pub fn defaults(now: i64) -> Self {
        Self {
            max_message_bytes: 1_048_588,
            max_decompressed: MAX_DECOMPRESSED,
            zstd_allowed: true,
            compacted: false,
            timestamp_type: TimestampType::Create,
            now,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: 3_600_000,
        }
    }
}

/// What is known of a batch that passed.
#[derive(Debug, Clone)]
pub struct Checked {
    /// The batch, over the same bytes.
    pub batch: Batch,
    /// Number of records, at least 1.
    pub count: u32,
    /// The header's base timestamp.
    pub base_timestamp: i64,
    /// The greatest timestamp of a record, as walked, or `now` in a LogAppendTime topic; -1 if none has one.
    /// The header may say otherwise: see [`stored_header`].
    pub max_timestamp: i64,
    /// Offset delta of the first record with that timestamp (0 in a LogAppendTime topic); `None` if none has one.
    pub max_timestamp_delta: Option<u32>,
    /// Base timestamp type that the stored batch must have.
    pub timestamp_type: TimestampType,
    /// The idempotent producer.
    pub producer: Option<Producer>,
    /// Part of a transaction.
    pub transactional: bool,
    /// Codec of the batch as it was sent.
    pub compression: Compression,
    /// Bytes of the records once decompressed.
    pub records_len: u64,
}

/// Checks one batch: `bytes` must hold exactly one. The order of the checks is Kafka's, so that a batch with several
/// faults gets the same answer.
pub fn validate(bytes: &Bytes, rules: &Rules, scratch: &mut Scratch) -> Result<Checked, Refusal> {
    let batch = framed(bytes)?;
    let compression = checked_codec(&batch, rules)?;
    if batch.base_offset != 0 {
        return invalid(format!("base offset {} of a produced batch, not 0", batch.base_offset));
    }
    if batch.total_len() > rules.max_message_bytes {
        return Err(Refusal::TooLarge { size: batch.total_len(), max: rules.max_message_bytes });
    }
    let computed = batch.computed_crc();
    if computed != batch.crc {
        let crc = batch.crc;
        return Err(Refusal::Corrupt(format!("its CRC says {crc:08x}, its bytes give {computed:08x}")));
    }
    let count = checked_header(&batch)?;
    let walk = walked(&batch, compression, rules, scratch)?;
    refuse_faults(walk.faults)?;
    let (max_timestamp, max_timestamp_delta) = match rules.timestamp_type {
        TimestampType::Create => (walk.max_timestamp, walk.max_timestamp_delta),
        TimestampType::LogAppend => (rules.now, Some(0)),
    };
    Ok(Checked {
        count,
        base_timestamp: batch.base_timestamp,
        max_timestamp,
        max_timestamp_delta,
        timestamp_type: rules.timestamp_type,
        producer: batch.producer(),
        transactional: batch.attributes.is_transactional(),
        compression,
        records_len: walk.bytes,
        batch,
    })
}

/// The header that the batch must be stored with, if not its own: with the append time where the topic wants that, or
/// with the true max timestamp where the producer's is another (Kafka corrects it too). The body stays as it is.
pub fn stored_header(checked: &Checked) -> Option<[u8; HEADER_LEN]> {
    let batch = &checked.batch;
    let kind = batch.attributes.timestamp_type();
    if (kind, batch.max_timestamp) == (checked.timestamp_type, checked.max_timestamp) {
        return None;
    }
    let (header, body) = (batch.header_bytes(), batch.total_len() - HEADER_LEN);
    Some(match checked.timestamp_type {
        TimestampType::Create => with_max_timestamp(&header, body, checked.max_timestamp),
        TimestampType::LogAppend => with_log_append_time(&header, body, checked.max_timestamp),
    })
}

fn invalid<T>(why: String) -> Result<T, Refusal> {
    Err(Refusal::InvalidRecord(why))
}

fn framed(bytes: &Bytes) -> Result<Batch, Refusal> {
    let batch = Batch::parse(bytes).map_err(|error| match error {
        FrameError::Magic { magic: magic @ (0 | 1), .. } => Refusal::UnsupportedMagic { magic },
        // What Kafka says if no whole batch is there.
        FrameError::Truncated { .. } => Refusal::InvalidRecord(error.to_string()),
        FrameError::Length { .. } | FrameError::Magic { .. } => Refusal::Corrupt(error.to_string()),
    })?;
    match bytes.len() - batch.total_len() {
        0 => Ok(batch),
        more => invalid(format!("{more} bytes after the one batch that a partition's records may have")),
    }
}

fn checked_codec(batch: &Batch, rules: &Rules) -> Result<Compression, Refusal> {
    let unsupported = |codec| Refusal::UnsupportedCompression { codec };
    match batch.attributes.compression().map_err(unsupported)? {
        Compression::Zstd if !rules.zstd_allowed => Err(unsupported(Compression::Zstd.id())),
        codec => Ok(codec),
    }
}

/// Counts, producer and flags; returns the number of records.
fn checked_header(header: &Header) -> Result<u32, Refusal> {
    let Header { count, last_offset_delta, producer_id, producer_epoch, base_sequence, attributes, .. } =
        *header;
    if count <= 0 || last_offset_delta.checked_add(1) != Some(count) {
        return invalid(format!("{count} records with last offset delta {last_offset_delta}"));
    }
    if attributes.is_control() {
        return invalid("control batches are the broker's to write".into());
    }
    if attributes.has_delete_horizon() {
        return invalid("a delete horizon is the broker's to write".into());
    }
    if producer_id < NO_PRODUCER {
        return invalid(format!("producer id {producer_id}"));
    }
    if producer_id >= 0 && (base_sequence < 0 || producer_epoch < 0) {
        return invalid(format!(
            "producer {producer_id} with epoch {producer_epoch}, base sequence {base_sequence}"
        ));
    }
    if producer_id < 0 && attributes.is_transactional() {
        return invalid("a transactional batch without a producer id".into());
    }
    Ok(count as u32)
}

/// What the records told.
struct Walk {
    max_timestamp: i64,
    max_timestamp_delta: Option<u32>,
    faults: Vec<(u32, RecordFault)>,
    bytes: u64,
}

fn walked(batch: &Batch, codec: Compression, rules: &Rules, scratch: &mut Scratch) -> Result<Walk, Refusal> {
    let body = &batch.bytes()[HEADER_LEN..];
    let walk = match codec {
        Compression::None => walk(batch, rules, &mut SliceSource::new(body)),
        codec => {
            codec::readable_by_java(codec, body)?;
            let mut stream = codec::stream(codec, body, rules.max_decompressed, scratch)?;
            let walk = walk(batch, rules, &mut stream);
            drop(stream);
            scratch.shrink();
            walk
        }
    };
    Ok(walk?)
}

fn walk<S: Source>(header: &Header, rules: &Rules, source: &mut S) -> Result<Walk, RecordsError> {
    let mut out =
        Walk { max_timestamp: NO_TIMESTAMP, max_timestamp_delta: None, faults: Vec::new(), bytes: 0 };
    for index in 0..header.count {
        let found = record(source)?;
        if found.offset_delta != index {
            return Err(RecordsError::OffsetDelta(found.offset_delta));
        }
        let timestamp =
            header.base_timestamp.checked_add(found.timestamp_delta).ok_or(RecordsError::Timestamp)?;
        if timestamp > out.max_timestamp {
            (out.max_timestamp, out.max_timestamp_delta) = (timestamp, Some(index as u32));
        }
        if let Some(fault) = fault(header, rules, found.key.is_some(), timestamp)
            && out.faults.len() < MAX_RECORD_FAULTS
        {
            out.faults.push((index as u32, fault));
        }
    }
    if !source.at_end()? {
        return Err(RecordsError::Remaining);
    }
    out.bytes = source.position();
    Ok(out)
}

#[inline]
fn fault(header: &Header, rules: &Rules, has_key: bool, timestamp: i64) -> Option<RecordFault> {
    if rules.compacted && !has_key {
        return Some(RecordFault::NoKey);
    }
    if header.attributes.timestamp_type() == TimestampType::LogAppend {
        return Some(RecordFault::LogAppendTime);
    }
    if rules.timestamp_type == TimestampType::LogAppend || timestamp == NO_TIMESTAMP {
        return None;
    }
    let earliest = rules.now.saturating_sub(rules.timestamp_before_max_ms);
    let latest = rules.now.saturating_add(rules.timestamp_after_max_ms);
    // i64::MAX means "any": a clock's reading less that is not the earliest time there is.
    let before = rules.timestamp_before_max_ms != i64::MAX && timestamp < earliest;
    (before || timestamp > latest).then_some(RecordFault::Timestamp { timestamp, earliest, latest })
}

fn refuse_faults(faults: Vec<(u32, RecordFault)>) -> Result<(), Refusal> {
    if faults.is_empty() {
        return Ok(());
    }
    Err(match faults.iter().any(|(_, fault)| fault.is_about_time()) {
        true => Refusal::InvalidTimestamp { faults },
        false => Refusal::InvalidRecords { faults },
    })
}
