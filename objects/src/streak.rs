//! Since when requests of one kind have failed, without one that succeeded. Pure; times are since any fixed moment.

use std::time::Duration;

/// Failures in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Streak {
    /// When the first one began, or the last success was, whichever is later.
    pub since: Duration,
    /// When the last one ended.
    pub latest: Duration,
    /// The last one was refused.
    pub refused: bool,
    /// What the last one met.
    pub reason: String,
}

/// What is known of one kind of request.
#[derive(Debug, Default)]
pub(crate) struct Record {
    succeeded: Duration,
    streak: Option<Streak>,
}

impl Record {
    pub(crate) fn succeeded(&mut self, now: Duration) {
        self.succeeded = now;
        self.streak = None;
    }

    /// A request that began at `begun` failed.
    pub(crate) fn failed(&mut self, begun: Duration, now: Duration, refused: bool, reason: &str) {
        let since = self.streak.as_ref().map_or(begun.max(self.succeeded), |streak| streak.since);
        self.streak = Some(Streak { since, latest: now, refused, reason: reason.to_owned() });
    }

    pub(crate) fn streak(&self) -> Option<&Streak> {
        self.streak.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn a_streak_begins_with_what_failed_first_and_ends_with_a_success() {
        let mut record = Record::default();
        assert_eq!(record.streak(), None);
        record.failed(AT(3), AT(33), false, "no answer");
        record.failed(AT(5), AT(34), true, "denied");
        let streak = Streak { since: AT(3), latest: AT(34), refused: true, reason: "denied".into() };
        assert_eq!(record.streak(), Some(&streak));
        record.succeeded(AT(40));
        assert_eq!(record.streak(), None);
        // It began before the success, and says nothing about that time.
        record.failed(AT(20), AT(50), false, "no answer");
        assert_eq!(record.streak().map(|streak| streak.since), Some(AT(40)));
    }
}
