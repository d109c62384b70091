//! Watching a lease for a sign of life. Pure: time is an argument.

use std::time::Duration;

use bytes::Bytes;

/// What a challenger has seen of one lease.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observer {
    seen: Option<(Option<Bytes>, Option<Bytes>, Duration)>,
}

impl Observer {
    /// Takes in the owner's and the beat's values as they are at `now` (any monotonic clock), and says for how long they have been so.
    pub fn observe(&mut self, owner: Option<Bytes>, beat: Option<Bytes>, now: Duration) -> Duration {
        match &self.seen {
            Some((old_owner, old_beat, since)) if *old_owner == owner && *old_beat == beat => {
                now.saturating_sub(*since)
            }
            _ => {
                self.seen = Some((owner, beat, now));
                Duration::ZERO
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_change_starts_the_wait_anew() {
        let mut observer = Observer::default();
        let value = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
        let at = Duration::from_secs;
        assert_eq!(observer.observe(value("a"), value("1"), at(5)), at(0));
        assert_eq!(observer.observe(value("a"), value("1"), at(9)), at(4));
        assert_eq!(observer.observe(value("a"), value("2"), at(10)), at(0));
        assert_eq!(observer.observe(value("b"), value("2"), at(12)), at(0));
        assert_eq!(observer.observe(value("b"), value("2"), at(22)), at(10));
    }
}
