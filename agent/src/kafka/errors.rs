//! Kafka's error codes for our own errors: the one place where they are made.

use siltstone_configs::topic_name::TopicNameError;
use siltstone_configs::{AlterError, ErrorClass};
use siltstone_kafka::ErrorCode;
use siltstone_metadata::catalog::{CatalogError, CatalogReadError};
use siltstone_metadata::erase::EraseError;
use siltstone_metadata::follow::ShardError;
use siltstone_metadata::group::{classic, consumer};
use siltstone_metadata::shard::Verdict;
use siltstone_metadata::transaction;
use siltstone_metadata::trim::TrimError;
use siltstone_records::Refusal;

use crate::fetch::FetchError;
use crate::group::GroupError;
use crate::produce::WriteError;
use crate::transaction::TransactionError;

/// A change of the catalog that was not made.
pub(super) fn catalog(error: &CatalogError) -> ErrorCode {
    match error {
        CatalogError::Exists(_) => ErrorCode::TopicAlreadyExists,
        CatalogError::NoTopic => ErrorCode::UnknownTopicOrPartition,
        CatalogError::NotMore(_) => ErrorCode::InvalidPartitions,
        CatalogError::Refused(_) => ErrorCode::InvalidRequest,
        // Retriable everywhere; admin clients and producers wait and ask again.
        CatalogError::Unavailable(_) => ErrorCode::RequestTimedOut,
        CatalogError::Format(_) => ErrorCode::UnknownServerError,
    }
}

/// The catalog could not be read.
pub(super) fn catalog_read(error: &CatalogReadError) -> ErrorCode {
    match error {
        CatalogReadError::Store(_) | CatalogReadError::Stale => ErrorCode::LeaderNotAvailable,
        CatalogReadError::Format(_) => ErrorCode::UnknownServerError,
    }
}

/// A shard that can't be used now. Clients that meet NOT_LEADER_OR_FOLLOWER ask for metadata and try again, perhaps elsewhere.
pub(super) fn shard(error: &ShardError) -> ErrorCode {
    match error {
        ShardError::NoPartition(_) => ErrorCode::UnknownTopicOrPartition,
        ShardError::Stale(_) | ShardError::Halted(_) | ShardError::NotLoaded(_) => {
            ErrorCode::NotLeaderOrFollower
        }
    }
}

/// Records that could not be read.
pub(super) fn fetch(error: &FetchError) -> ErrorCode {
    match error {
        FetchError::OutOfRange { .. } => ErrorCode::OffsetOutOfRange,
        FetchError::NoPartition => ErrorCode::UnknownTopicOrPartition,
        FetchError::Unavailable(_) => ErrorCode::NotLeaderOrFollower,
        FetchError::Storage(_) | FetchError::Moved(_) => ErrorCode::KafkaStorageError,
    }
}

/// A batch that was not taken.
pub(super) fn refusal(refusal: &Refusal) -> ErrorCode {
    match refusal {
        Refusal::Corrupt(_) => ErrorCode::CorruptMessage,
        Refusal::TooLarge { .. } | Refusal::TooLargeDecompressed { .. } => ErrorCode::MessageTooLarge,
        Refusal::UnsupportedCompression { .. } => ErrorCode::UnsupportedCompressionType,
        Refusal::UnsupportedMagic { .. } | Refusal::InvalidRecord(_) | Refusal::InvalidRecords { .. } => {
            ErrorCode::InvalidRecord
        }
        Refusal::InvalidTimestamp { .. } => ErrorCode::InvalidTimestamp,
    }
}

/// A change of configs that was refused.
pub(super) fn alter(error: &AlterError) -> ErrorCode {
    match error.class() {
        ErrorClass::InvalidRequest => ErrorCode::InvalidRequest,
        ErrorClass::InvalidConfig => ErrorCode::InvalidConfig,
    }
}

/// A name that no topic may have.
pub(super) fn topic_name(_error: &TopicNameError) -> ErrorCode {
    ErrorCode::InvalidTopicException
}

/// Log starts that were not raised.
pub(super) fn trim(error: &TrimError) -> ErrorCode {
    match error {
        TrimError::Unavailable(_) => ErrorCode::RequestTimedOut,
        TrimError::Refused(_) => ErrorCode::UnknownServerError,
    }
}

