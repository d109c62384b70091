//! Time and chance, as arguments (style, rule 5): the simulation gives its own.
//!
//! Only the wall clock and randomness are here. Waiting goes through `tokio::time`, whose clock the simulation steers.

use std::sync::Arc;

/// The wall clock of this agent. May jump; nothing but timestamps rests on it.
pub trait Clock: Send + Sync {
    /// Milliseconds since the Unix epoch.
    fn now(&self) -> i64;
}

/// A source of randomness.
pub trait Chance: Send + Sync {
    /// 128 random bits.
    fn next(&self) -> u128;
}

/// Both.
#[derive(Clone)]
pub struct Ambient {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub chance: Arc<dyn Chance>,
}

impl std::fmt::Debug for Ambient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ambient")
    }
}

#[cfg(feature = "testing")]
mod fixed {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use siltstone_log::mix64;

    use super::{Ambient, Chance, Clock};

    struct Still(i64);

    impl Clock for Still {
        fn now(&self) -> i64 {
            self.0
        }
    }

    struct Numbers(AtomicU64);

    impl Chance for Numbers {
        fn next(&self) -> u128 {
            u128::from(mix64(self.0.fetch_add(1, Ordering::Relaxed))) << 32 | 1
        }
    }

    impl Ambient {
        /// For tests: a wall clock that stands at `now` (milliseconds since the Unix epoch), and numbers that are others each time and the same in each run.
        pub fn fixed(now: i64) -> Self {
            Ambient { clock: Arc::new(Still(now)), chance: Arc::new(Numbers(AtomicU64::new(1))) }
        }
    }
}
