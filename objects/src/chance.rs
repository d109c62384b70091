//! Chance from a seed: jitter and random names, the same for the same seed and order of calls.

use std::sync::atomic::{AtomicU64, Ordering};

use siltstone_log::mix64;

/// A stream of numbers that many tasks may draw from (SplitMix64). Not for secrets.
#[derive(Debug)]
pub(crate) struct Chance(AtomicU64);

impl Chance {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(mix64(seed)))
    }

    /// The next number, all 64 bits of it.
    pub(crate) fn next(&self) -> u64 {
        mix64(self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed))
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn fraction(&self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }
}