/// An erasure that was not asked for, or of which nothing is known.
pub(super) fn erase(error: &EraseError) -> ErrorCode {
    match error {
        EraseError::NoTopic(_) => ErrorCode::UnknownTopicOrPartition,
        EraseError::Keys(_) => ErrorCode::InvalidRequest,
        EraseError::TooManyKeys(_) | EraseError::TooManyErasures | EraseError::UnderWay(_) => {
            ErrorCode::PolicyViolation
        }
        EraseError::Level(_) => ErrorCode::UnsupportedVersion,
        EraseError::Unknown(_) => ErrorCode::ResourceNotFound,
        EraseError::Unavailable(_) => ErrorCode::RequestTimedOut,
        EraseError::Corrupt(_) => ErrorCode::UnknownServerError,
    }
}

/// What the fold said of a batch that is not in the log; `None` if it is.
pub(super) fn verdict(verdict: &Verdict) -> Option<ErrorCode> {
    match verdict {
        Verdict::Appended { .. } | Verdict::Duplicate { .. } => None,
        Verdict::OutOfOrder { .. } => Some(ErrorCode::OutOfOrderSequenceNumber),
        Verdict::Fenced { .. } => Some(ErrorCode::InvalidProducerEpoch),
        Verdict::NoPartition => Some(ErrorCode::UnknownTopicOrPartition),
        // Its writer mostly knows more: this is for one that has forgotten.
        Verdict::Void => Some(ErrorCode::InvalidTxnState),
    }
}

/// A batch that was not written, or may not have been. `None`: only closing the connection tells the truth.
pub(super) fn write(error: &WriteError, version: i16, idempotent: bool) -> Option<ErrorCode> {
    match error {
        // Nothing is in the log. Retriable without new metadata: as far as is known, another agent would meet the same storage.
        WriteError::Storage(_) | WriteError::Metadata(_) => Some(ErrorCode::NotEnoughReplicas),
        // Another agent may take it: clients ask for metadata first.
        WriteError::Ended => Some(ErrorCode::NotLeaderOrFollower),
        // It may be in the log: clients take this code as such, send again, and the fold finds the duplicate.
        WriteError::Lost if idempotent => Some(ErrorCode::NotEnoughReplicasAfterAppend),
        WriteError::Transaction(refusal) => Some(transactional_batch(*refusal, version)),
        WriteError::Lost | WriteError::Closed => None,
    }
}

/// A batch whose transaction is not open, or is another's, by the version of Produce.
fn transactional_batch(refusal: transaction::Refusal, version: i16) -> ErrorCode {
    /// The first version whose clients know that all is well again once the transaction is aborted (KIP-890).
    const ABORTABLE: i16 = 11;
    match refusal {
        // Producers know only this of the two codes for it.
        transaction::Refusal::Fenced => ErrorCode::InvalidProducerEpoch,
        transaction::Refusal::UnknownId => ErrorCode::InvalidProducerIdMapping,
        _ if version >= ABORTABLE => ErrorCode::TransactionAbortable,
        _ => ErrorCode::InvalidTxnState,
    }
}

/// A request about a group that is not done.
pub(super) fn group(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::InvalidId => ErrorCode::InvalidGroupId,
        GroupError::NotCoordinator => ErrorCode::NotCoordinator,
        // Clients find the coordinator again and ask there.
        GroupError::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        GroupError::NotFound(_) => ErrorCode::GroupIdNotFound,
        GroupError::NotEmpty => ErrorCode::NonEmptyGroup,
        GroupError::Subscribed => ErrorCode::GroupSubscribedToTopic,
        GroupError::Refused(refusal) => classic_group(refusal),
        GroupError::Consumer(refusal) => consumer_group(refusal),
        GroupError::Transaction(refusal) => transactional_offsets(*refusal, i16::MAX),
        GroupError::Corrupt(_) => ErrorCode::UnknownServerError,
    }
}

/// Offsets that were not handed to a transaction, by the version of TxnOffsetCommit.
pub(super) fn pending_offsets(error: &GroupError, version: i16) -> ErrorCode {
    match error {
        GroupError::Transaction(refusal) => transactional_offsets(*refusal, version),
        other => group(other),
    }
}

