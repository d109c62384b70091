//! What FoundationDB's errors mean to the contract. The codes are those of its developer guide ("Error Codes").

use foundationdb::FdbError;

use crate::{CommitError, StoreError};

const NOT_COMMITTED: i32 = 1020;
const TRANSACTION_TOO_OLD: i32 = 1007;
const FUTURE_VERSION: i32 = 1009;
const TOO_MANY_WATCHES: i32 = 1032;
/// The transaction's read version is past the versions that a storage server knows by now.
const PROCESS_BEHIND: i32 = 1037;
/// Over a limit of keys, values or transactions; or malformed. Each of these is a defect of the caller.
const LIMITS: [i32; 6] = [2101, 2102, 2103, 2004, 2005, 2006];

/// An error with its number, which is what FoundationDB's documents are searched by.
pub(super) fn told(error: FdbError) -> String {
    format!("{error} ({})", error.code())
}

/// A read, or a watch.
pub(super) fn reading(error: FdbError) -> StoreError {
    match error.code() {
        TRANSACTION_TOO_OLD => StoreError::TooOld,
        FUTURE_VERSION | PROCESS_BEHIND => StoreError::Future,
        TOO_MANY_WATCHES => StoreError::Limit(told(error)),
        code if LIMITS.contains(&code) => StoreError::Limit(told(error)),
        _ => StoreError::Unavailable(told(error)),
    }
}

/// A commit, before it was sent.
pub(super) fn unsent(error: FdbError) -> CommitError {
    match error.code() {
        code if LIMITS.contains(&code) => CommitError::TooLarge(told(error)),
        TRANSACTION_TOO_OLD => CommitError::TooOld,
        _ => CommitError::Unavailable(told(error)),
    }
}

/// A commit that was sent. Only what FoundationDB itself says was not applied counts as such.
pub(super) fn committing(error: FdbError) -> CommitError {
    match error.code() {
        NOT_COMMITTED => CommitError::Conflict,
        TRANSACTION_TOO_OLD => CommitError::TooOld,
        code if LIMITS.contains(&code) => CommitError::TooLarge(told(error)),
        _ if error.is_retryable_not_committed() => CommitError::Unavailable(told(error)),
        _ => CommitError::Unknown(told(error)),
    }
}

/// What came of a commit that was applied could not be learned.
pub(super) fn committed(error: FdbError) -> CommitError {
    CommitError::Unknown(told(error))
}
