//! One batch: checked, and made into what is stored.

use std::fmt::Display;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_configs::{Compression as Wanted, TimestampType as WantedTime, TopicConfig, WriteMode};
use siltstone_kafka::ErrorCode;
use siltstone_kafka::produce::response::RecordError;
use siltstone_log::{BatchMeta, PartitionId, ProducerMeta};
use siltstone_records::{
    Batch, Checked, Compression, HEADER_LEN, MAX_DECOMPRESSED, NO_TIMESTAMP, RecompressError,
    RecompressLimits, Refusal, Rules, Scratch, TimestampType, recompress, stored_header, validate,
};

use super::Refused;
use crate::kafka::context::Context;
use crate::kafka::errors;
use crate::produce::{BatchTransaction, NewBatch, Placement};

/// The first version whose clients know zstd (KIP-110).
const ZSTD: i16 = 7;
/// The first version whose clients add partitions to their transactions by writing to them (KIP-890).
const IMPLICIT_TRANSACTIONS: i16 = 12;
/// Compressing more than this takes a thread of its own.
const BLOCKING_BYTES: usize = 64 << 10;

/// When a request came, and in which version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    pub(super) version: i16,
    /// Milliseconds since the Unix epoch.
    pub(super) now: i64,
}

/// A batch that may be appended.
pub(super) struct Ready {
    pub(super) batch: NewBatch,
    /// To be answered; -1 if the topic keeps its producers' timestamps.
    pub(super) log_append_time: i64,
}

/// Checks `records`, which must be one batch, and makes of it what is stored.
pub(super) async fn new_batch(
    cx: &Context,
    config: &TopicConfig,
    moment: Moment,
    partition: PartitionId,
    records: Bytes,
    transactional_id: Option<&Arc<str>>,
) -> Result<Ready, Refused> {
    let rules = rules(config, moment);
    let mut scratch = cx.broker.scratches.take();
    let checked = validate(&records, &rules, &mut scratch);
    cx.broker.scratches.put(scratch);
    let checked = checked.map_err(|refusal| refused(&refusal, partition))?;
    let transaction = transaction(&checked, moment.version, transactional_id)?;
    let (checked, codec) = match target(config.compression).filter(|codec| *codec != checked.compression) {
        Some(codec) => (recompressed(checked, codec, config).await?, codec),
        None => {
            let codec = checked.compression;
            (checked, codec)
        }
    };
    let Ready { batch, log_append_time } = ready(config, partition, &checked, codec);
    Ok(Ready { batch: NewBatch { transaction, ..batch }, log_append_time })
}

/// The transaction that a batch claims to belong to. Which one it is its request says.
fn transaction(
    checked: &Checked,
    version: i16,
    id: Option<&Arc<str>>,
) -> Result<Option<BatchTransaction>, Refused> {
    match (checked.transactional, id) {
        (false, _) => Ok(None),
        (true, Some(id)) => {
            Ok(Some(BatchTransaction { id: id.clone(), implicit: version >= IMPLICIT_TRANSACTIONS }))
        }
        // As Kafka: nobody may write to a transaction of no name.
        (true, None) => Err(ErrorCode::TransactionalIdAuthorizationFailed.into()),
    }
}

fn rules(config: &TopicConfig, moment: Moment) -> Rules {
    let ms = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
    Rules {
        max_message_bytes: config.max_message_bytes as usize,
        max_decompressed: MAX_DECOMPRESSED,
        zstd_allowed: moment.version >= ZSTD,
        compacted: config.cleanup.compact,
        timestamp_type: match config.timestamp_type {
            WantedTime::CreateTime => TimestampType::Create,
            WantedTime::LogAppendTime => TimestampType::LogAppend,
        },
        now: moment.now,
        timestamp_before_max_ms: ms(config.timestamp_before_max_ms),
        timestamp_after_max_ms: ms(config.timestamp_after_max_ms),
    }
}

/// The codec that a topic insists on.
fn target(wanted: Wanted) -> Option<Compression> {
    match wanted {
        Wanted::Producer => None,
        Wanted::Uncompressed => Some(Compression::None),
        Wanted::Gzip => Some(Compression::Gzip),
        Wanted::Snappy => Some(Compression::Snappy),
        Wanted::Lz4 => Some(Compression::Lz4),
        Wanted::Zstd => Some(Compression::Zstd),
    }
}

async fn recompressed(
    checked: Checked,
    codec: Compression,
    config: &TopicConfig,
) -> Result<Checked, Refused> {
    let limits = RecompressLimits {
        max_decompressed: MAX_DECOMPRESSED,
        max_message_bytes: config.max_message_bytes as usize,
    };
    let level = config.compression_level();
    let large = checked.records_len as usize > BLOCKING_BYTES;
    let batch = checked.batch.clone();
    let work = move || recompress(&batch, codec, level, limits, &mut Scratch::default());
    let result = if large { tokio::task::spawn_blocking(work).await.map_err(failed)? } else { work() };
    let bytes = result.map_err(|error| match error {
        RecompressError::TooLarge { .. } => {
            Refused { message: Some(error.to_string()), ..ErrorCode::MessageTooLarge.into() }
        }
        other => failed(other),
    })?;
    let batch = Batch::parse(&bytes).map_err(failed)?;
    Ok(Checked { batch, ..checked })
}

/// Something that is not the client's fault, and may be gone the next time.
fn failed(error: impl Display) -> Refused {
    tracing::error!(%error, "a batch could not be compressed as its topic wants");
    Refused { message: Some(error.to_string()), ..ErrorCode::KafkaStorageError.into() }
}

fn ready(config: &TopicConfig, partition: PartitionId, checked: &Checked, codec: Compression) -> Ready {
    let whole = checked.batch.bytes();
    let bytes = match stored_header(checked) {
        None => [whole.clone(), Bytes::new()],
        Some(header) => [Bytes::copy_from_slice(&header), whole.slice(HEADER_LEN..)],
    };
    let meta = BatchMeta {
        bytes: whole.len() as u32,
        records: checked.count,
        max_timestamp: checked.max_timestamp,
        producer: checked.producer.map(|producer| ProducerMeta {
            id: producer.id,
            epoch: producer.epoch,
            first_sequence: producer.base_sequence,
        }),
        transactional: checked.transactional,
        void: false,
    };
    let placement = match config.write {
        WriteMode::Auto => Placement::Auto,
        WriteMode::Inline => Placement::Inline,
        WriteMode::Object => Placement::Object,
    };
    let log_append_time = match config.timestamp_type {
        WantedTime::CreateTime => NO_TIMESTAMP,
        WantedTime::LogAppendTime => checked.max_timestamp,
    };
    let compressed = codec != Compression::None;
    let batch = NewBatch { partition, bytes, meta, compressed, placement, transaction: None };
    Ready { batch, log_append_time }
}

fn refused(refusal: &Refusal, partition: PartitionId) -> Refused {
    let fault = |(index, fault): &(u32, _)| RecordError {
        batch_index: i32::try_from(*index).unwrap_or(i32::MAX),
        batch_index_error_message: Some(described(fault)),
    };
    let inside = matches!(refusal, Refusal::InvalidRecords { .. } | Refusal::InvalidTimestamp { .. });
    Refused {
        code: errors::refusal(refusal),
        message: Some(refusal.to_string()),
        records: refusal.faults().iter().map(fault).collect(),
        log_start: inside.then_some(partition),
    }
}

fn described(fault: &siltstone_records::RecordFault) -> String {
    fault.to_string()
}
