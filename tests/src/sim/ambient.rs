//! Time and chance of one agent, from the seed.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_store::memory;
use tokio::time::Instant;

/// When every simulation begins, milliseconds since the Unix epoch.
pub(super) const EPOCH: i64 = 1_750_000_000_000;

/// A wall clock that can be set wrong.
#[derive(Debug)]
pub(super) struct SimClock {
    started: Instant,
    ahead: AtomicI64,
}

impl SimClock {
    pub(super) fn new(ahead: i64) -> Arc<Self> {
        Arc::new(SimClock { started: Instant::now(), ahead: AtomicI64::new(ahead) })
    }

    /// By how many milliseconds it is ahead of the true time.
    pub(super) fn ahead(&self) -> i64 {
        self.ahead.load(Ordering::Relaxed)
    }

    /// Makes it jump to so many milliseconds before or behind the true time.
    pub(super) fn jump(&self, ahead: i64) {
        self.ahead.store(ahead, Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> i64 {
        EPOCH + self.started.elapsed().as_millis() as i64 + self.ahead()
    }
}

#[derive(Debug)]
struct SimChance(Mutex<memory::Chance>);

impl Chance for SimChance {
    fn next(&self) -> u128 {
        let mut chance = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        u128::from(chance.any()) << 64 | u128::from(chance.any())
    }
}

/// An agent's time and chance.
pub(super) fn ambient(clock: Arc<SimClock>, seed: u64) -> Ambient {
    Ambient { clock, chance: Arc::new(SimChance(Mutex::new(memory::Chance::new(seed)))) }
}
