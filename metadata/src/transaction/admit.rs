//! Whether what a producer sends may become part of a transaction.

use siltstone_log::{TxnRow, TxnState};

/// What a request says of its producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// Its producer id.
    pub producer_id: i64,
    /// Its epoch.
    pub epoch: i16,
    /// By its version, its client adds partitions and groups by writing to them: Produce from version 12, TxnOffsetCommit from 5.
    pub implicit: bool,
}

/// What comes of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// The transaction is open, and the row stays as it is.
    Ongoing,
    /// The transaction begins here: this row must be written in the same commit.
    Begin(TxnRow),
    /// It may not.
    Refused(Refusal),
}

/// Why a step of a transaction is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Nobody has initialized the transactional id, or it has another producer id now.
    #[error("the producer id is not that of the transactional id")]
    UnknownId,
    /// Another producer has taken over, or the transaction was aborted because it took too long.
    #[error("a newer epoch of the producer has fenced this one")]
    Fenced,
    /// No transaction is open.
    #[error("no transaction is open")]
    NotOngoing,
    /// Something was never added to the open transaction by a client that must add it first.
    #[error("this was not added to the transaction")]
    NotAdded,
    /// The transaction is not in a state in which this can be done.
    #[error("the transaction's state does not allow this")]
    InvalidState,
}

/// Whether a claim names the producer that a row belongs to.
///
/// # Errors
/// [`Refusal::UnknownId`], [`Refusal::Fenced`].
pub(super) fn same(row: Option<&TxnRow>, producer_id: i64, epoch: i16) -> Result<&TxnRow, Refusal> {
    match row {
        Some(row) if row.producer_id == producer_id && row.epoch == epoch => Ok(row),
        Some(row) if row.producer_id == producer_id => Err(Refusal::Fenced),
        _ => Err(Refusal::UnknownId),
    }
}

/// The row of a transaction that begins, `now` in milliseconds since the Unix epoch.
pub(super) fn begun(row: &TxnRow, implicit: bool, now: i64) -> TxnRow {
    TxnRow { state: TxnState::Ongoing, implicit, started: now, updated: now, ..row.clone() }
}

/// Whether a batch or a pending offset is taken, by the row of its transactional id; `now` in milliseconds since the Unix epoch.
///
/// For a claim that isn't implicit the answer is never [`Admission::Begin`], and [`Admission::Ongoing`] doesn't tell whether the partition or group
/// was added: the caller looks for its key.
pub fn admit(row: Option<&TxnRow>, claim: &Claim, now: i64) -> Admission {
    match same(row, claim.producer_id, claim.epoch) {
        Err(refusal) => Admission::Refused(refusal),
        Ok(row) if row.state == TxnState::Ongoing => Admission::Ongoing,
        Ok(row) if claim.implicit => Admission::Begin(begun(row, true, now)),
        Ok(_) => Admission::Refused(Refusal::NotOngoing),
    }
}
