//! Why a request about a group is not done.

use siltstone_metadata::group::classic::Refusal;
use siltstone_metadata::group::consumer;
use siltstone_metadata::transaction;
use siltstone_store::StoreError;

/// By what the client should do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// Nothing to retry.
    #[error("a group's id has at most {} bytes", super::MAX_GROUP_ID)]
    InvalidId,
    /// Find the coordinator and ask there.
    #[error("another agent coordinates the group")]
    NotCoordinator,
    /// Ask again: the metadata store does not answer.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// There is no such group.
    #[error("there is no group {0}")]
    NotFound(String),
    /// The group has members.
    #[error("the group is not empty")]
    NotEmpty,
    /// A member reads the topic.
    #[error("the group is subscribed to the topic")]
    Subscribed,
    /// The machine says no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The machine of the consumer protocol says no.
    #[error(transparent)]
    Consumer(#[from] consumer::Refusal),
    /// The transaction that the offsets are to be committed with says no.
    #[error(transparent)]
    Transaction(#[from] transaction::Refusal),
    /// Rows that this program can't read: nothing to retry.
    #[error("the group's rows can't be read: {0}")]
    Corrupt(String),
}

impl From<StoreError> for GroupError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Corrupt(why) => GroupError::Corrupt(why),
            other => GroupError::Unavailable(other.to_string()),
        }
    }
}
