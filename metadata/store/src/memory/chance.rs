//! Chance from a seed: the same numbers for ever, on every machine and with every version of every crate.

use std::ops::RangeInclusive;
use std::time::Duration;

/// A small generator (splitmix64, Steele et al. 2014). Not for secrets.
#[derive(Debug, Clone)]
pub struct Chance {
    state: u64,
}

impl Chance {
    /// The generator of `seed`.
    pub fn new(seed: u64) -> Self {
        Chance { state: seed }
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 if the bound is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.any().checked_rem(bound).unwrap_or(0)
    }

    /// True with this probability.
    pub fn happens(&mut self, probability: f64) -> bool {
        // 53 bits: what an f64 holds exactly. Drawn even for 0, so that one fault's rate shifts no other's draws.
        let drawn = (self.any() >> 11) as f64 / (1_u64 << 53) as f64;
        drawn < probability
    }

    /// A duration of the range, to the microsecond.
    pub fn within(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let micros = range.end().saturating_sub(*range.start()).as_micros() as u64;
        *range.start() + Duration::from_micros(self.below(micros + 1))
    }
}
