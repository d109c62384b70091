//! Time and chance of a real process.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use siltstone_metadata::ambient::{Ambient, Chance, Clock};

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }
}

struct Random;

impl Chance for Random {
    fn next(&self) -> u128 {
        rand::random()
    }
}

/// The machine's clock, and the operating system's randomness.
pub(in crate::command) fn of_process() -> Ambient {
    Ambient { clock: Arc::new(WallClock), chance: Arc::new(Random) }
}
