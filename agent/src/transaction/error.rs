//! Why a step of a transaction is not done.

use siltstone_metadata::transaction::Refusal;
use siltstone_store::{ReadAllError, StoreError};

/// By what the client should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    /// Nothing to retry.
    #[error("a transactional id has 1 to {} bytes", super::MAX_TRANSACTIONAL_ID)]
    InvalidId,
    /// Nothing to retry: ask for a shorter one.
    #[error("a transaction's timeout is positive, and at most {most} ms")]
    InvalidTimeout {
        /// The longest, ms.
        most: u64,
    },
    /// The cluster's feature level is too low: nothing to retry until it is raised.
    #[error("the cluster's feature level knows no transactions")]
    Unsupported,
    /// There is no such transactional id.
    #[error("there is no such transactional id")]
    NotFound,
    /// The rules say no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// Ask again: the metadata store does not answer. It may have been done.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// More than one commit can hold: nothing to retry. A transaction that can't be committed for its size may still be aborted.
    #[error("the transaction is too large: {0}")]
    TooLarge(String),
    /// Rows that this program can't read: nothing to retry.
    #[error("the transaction's rows can't be read: {0}")]
    Corrupt(String),
}

impl From<StoreError> for TransactionError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(why) => TransactionError::Corrupt(why),
            other => TransactionError::Unavailable(other.to_string()),
        }
    }
}

impl From<ReadAllError> for TransactionError {
    fn from(error: ReadAllError) -> Self {
        match error {
            ReadAllError::Store(error) => error.into(),
            ReadAllError::OverCap { .. } => TransactionError::TooLarge(error.to_string()),
        }
    }
}
