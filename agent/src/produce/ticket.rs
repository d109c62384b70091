//! Tickets: what a produce request waits for.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_metadata::shard::Verdict;
use siltstone_metadata::transaction::Refusal;
use tokio::sync::oneshot;

use super::budget::Reservation;

/// Why a batch was not written, or may not have been.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Not in the log: the object store did not take the segment. Send it again.
    #[error("the segment could not be stored: {0}")]
    Storage(String),
    /// Not in the log: the metadata store refused the transaction. Send it again.
    #[error("the segment could not be committed: {0}")]
    Metadata(String),
    /// Not in the log: this agent's registration is over. Send it again, to whichever agent the metadata names.
    #[error("this agent's registration is over")]
    Ended,
    /// Nobody can say whether it is in the log. An idempotent producer may send it again; others must be told by closing the connection.
    #[error("the outcome of the write is lost")]
    Lost,
    /// Not in the log: its transaction is not open, or not its own.
    #[error("{0}")]
    Transaction(Refusal),
    /// Dropped from the buffer with its connection.
    #[error("the connection was closed before the batch was written")]
    Closed,
}

/// What became of a batch.
pub type WriteOutcome = Result<Verdict, WriteError>;

/// Requests that were answered and whose senders have sent nothing since: so many more are likely to come. Counted from the last flush on.
#[derive(Debug, Default)]
pub(super) struct Expected(AtomicUsize);

impl Expected {
    /// A request was answered: whoever waited for that may send the next one.
    fn answered(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// A request came.
    pub(super) fn came(&self) {
        // Zero stays zero: it is not one that was waited for.
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| count.checked_sub(1)).ok();
    }

    /// Who has not come back by now may not come at all.
    pub(super) fn begin_anew(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    pub(super) fn any(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }
}

#[derive(Debug)]
struct Waiting {
    outcomes: Vec<Option<WriteOutcome>>,
    left: usize,
    tell: Option<oneshot::Sender<Vec<WriteOutcome>>>,
    reservation: Option<Reservation>,
    expected: Arc<Expected>,
}

/// One batch's place in its request's ticket. Dropping it unresolved answers [`WriteError::Ended`]: nothing waits for ever.
#[derive(Debug)]
pub(super) struct Slot {
    waiting: Arc<Mutex<Waiting>>,
    index: usize,
    resolved: bool,
}

/// Resolves when every batch of a request is answered, in the request's order. Dropping it loses nothing but the answer.
#[derive(Debug)]
pub struct Ticket(oneshot::Receiver<Vec<WriteOutcome>>);

impl Ticket {
    /// Waits for all outcomes.
    pub async fn outcomes(self) -> Vec<WriteOutcome> {
        self.0.await.unwrap_or_default()
    }
}

/// A ticket for `count` batches and their slots. The reservation is held until the last one is resolved, and `expected` told then.
pub(super) fn issue(
    count: usize,
    reservation: Option<Reservation>,
    expected: Arc<Expected>,
) -> (Ticket, Vec<Slot>) {
    let (tell, told) = oneshot::channel();
    let mut waiting =
        Waiting { outcomes: vec![None; count], left: count, tell: Some(tell), reservation, expected };
    if count == 0 {
        waiting.finish();
    }
    let waiting = Arc::new(Mutex::new(waiting));
    let slots = (0..count).map(|index| Slot { waiting: waiting.clone(), index, resolved: false }).collect();
    (Ticket(told), slots)
}

impl Waiting {
    fn finish(&mut self) {
        self.reservation = None;
        self.expected.answered();
        if let Some(tell) = self.tell.take() {
            let outcomes =
                self.outcomes.drain(..).map(|outcome| outcome.unwrap_or(Err(WriteError::Lost))).collect();
            // Nobody listens any more if the client has gone: that is fine.
            drop(tell.send(outcomes));
        }
    }
}

impl Slot {
    /// Answers the batch.
    pub(super) fn resolve(mut self, outcome: WriteOutcome) {
        self.set(outcome);
    }

    fn set(&mut self, outcome: WriteOutcome) {
        self.resolved = true;
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.outcomes[self.index] = Some(outcome);
        waiting.left -= 1;
        if waiting.left == 0 {
            waiting.finish();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if !self.resolved {
            self.set(Err(WriteError::Ended));
        }
    }
}
