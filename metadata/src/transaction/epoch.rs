//! Epochs of producers: when they are raised, and what happens when they run out.

use siltstone_log::{EndMarker, TxnRow, TxnState};

use super::Decision;

/// A transaction that ends: what is written, in one commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The transactional id's row from now on.
    pub row: TxnRow,
    /// What the control records say, at every partition of the transaction. Its producer id is that under which partitions and groups were added.
    pub marker: EndMarker,
}

/// Whether a producer may go no further with this epoch: the one behind it stays free, so that it can still be fenced.
pub(super) fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

/// The state of a transaction that has ended.
pub(super) fn complete(commit: bool) -> TxnState {
    if commit { TxnState::CompleteCommit } else { TxnState::CompleteAbort }
}

/// Ends a transaction and raises the epoch, so that nothing can be added to it any more; the control records carry the raised one. If epochs have run
/// out, the producer goes on under `fresh`.
pub(super) fn end_and_raise(row: &TxnRow, commit: bool, fresh: Option<i64>, now: i64) -> Decision<Ended> {
    let raised = row.epoch.saturating_add(1);
    let marker = EndMarker { producer_id: row.producer_id, epoch: raised, commit };
    let ended = TxnRow { state: complete(commit), updated: now, last_epoch: row.epoch, ..row.clone() };
    let row = if !is_exhausted(row.epoch) {
        TxnRow { epoch: raised, previous_producer_id: -1, ..ended }
    } else if let Some(producer_id) = fresh {
        TxnRow { producer_id, epoch: 0, previous_producer_id: row.producer_id, ..ended }
    } else {
        return Decision::NeedsId;
    };
    Decision::Made(Ended { row, marker })
}
