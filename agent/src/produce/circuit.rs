//! Whether uploads are hopeless just now, so that producers had better be told at once. Pure; times are since any fixed moment.
//!
//! Closed: uploads are tried for as long as producers are willing to wait. Open: nobody waits for an upload any more; one segment that could not be stored is tried on
//! and on, and when any PUT succeeds the circuit closes. It opens by failures that span a time without one success, never by slowness.

use std::time::Duration;

/// A refusal stays one until somebody acts; but one alone may be a mistake of the store's.
const REFUSED: Duration = Duration::from_secs(1);
/// After so long without an upload, what failed before says nothing about the next one.
const GAP: Duration = Duration::from_secs(5);

/// PUTs that failed, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failing {
    /// No PUT that began later has succeeded.
    pub(super) since: Duration,
    /// When the last one failed.
    pub(super) latest: Duration,
    /// The last one was refused.
    pub(super) refused: bool,
    /// What it met.
    pub(super) reason: String,
}

/// What a look changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    Same,
    Opened,
    Closed,
}

#[derive(Debug)]
pub(super) struct Circuit {
    patience: Duration,
    /// Since when uploads have followed one another.
    busy_since: Option<Duration>,
    last_ended: Duration,
    open: Option<Failing>,
}

impl Circuit {
    /// Closed; opens after failures for so long.
    pub(super) fn new(patience: Duration) -> Self {
        Circuit { patience, busy_since: None, last_ended: Duration::ZERO, open: None }
    }

    /// An upload begins, beside others if there are any.
    pub(super) fn began(&mut self, now: Duration, others: bool) {
        if !others && now.saturating_sub(self.last_ended) > GAP {
            self.busy_since = None;
        }
        self.busy_since.get_or_insert(now);
    }

    /// An upload ended, however.
    pub(super) fn ended(&mut self, now: Duration) {
        self.last_ended = now;
    }

    /// Why it is open, if it is.
    pub(super) fn open(&self) -> Option<&Failing> {
        self.open.as_ref()
    }

    /// Takes in how PUTs go: `failing`, or not since the last success.
    pub(super) fn look(&mut self, failing: Option<Failing>) -> Turn {
        let Some(failing) = failing else {
            return if self.open.take().is_some() { Turn::Closed } else { Turn::Same };
        };
        if self.open.is_some() {
            self.open = Some(failing);
            return Turn::Same;
        }
        let Some(busy_since) = self.busy_since else { return Turn::Same };
        let needed = if failing.refused { self.patience.min(REFUSED) } else { self.patience };
        let lasted = failing.latest.saturating_sub(failing.since.max(busy_since));
        if lasted < needed || failing.latest < busy_since {
            return Turn::Same;
        }
        self.open = Some(failing);
        Turn::Opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    fn failing(since: u64, latest: u64) -> Option<Failing> {
        Some(Failing { since: AT(since), latest: AT(latest), refused: false, reason: "no answer".into() })
    }

    fn refused(since: u64, latest: u64) -> Option<Failing> {
        failing(since, latest).map(|failing| Failing { refused: true, ..failing })
    }

    fn busy() -> Circuit {
        let mut circuit = Circuit::new(AT(10));
        circuit.began(AT(100), false);
        circuit
    }

    #[test]
    fn it_opens_after_patience_and_closes_with_the_first_success() {
        let mut circuit = busy();
        assert_eq!(circuit.look(None), Turn::Same);
        assert_eq!(circuit.look(failing(100, 109)), Turn::Same);
        assert_eq!(circuit.look(failing(100, 110)), Turn::Opened);
        assert_eq!(circuit.look(refused(100, 120)), Turn::Same);
        assert_eq!(circuit.open().map(|open| open.refused), Some(true));
        assert_eq!(circuit.look(None), Turn::Closed);
        assert_eq!(circuit.open(), None);
        assert_eq!(circuit.look(None), Turn::Same);
    }

    #[test]
    fn a_refusal_that_lasts_a_second_opens_it() {
        let mut circuit = busy();
        assert_eq!(circuit.look(refused(100, 100)), Turn::Same);
        assert_eq!(circuit.look(refused(100, 101)), Turn::Opened);
        let mut hasty = Circuit::new(Duration::ZERO);
        hasty.began(AT(1), false);
        assert_eq!(hasty.look(refused(1, 1)), Turn::Opened);
    }

    #[test]
    fn what_failed_long_ago_or_for_others_counts_only_from_the_first_upload_on() {
        // Nothing was ever uploaded here: a compactor in the same process fails.
        let mut circuit = Circuit::new(AT(10));
        assert_eq!(circuit.look(failing(0, 500)), Turn::Same);
        circuit.began(AT(600), false);
        assert_eq!(circuit.look(failing(0, 500)), Turn::Same);
        assert_eq!(circuit.look(failing(0, 609)), Turn::Same);
        assert_eq!(circuit.look(failing(0, 610)), Turn::Opened);
    }

    #[test]
    fn uploads_that_fail_at_once_one_after_the_other_are_one_time_of_trouble() {
        let mut circuit = busy();
        circuit.ended(AT(100));
        circuit.began(AT(101), false);
        assert_eq!(circuit.look(refused(100, 101)), Turn::Opened);
        let mut circuit = busy();
        circuit.ended(AT(100));
        circuit.began(AT(106), false);
        assert_eq!(circuit.look(refused(100, 106)), Turn::Same);
        // A long upload beside which others begin is no gap.
        circuit.began(AT(130), true);
        assert_eq!(circuit.look(failing(106, 116)), Turn::Opened);
    }
}
