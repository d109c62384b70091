//! What compaction leaves of a batch: the same batch with fewer records, or with none.
//!
//! Guarantees that of what is kept nothing changes: offsets, keys, values, headers and timestamps of records; base and last offset, producer,
//! sequence, flags and codec of the batch. The max timestamp becomes that of the records that are kept, as Kafka's cleaner has it.
//! Which records to keep is the caller's to say. A record's attributes, which nobody uses, become 0, as with Kafka.

use bytes::Bytes;

use crate::builder::BuildError;
use crate::header::NO_TIMESTAMP;
use crate::{BatchBuilder, Compression, Header, RecordView, RecordsError, Scratch};

/// Why it can't be told what is left of a batch. Nothing has changed; trying again won't help.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RewriteError {
    /// Its records can't be read: it is damaged.
    #[error("the batch at offset {offset} can't be read: {error}")]
    Records {
        /// The batch's first offset.
        offset: i64,
        /// What is wrong.
        error: RecordsError,
    },
    /// It can't be written anew.
    #[error("the batch at offset {offset} can't be written: {error}")]
    Build {
        /// The batch's first offset.
        offset: i64,
        /// Why not.
        error: BuildError,
    },
}

impl RewriteError {
    /// This batch can't be read.
    pub fn records(header: &Header) -> impl Fn(RecordsError) -> Self + Copy {
        let offset = header.base_offset;
        move |error| RewriteError::Records { offset, error }
    }

    /// This batch can't be written.
    pub fn build(header: &Header) -> impl Fn(BuildError) -> Self + Copy {
        let offset = header.base_offset;
        move |error| RewriteError::Build { offset, error }
    }
}

/// The batch with this header and only these of its records, which must be in their order and at least one (else see [`emptied`]).
///
/// `horizon`, in ms, becomes its delete horizon; `None` leaves it the one that it has, if any. `level` is that of the batch's own codec
/// (the codec's default if `None`).
///
/// # Errors
/// The new batch would have more than 2 GiB, a timestamp is too far from the horizon for 64 bits, or the compressor has no memory.
pub fn rewritten<'a>(
    header: &Header,
    kept: impl IntoIterator<Item = RecordView<'a>>,
    horizon: Option<i64>,
    level: Option<i32>,
    scratch: &mut Scratch,
) -> Result<Bytes, BuildError> {
    let codec = header.attributes.compression().unwrap_or(Compression::None);
    let mut builder = BatchBuilder::keeping(header).compression(codec, level);
    if let Some(horizon) = horizon {
        builder = builder.delete_horizon(horizon);
    }
    for record in kept {
        builder.push_copy(&record)?;
    }
    builder.build(scratch)
}

/// The batch with this header and no records: 61 bytes, uncompressed, without a delete horizon. Its offsets, producer, flags and max timestamp
/// stay.
///
/// # Errors
/// None that can happen.
pub fn emptied(header: &Header, scratch: &mut Scratch) -> Result<Bytes, BuildError> {
    let attributes = header.attributes.with_delete_horizon(false);
    let header = Header { attributes, base_timestamp: NO_TIMESTAMP, ..*header };
    BatchBuilder::keeping(&header).build(scratch)
}
