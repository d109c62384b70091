//! Transactions that are ongoing, seen again and again by one observer, who judges by a clock of its own how long they have been.
//!
//! Wall clocks of different agents are never compared: a transaction counts from when this observer first saw it, so it may be given more time than it asked
//! for after a change of observers, and never less.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_log::{TxnRow, TxnState};

/// Most transactions that are watched at a time; others wait until there is room.
const MOST: usize = 200_000;

/// One that is ongoing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    /// Producer id, epoch and start: another transaction differs in one of them.
    which: (i64, i16, i64),
    first: Duration,
    round: u64,
}

/// What is watched.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    seen: BTreeMap<String, Seen>,
    round: u64,
}

impl Watch {
    /// A row as it is at `now` on the observer's monotonic clock. Whether its transaction has been ongoing for longer than it may.
    pub fn observe(&mut self, id: &str, row: &TxnRow, now: Duration) -> bool {
        if row.state != TxnState::Ongoing {
            return false;
        }
        let new = Seen { which: (row.producer_id, row.epoch, row.started), first: now, round: self.round };
        let allowed = Duration::from_millis(u64::from(row.timeout_ms.max(0).unsigned_abs()));
        if let Some(seen) = self.seen.get_mut(id) {
            let first = if seen.which == new.which { seen.first } else { now };
            *seen = Seen { first, ..new };
            return now.saturating_sub(first) >= allowed;
        }
        if self.seen.len() < MOST {
            self.seen.insert(id.to_owned(), new);
        }
        false
    }

    /// All rows have been observed once more: what was not among the ongoing ones is forgotten.
    pub fn end_round(&mut self) {
        let round = self.round;
        self.seen.retain(|_, seen| seen.round == round);
        self.round += 1;
    }

    /// Forgets everything: another observer was at it meanwhile.
    pub fn clear(&mut self) {
        self.seen.clear();
    }
}
