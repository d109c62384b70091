//! Why a produced batch is not taken: one variant for each answer that Kafka tells apart, without Kafka's numbers.

use std::fmt;

use crate::walk::RecordsError;

/// Faults that a [`Refusal`] lists at most. Kafka lists all; a request of 1 MiB could make an answer of 10 MiB that way.
pub const MAX_RECORD_FAULTS: usize = 1000;

/// A batch that is not taken. Nothing of it was kept; sending the same bytes again gives the same answer unless noted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The CRC is wrong, or the size field can't be: CORRUPT_MESSAGE. Sending again may help, as it was damaged on its way.
    #[error("corrupt batch: {0}")]
    Corrupt(String),
    /// Magic 0 or 1. Kafka 4.2 answers INVALID_RECORD for Produce 3 and later, UNSUPPORTED_FOR_MESSAGE_FORMAT is its
    /// word for formats that lack a feature.
    #[error("message format {magic} is not supported, only 2 is")]
    UnsupportedMagic {
        /// The batch's magic.
        magic: i8,
    },
    /// The batch is larger than `max.message.bytes`: RECORD_TOO_LARGE.
    #[error("the batch has {size} bytes, more than the {max} that the topic takes")]
    TooLarge {
        /// Bytes of the batch.
        size: usize,
        /// Bytes allowed.
        max: usize,
    },
    /// It decompresses to more than the agent allows; Kafka has no such limit. RECORD_TOO_LARGE says it best.
    #[error("the batch has more than {max} bytes once decompressed")]
    TooLargeDecompressed {
        /// Bytes allowed.
        max: usize,
    },
    /// A codec that doesn't exist, or that this request may not use: UNSUPPORTED_COMPRESSION_TYPE.
    #[error("compression type {codec} is not supported here")]
    UnsupportedCompression {
        /// The codec's number.
        codec: u8,
    },
    /// Header and records don't agree, or a record is malformed: INVALID_RECORD.
    #[error("invalid batch: {0}")]
    InvalidRecord(String),
    /// Records that this topic may not have: INVALID_RECORD, with each record's fault.
    #[error("{} or more records are invalid, the first: {}", faults.len(), First(faults))]
    InvalidRecords {
        /// Which records and why, in order; at most [`MAX_RECORD_FAULTS`].
        faults: Vec<(u32, RecordFault)>,
    },
    /// Timestamps that this topic may not have: INVALID_TIMESTAMP, with each record's fault (others may be among them).
    #[error("{} or more records are invalid, the first: {}", faults.len(), First(faults))]
    InvalidTimestamp {
        /// Which records and why, in order; at most [`MAX_RECORD_FAULTS`].
        faults: Vec<(u32, RecordFault)>,
    },
}

impl Refusal {
    /// The records at fault, for `record_errors` of Produce 8 and later: index in the batch, and why.
    pub fn faults(&self) -> &[(u32, RecordFault)] {
        match self {
            Self::InvalidRecords { faults } | Self::InvalidTimestamp { faults } => faults,
            _ => &[],
        }
    }
}

impl From<RecordsError> for Refusal {
    fn from(error: RecordsError) -> Self {
        match error {
            RecordsError::TooLarge { max } => Self::TooLargeDecompressed { max },
            RecordsError::Codec(codec) => Self::UnsupportedCompression { codec },
            // The CRC was right, so these bytes are what the producer made: to call them corrupt, which clients retry,
            // would only bring them back.
            other => Self::InvalidRecord(other.to_string()),
        }
    }
}

/// What is wrong with one record that is well-formed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordFault {
    /// A compacted topic needs keys.
    NoKey,
    /// The timestamp is too far from the agent's clock. All in ms since 1970.
    Timestamp {
        /// The record's.
        timestamp: i64,
        /// The earliest that would do.
        earliest: i64,
        /// The latest that would do.
        latest: i64,
    },
    /// The producer set LogAppendTime, which is the broker's to set.
    LogAppendTime,
}

impl RecordFault {
    pub(crate) fn is_about_time(self) -> bool {
        self != Self::NoKey
    }
}

impl fmt::Display for RecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => write!(f, "a record without a key can't go into a compacted topic"),
            Self::Timestamp { timestamp, earliest, latest } => {
                write!(f, "timestamp {timestamp} is outside of {earliest} to {latest}")
            }
            Self::LogAppendTime => write!(f, "a producer may not set the timestamp type LogAppendTime"),
        }
    }
}

struct First<'a>(&'a [(u32, RecordFault)]);

impl fmt::Display for First<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.first() {
            Some((index, fault)) => write!(f, "record {index}: {fault}"),
            None => write!(f, "none"),
        }
    }
}