fn transactional_offsets(refusal: transaction::Refusal, version: i16) -> ErrorCode {
    /// The first version whose clients know that all is well again once the transaction is aborted (KIP-890).
    const ABORTABLE: i16 = 4;
    match refusal {
        transaction::Refusal::Fenced => ErrorCode::InvalidProducerEpoch,
        transaction::Refusal::UnknownId => ErrorCode::InvalidProducerIdMapping,
        _ if version >= ABORTABLE => ErrorCode::TransactionAbortable,
        _ => ErrorCode::InvalidTxnState,
    }
}

/// A step of a transaction that is not done. `knows_fenced`: the request's version is one whose clients know the newer of the two codes for that.
pub(super) fn transaction(error: &TransactionError, knows_fenced: bool) -> ErrorCode {
    match error {
        TransactionError::InvalidId => ErrorCode::InvalidRequest,
        TransactionError::InvalidTimeout { .. } => ErrorCode::InvalidTransactionTimeout,
        // Final for every client, and at once; most other codes would be tried again for ever.
        TransactionError::Unsupported => ErrorCode::TransactionalIdAuthorizationFailed,
        TransactionError::NotFound => ErrorCode::TransactionalIdNotFound,
        TransactionError::Refused(refusal) => match refusal {
            transaction::Refusal::UnknownId => ErrorCode::InvalidProducerIdMapping,
            transaction::Refusal::Fenced if knows_fenced => ErrorCode::ProducerFenced,
            transaction::Refusal::Fenced => ErrorCode::InvalidProducerEpoch,
            transaction::Refusal::NotOngoing | transaction::Refusal::NotAdded => {
                ErrorCode::TransactionAbortable
            }
            transaction::Refusal::InvalidState => ErrorCode::InvalidTxnState,
        },
        // Clients find the coordinator again and ask there.
        TransactionError::Unavailable(_) => ErrorCode::CoordinatorNotAvailable,
        TransactionError::TooLarge(_) | TransactionError::Corrupt(_) => ErrorCode::UnknownServerError,
    }
}

/// What a group of the classic protocol says no to.
pub(super) fn classic_group(refusal: &classic::Refusal) -> ErrorCode {
    match refusal {
        classic::Refusal::UnknownMember => ErrorCode::UnknownMemberId,
        classic::Refusal::IllegalGeneration => ErrorCode::IllegalGeneration,
        classic::Refusal::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        classic::Refusal::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        classic::Refusal::FencedInstance => ErrorCode::FencedInstanceId,
        classic::Refusal::InvalidSessionTimeout => ErrorCode::InvalidSessionTimeout,
        classic::Refusal::GroupFull => ErrorCode::GroupMaxSizeReached,
        classic::Refusal::MemberIdRequired(_) => ErrorCode::MemberIdRequired,
    }
}

/// What a group of the consumer protocol says no to.
pub(super) fn consumer_group(refusal: &consumer::Refusal) -> ErrorCode {
    match refusal {
        consumer::Refusal::InvalidRequest(_) => ErrorCode::InvalidRequest,
        consumer::Refusal::UnknownMember => ErrorCode::UnknownMemberId,
        consumer::Refusal::FencedMemberEpoch { .. } => ErrorCode::FencedMemberEpoch,
        consumer::Refusal::StaleMemberEpoch { .. } => ErrorCode::StaleMemberEpoch,
        consumer::Refusal::FencedInstance => ErrorCode::FencedInstanceId,
        consumer::Refusal::UnreleasedInstance(_) => ErrorCode::UnreleasedInstanceId,
        consumer::Refusal::UnsupportedAssignor(..) => ErrorCode::UnsupportedAssignor,
        consumer::Refusal::InvalidRegex(_) => ErrorCode::InvalidRegularExpression,
        consumer::Refusal::GroupFull(_) => ErrorCode::GroupMaxSizeReached,
        consumer::Refusal::NotThisProtocol(_) => ErrorCode::GroupIdNotFound,
        consumer::Refusal::IllegalGeneration { .. } => ErrorCode::IllegalGeneration,
        consumer::Refusal::InconsistentProtocol => ErrorCode::InconsistentGroupProtocol,
        consumer::Refusal::RebalanceInProgress => ErrorCode::RebalanceInProgress,
        consumer::Refusal::MemberIdRequired(_) => ErrorCode::MemberIdRequired,
        // Only transactions' offsets are refused so, and they know of generations only.
        consumer::Refusal::OwnedByAnother { .. } => ErrorCode::IllegalGeneration,
        consumer::Refusal::UnsupportedVersion => ErrorCode::UnsupportedVersion,
    }
}
