//! How many requests may be in flight to a part of a store that asks us to slow down. Pure; times are since any fixed moment.
//!
//! As TCP does it: halved when the store complains, one more for each round that goes well. It ends up just below what the store takes.

use std::time::Duration;

/// Without a complaint for so long, it is forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// The bound while it is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pace {
    limit: usize,
    most: usize,
    /// Requests that went well since the limit was changed.
    good: usize,
    cut: Duration,
    /// Complaints since a request went well last.
    in_a_row: u32,
}

impl Pace {
    /// The first complaint, with so many requests in flight, of `most` at any time.
    pub(crate) fn new(in_flight: usize, most: usize, now: Duration) -> Self {
        let most = most.max(1);
        Self { limit: (in_flight / 2).clamp(1, most), most, good: 0, cut: now, in_a_row: 1 }
    }

    /// Requests that may be in flight.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Complaints since a request went well last: the more, the longer one waits for the next try.
    pub(crate) fn in_a_row(&self) -> u32 {
        self.in_a_row
    }

    /// A request that began at `begun` met a complaint. Those that began before the last cut say nothing about what came of it. Returns how many fewer
    /// may be in flight.
    pub(crate) fn slow_down(&mut self, begun: Duration, now: Duration) -> usize {
        if begun < self.cut {
            return 0;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let before = self.limit;
        self.limit = (before / 2).max(1);
        self.good = 0;
        self.cut = now;
        before - self.limit
    }

    /// A request went well. True if one more may be in flight.
    pub(crate) fn went_well(&mut self) -> bool {
        self.good += 1;
        self.in_a_row = 0;
        let more = self.good >= self.limit && self.limit < self.most;
        if more {
            self.limit += 1;
            self.good = 0;
        }
        more
    }

    /// Nothing is held back any more.
    pub(crate) fn is_over(&self, now: Duration) -> bool {
        self.limit >= self.most || now.saturating_sub(self.cut) >= FORGIVEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn complaints_halve_and_success_adds_one_a_round() {
        let mut pace = Pace::new(16, 16, AT(0));
        assert_eq!(pace.limit(), 8);
        assert_eq!(pace.slow_down(AT(1), AT(2)), 4);
        assert_eq!((0..4).filter(|_| pace.went_well()).count(), 1);
        assert_eq!(pace.limit(), 5);
        assert_eq!((0..5 + 6 + 7).filter(|_| pace.went_well()).count(), 3);
        assert_eq!(pace.limit(), 8);
    }

    #[test]
    fn complaints_about_what_was_sent_before_a_cut_count_once() {
        let mut pace = Pace::new(16, 16, AT(10));
        assert_eq!((0..8).map(|begun| pace.slow_down(AT(begun), AT(11))).sum::<usize>(), 0);
        assert_eq!((pace.limit(), pace.in_a_row()), (8, 1));
        assert_eq!(pace.slow_down(AT(10), AT(11)), 4);
        assert_eq!(pace.in_a_row(), 2);
        pace.went_well();
        assert_eq!(pace.in_a_row(), 0);
    }

    #[test]
    fn it_never_stops_all_and_never_exceeds_the_bound() {
        let mut pace = Pace::new(0, 4, AT(0));
        assert_eq!((pace.limit(), pace.slow_down(AT(1), AT(1))), (1, 0));
        assert!(!pace.is_over(AT(1)) && pace.is_over(AT(1) + FORGIVEN_AFTER));
        let grown = (0..1000).filter(|_| pace.went_well()).count();
        assert_eq!((grown, pace.limit()), (3, 4));
        assert!(pace.is_over(AT(1)));
        assert_eq!(Pace::new(3, 0, AT(0)).limit(), 1);
    }

    /// A store that takes six requests at a time: nearly all of that is used, and few requests are too many.
    #[test]
    fn it_settles_below_what_the_store_takes() {
        let mut pace = Pace::new(32, 32, AT(0));
        let (mut sent, mut refused) = (0, 0);
        for round in 1..500 {
            let limit = pace.limit();
            for number in 0..limit {
                sent += 1;
                if number < 6 {
                    pace.went_well();
                } else {
                    refused += 1;
                    pace.slow_down(AT(round), AT(round));
                }
            }
        }
        let mean = f64::from(sent) / 499.0;
        assert!((3.5..6.5).contains(&mean), "{mean} requests a round");
        assert!(refused * 8 < sent, "{refused} of {sent} were too many");
    }
}
