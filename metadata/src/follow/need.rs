//! Why a shard is followed, and until when. Pure: time is an argument.

use std::time::Duration;

use tokio::time::Instant;

/// What keeps a shard followed.
#[derive(Debug)]
pub(super) struct Need {
    /// This agent is one of those that clients are sent to.
    stands: bool,
    /// It holds the lease on the shard's checkpoints.
    held: bool,
    /// When somebody asked for something of it last.
    used: Instant,
    /// Since when it is followed.
    followed: Option<Instant>,
}

impl Need {
    /// Of a shard that this agent stands for, until somebody says otherwise.
    pub(super) fn new(now: Instant) -> Self {
        Need { stands: true, held: false, used: now, followed: Some(now) }
    }

    pub(super) fn stands(&self) -> bool {
        self.stands
    }

    pub(super) fn held(&self) -> bool {
        self.held
    }

    /// Since when it is followed, if it is.
    pub(super) fn followed(&self) -> Option<Instant> {
        self.followed
    }

    /// Somebody asks for it. Whether it is followed only from now on.
    pub(super) fn use_it(&mut self, now: Instant) -> bool {
        self.used = now;
        self.begin(now)
    }

    /// This agent stands for the shard, or does so no more. Whether it is followed only from now on.
    pub(super) fn stand(&mut self, stands: bool, now: Instant) -> bool {
        self.stands = stands;
        stands && self.begin(now)
    }

    /// This agent holds the lease, or does so no more. Whether it is followed only from now on.
    pub(super) fn hold(&mut self, held: bool, now: Instant) -> bool {
        self.held = held;
        held && self.begin(now)
    }

    fn begin(&mut self, now: Instant) -> bool {
        let begins = self.followed.is_none();
        self.followed.get_or_insert(now);
        begins
    }

    /// Whether nobody needs it any more.
    pub(super) fn is_over(&self, now: Instant, linger: Duration) -> bool {
        !self.stands && !self.held && now.saturating_duration_since(self.used) >= linger
    }

    /// It is followed no more.
    pub(super) fn end(&mut self) {
        self.followed = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_is_needed_by_place_by_lease_or_by_use() {
        let (begin, linger) = (Instant::now(), Duration::from_secs(10));
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut need = Need::new(begin);
        assert!(!need.is_over(at(1_000), linger), "it stands for it");
        assert!(!need.stand(false, at(1)), "it is followed already");
        assert!(need.is_over(at(10), linger) && !need.is_over(at(9), linger));
        assert!(!need.use_it(at(9)));
        assert!(!need.is_over(at(18), linger) && need.is_over(at(19), linger));
        assert!(!need.hold(true, at(19)));
        assert!(!need.is_over(at(100), linger));
        assert!(!need.hold(false, at(100)));
        assert!(need.is_over(at(100), linger));
        need.end();
        assert_eq!(need.followed(), None);
        assert!(!need.stand(false, at(101)) && !need.hold(false, at(101)));
        assert_eq!(need.followed(), None);
        assert!(need.use_it(at(102)), "it begins anew");
        assert_eq!(need.followed(), Some(at(102)));
    }
}
