//! How long recent requests took, by size, and when the next one counts as slow.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::options::Hedge;

/// Latest requests kept per size class.
const KEPT: usize = 64;
/// With fewer than these, [`Hedge::max`] is the wait.
const ENOUGH: usize = 16;
/// Classes by powers of four: up to 4 KiB, 16 KiB, ... 64 MiB, and all above.
const CLASSES: usize = 9;
/// Tenths of a hedge that every request earns, and the most that can be saved up.
const EARNED: u32 = 1;
const SAVED: u32 = 100;
const COST: u32 = 10;

/// What is known of one kind of request.
#[derive(Debug)]
pub(crate) struct Latency(Mutex<Known>);

#[derive(Debug)]
struct Known {
    classes: [Recent; CLASSES],
    /// Tenths of hedges that may still be sent.
    budget: u32,
}

#[derive(Debug, Clone, Default)]
struct Recent {
    took: Vec<Duration>,
    next: usize,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self(Mutex::new(Known { classes: Default::default(), budget: SAVED / 2 }))
    }

    /// Records a request that ended well.
    pub(crate) fn record(&self, bytes: u64, took: Duration) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.budget = (known.budget + EARNED).min(SAVED);
        let recent = &mut known.classes[class(bytes)];
        match recent.took.get_mut(recent.next) {
            Some(slot) => *slot = took,
            None => recent.took.push(took),
        }
        recent.next = (recent.next + 1) % KEPT;
    }

    /// How long to wait for a request of this size before a second one is sent.
    pub(crate) fn hedge_after(&self, bytes: u64, bounds: Hedge) -> Duration {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let recent = &known.classes[class(bytes)];
        if recent.took.len() < ENOUGH {
            return bounds.max;
        }
        let mut sorted = recent.took.clone();
        drop(known);
        sorted.sort_unstable();
        let p95 = sorted[(sorted.len() * 95 / 100).min(sorted.len() - 1)];
        (p95 * 3).clamp(bounds.min, bounds.max)
    }

    /// Takes the right to one hedge, if there is one.
    pub(crate) fn may_hedge(&self) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rest = known.budget.checked_sub(COST);
        known.budget = rest.unwrap_or(known.budget);
        rest.is_some()
    }
}

fn class(bytes: u64) -> usize {
    let doublings = 64 - (bytes >> 12).leading_zeros() as usize;
    doublings.div_ceil(2).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Hedge = Hedge { min: Duration::from_millis(10), max: Duration::from_millis(900) };

    #[test]
    fn the_wait_follows_requests_of_similar_size() {
        let latency = Latency::new();
        assert_eq!(latency.hedge_after(8 << 20, BOUNDS), BOUNDS.max);
        for _ in 0..KEPT * 2 {
            latency.record(8 << 20, Duration::from_millis(100));
            latency.record(100, Duration::from_millis(1));
        }
        assert_eq!(latency.hedge_after(8 << 20, BOUNDS), Duration::from_millis(300));
        assert_eq!(latency.hedge_after(100, BOUNDS), BOUNDS.min);
        assert_eq!(latency.hedge_after(64 << 10, BOUNDS), BOUNDS.max);
    }

    #[test]
    fn a_tenth_of_requests_may_be_hedged() {
        let latency = Latency::new();
        while latency.may_hedge() {}
        for _ in 0..100 {
            latency.record(1, Duration::ZERO);
        }
        assert_eq!((0..100).filter(|_| latency.may_hedge()).count(), 10);
    }

    #[test]
    fn classes_cover_all_sizes() {
        assert_eq!(class(0), 0);
        assert_eq!(class(4095), 0);
        assert!(class(8 << 20) > class(1 << 20));
        assert_eq!(class(u64::MAX), CLASSES - 1);
    }
}
