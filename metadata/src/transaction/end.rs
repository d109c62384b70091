//! EndTxn: commit or abort, by a client.
//!
//! A client of transaction version 1 keeps its epoch, so that its state alone tells whether it asks again for what is done. One of version 2
//! gets a new epoch with each end: who asks with the epoch before asks again. It may also abort where nothing has begun, since it can't know whether
//! its first write arrived. (KIP-890)

use siltstone_log::{EndMarker, TxnRow, TxnState};

use super::epoch::{complete, end_and_raise};
use super::{Decision, Ended, Refusal};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndRequest {
    /// The producer id.
    pub producer_id: i64,
    /// The producer's epoch.
    pub epoch: i16,
    /// Commit; else abort.
    pub commit: bool,
    /// The client takes a new epoch from the answer: EndTxn from version 5.
    pub raises: bool,
}

/// What comes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// It was ended so before: the request was sent again. The row stays, and its producer id and epoch are the answer.
    Already,
    /// It ends here.
    Now(Ended),
}

/// Ends a transaction. `fresh`: a producer id that nobody has yet, if the caller has one at hand; `now` in milliseconds since the Unix epoch.
///
/// # Errors
/// [`Refusal::UnknownId`], [`Refusal::Fenced`], [`Refusal::InvalidState`].
pub fn end(
    row: Option<&TxnRow>,
    request: &EndRequest,
    fresh: Option<i64>,
    now: i64,
) -> Result<Decision<End>, Refusal> {
    let row = row.ok_or(Refusal::UnknownId)?;
    if request.raises { end_raising(row, request, fresh, now) } else { end_keeping(row, request, now) }
}

/// Transaction version 1.
fn end_keeping(row: &TxnRow, request: &EndRequest, now: i64) -> Result<Decision<End>, Refusal> {
    let EndRequest { commit, .. } = *request;
    if row.producer_id != request.producer_id {
        return Err(Refusal::UnknownId);
    }
    if row.epoch != request.epoch {
        return Err(Refusal::Fenced);
    }
    if row.state == complete(commit) {
        return Ok(Decision::Made(End::Already));
    }
    if row.state != TxnState::Ongoing {
        return Err(Refusal::InvalidState);
    }
    let marker = EndMarker { producer_id: row.producer_id, epoch: row.epoch, commit };
    let row = TxnRow { state: complete(commit), implicit: false, updated: now, ..row.clone() };
    Ok(Decision::Made(End::Now(Ended { row, marker })))
}

/// Whether the request was made before the last raise of the epoch.
fn is_again(row: &TxnRow, request: &EndRequest) -> bool {
    let raised = row.producer_id == request.producer_id && request.epoch.checked_add(1) == Some(row.epoch);
    let exchanged = row.previous_producer_id == request.producer_id
        && row.previous_producer_id >= 0
        && row.last_epoch == request.epoch
        && row.epoch == 0;
    raised || exchanged
}

/// Transaction version 2.
fn end_raising(
    row: &TxnRow,
    request: &EndRequest,
    fresh: Option<i64>,
    now: i64,
) -> Result<Decision<End>, Refusal> {
    let completed = matches!(row.state, TxnState::CompleteCommit | TxnState::CompleteAbort);
    if completed && is_again(row, request) {
        let same = row.state == complete(request.commit);
        return if same { Ok(Decision::Made(End::Already)) } else { Err(Refusal::InvalidState) };
    }
    if row.producer_id != request.producer_id {
        return Err(Refusal::UnknownId);
    }
    if row.epoch != request.epoch {
        return Err(Refusal::Fenced);
    }
    let mut row = TxnRow { implicit: true, ..row.clone() };
    if row.state != TxnState::Ongoing {
        if request.commit {
            return Err(Refusal::InvalidState);
        }
        row.started = now;
    }
    Ok(match end_and_raise(&row, request.commit, fresh, now) {
        Decision::Made(ended) => Decision::Made(End::Now(ended)),
        Decision::NeedsId => Decision::NeedsId,
    })
}
