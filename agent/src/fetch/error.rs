//! Why records could not be read, by what the caller should say.

use siltstone_metadata::follow::ShardError;
use siltstone_metadata::rows::RowsError;
use siltstone_objects::ReadError;
use siltstone_store::StoreError;

/// Why an operation of the read path failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FetchError {
    /// The offset is before the log start or behind the end, as of now.
    #[error("offset {offset} is not in the range {log_start} to {end}")]
    OutOfRange {
        /// What was asked for.
        offset: i64,
        /// The log start.
        log_start: i64,
        /// The high watermark.
        end: i64,
    },
    /// There is no such partition.
    #[error("there is no such partition")]
    NoPartition,
    /// Ask again: the metadata is not up to date here.
    #[error("the metadata is not up to date: {0}")]
    Unavailable(String),
    /// A segment is gone: its extents were replaced since this agent looked where they are. Look again.
    #[error("{0}")]
    Moved(String),
    /// The bytes can't be had now, or are damaged. The message names the object.
    #[error("{0}")]
    Storage(String),
}

impl From<ShardError> for FetchError {
    fn from(error: ShardError) -> Self {
        match error {
            ShardError::NoPartition(_) => FetchError::NoPartition,
            other => FetchError::Unavailable(other.to_string()),
        }
    }
}

impl From<StoreError> for FetchError {
    fn from(error: StoreError) -> Self {
        FetchError::Unavailable(error.to_string())
    }
}

impl From<RowsError> for FetchError {
    fn from(error: RowsError) -> Self {
        match error {
            RowsError::Store(error) => error.into(),
            RowsError::Format { .. } => FetchError::Storage(error.to_string()),
        }
    }
}

impl From<ReadError> for FetchError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::NotFound { .. } => FetchError::Moved(error.to_string()),
            _ => FetchError::Storage(error.to_string()),
        }
    }
}
