//! What goes on in one connection, for who decides when it has been idle.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Requests of a connection: how many have begun, and how many are not over. A cheap clone.
#[derive(Debug, Clone, Default)]
pub(super) struct Activity {
    counts: Arc<(AtomicU64, AtomicU64)>,
}

/// A request that is not over. A clone is the same request.
#[derive(Debug, Clone)]
pub(super) struct Open {
    _end: Arc<End>,
}

#[derive(Debug)]
struct End(Activity);

impl Activity {
    /// One more request.
    pub(super) fn begin(&self) -> Open {
        self.counts.0.fetch_add(1, Ordering::Relaxed);
        self.counts.1.fetch_add(1, Ordering::Relaxed);
        Open { _end: Arc::new(End(self.clone())) }
    }

    /// How many requests have begun so far.
    pub(super) fn begun(&self) -> u64 {
        self.counts.0.load(Ordering::Relaxed)
    }

    /// How many are not over.
    pub(super) fn open(&self) -> u64 {
        self.counts.1.load(Ordering::Relaxed)
    }
}

impl Drop for End {
    fn drop(&mut self) {
        self.0.counts.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_over_with_its_last_clone() {
        let activity = Activity::default();
        let (first, second) = (activity.begin(), activity.begin());
        let again = first.clone();
        drop(first);
        assert_eq!((activity.begun(), activity.open()), (2, 2));
        drop((again, second));
        assert_eq!((activity.begun(), activity.open()), (2, 0));
    }
}
