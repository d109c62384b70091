//! InitProducerId with a transactional id: a producer takes the id over, and fences whoever had it (KIP-98, KIP-360).
//!
//! What the former producer left open is aborted in the same commit. Kafka does that first, by itself, and lets the client ask again; here the client
//! has its answer at once, with the same epoch in the end.

use siltstone_log::{EndMarker, TxnRow, TxnState};

use super::epoch::{end_and_raise, is_exhausted};
use super::{Decision, Refusal};

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitRequest {
    /// Id and epoch of a producer that wants to go on after an error; `None` for one that begins.
    pub held: Option<(i64, i16)>,
    /// How long its transactions may take, ms, checked by the caller.
    pub timeout_ms: i32,
}

/// A transactional id that has a producer: what is written, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Initialized {
    /// The row from now on; its producer id and epoch are the answer.
    pub row: TxnRow,
    /// An open transaction is aborted with it.
    pub aborted: Option<EndMarker>,
}

/// Gives a transactional id to a producer. `fresh`: a producer id that nobody has yet, if the caller has one at hand; `now` in milliseconds since the Unix
/// epoch.
///
/// # Errors
/// [`Refusal::Fenced`].
pub fn init(
    row: Option<&TxnRow>,
    request: &InitRequest,
    fresh: Option<i64>,
    now: i64,
) -> Result<Decision<Initialized>, Refusal> {
    let Some(row) = row else {
        return Ok(match fresh {
            Some(id) => Decision::Made(Initialized { row: created(id, request, now), aborted: None }),
            None => Decision::NeedsId,
        });
    };
    check_held(row, request)?;
    if row.state != TxnState::Ongoing {
        return Ok(raise(row, request, fresh, now).map(|row| Initialized { row, aborted: None }));
    }
    // Whoever holds an older epoch than the open transaction's is refused without harm to that.
    if request.held.is_some_and(|(_, epoch)| epoch != row.epoch) {
        return Err(Refusal::Fenced);
    }
    let aborted = match end_and_raise(row, false, fresh, now) {
        Decision::Made(ended) => ended,
        Decision::NeedsId => return Ok(Decision::NeedsId),
    };
    // The abort has raised the epoch for a producer that goes on, and exchanged the id if need be: its request is as one that is sent again.
    let goes_on = raise(&aborted.row, request, fresh, now);
    Ok(goes_on.map(|row| Initialized { row, aborted: Some(aborted.marker) }))
}

impl<T> Decision<T> {
    fn map<U>(self, f: impl FnOnce(T) -> U) -> Decision<U> {
        match self {
            Decision::Made(made) => Decision::Made(f(made)),
            Decision::NeedsId => Decision::NeedsId,
        }
    }
}

fn created(producer_id: i64, request: &InitRequest, now: i64) -> TxnRow {
    TxnRow {
        producer_id,
        epoch: 0,
        last_epoch: -1,
        previous_producer_id: -1,
        timeout_ms: request.timeout_ms,
        state: TxnState::Empty,
        implicit: false,
        started: -1,
        updated: now,
    }
}

/// Whether an id and epoch that are held can still be those of the row's producer.
fn check_held(row: &TxnRow, request: &InitRequest) -> Result<(), Refusal> {
    let Some((id, epoch)) = request.held else { return Ok(()) };
    if is_current(row, id, epoch) || is_last(row, id, epoch) { Ok(()) } else { Err(Refusal::Fenced) }
}

fn is_current(row: &TxnRow, id: i64, epoch: i16) -> bool {
    id == row.producer_id && epoch == row.epoch
}

/// Whether these are what the last raise has raised: then the answer to that was lost. One who takes over clears the last epoch.
fn is_last(row: &TxnRow, id: i64, epoch: i16) -> bool {
    let held = if row.previous_producer_id >= 0 { row.previous_producer_id } else { row.producer_id };
    id == held && epoch == row.last_epoch && epoch >= 0
}

/// The row with a new epoch, or with that which was given out before its answer was lost.
fn raise(row: &TxnRow, request: &InitRequest, fresh: Option<i64>, now: i64) -> Decision<TxnRow> {
    let ready = TxnRow {
        timeout_ms: request.timeout_ms,
        state: TxnState::Empty,
        implicit: false,
        started: -1,
        updated: now,
        ..row.clone()
    };
    if request.held.is_some_and(|(id, epoch)| is_last(row, id, epoch) && !is_current(row, id, epoch)) {
        return Decision::Made(ready);
    }
    let last_epoch = if request.held.is_some() { row.epoch } else { -1 };
    if !is_exhausted(row.epoch) {
        let epoch = row.epoch + 1;
        return Decision::Made(TxnRow { epoch, last_epoch, previous_producer_id: -1, ..ready });
    }
    match fresh {
        Some(producer_id) => {
            let previous_producer_id = if request.held.is_some() { row.producer_id } else { -1 };
            Decision::Made(TxnRow { producer_id, epoch: 0, last_epoch, previous_producer_id, ..ready })
        }
        None => Decision::NeedsId,
    }
}
