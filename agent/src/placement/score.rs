//! Weighted rendezvous hashing in whole numbers, the same on every machine.
//!
//! Of those who compete for a key the one with the greatest score has it. A score depends on the key and on one competitor alone, so that only what is
//! its own moves when it comes, goes, or changes its weight. With h drawn evenly from (0, 1) by key and competitor, w / -ln(h) is greatest with a
//! probability of w by the sum of all weights (W. Wang and C. V. Ravishankar, "Hash-based virtual hierarchies for scalable location
//! service"). The base of the logarithm does not matter. It is computed bit by bit: floating point may differ in its last digit between machines and
//! libraries, and agents would send clients back and forth. Pure.
//!
//! A logarithm costs many times what a hash does, and is needed only between different weights: of those that weigh the same the one with the greatest
//! hash has the greatest score. So [`Chance`] is compared among them first: with a thousand agents each change of the roster asks for 256,000 scores.

use siltstone_log::mix64;

/// Binary digits of a logarithm behind the point.
const DIGITS: u32 = 32;

/// What luck one competitor has with a key. Of two that weigh the same the one with the greater chance has the greater [`Score`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Chance {
    hash: u64,
    node: u32,
}

impl Chance {
    /// Of `node`, for `key`.
    pub fn new(key: u64, node: u32) -> Chance {
        Chance { hash: mix64(key ^ mix64(u64::from(node))), node }
    }
}

/// How much a competitor deserves a key. Scores for one key are compared, never for two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Score {
    share: u128,
    /// Where two logarithms are the same in all their digits.
    chance: Chance,
}

impl Score {
    /// Of `node`, with this weight, for `key`. The weight 0 is below all others; it should not compete.
    pub fn new(key: u64, node: u32, weight: u16) -> Score {
        let chance = Chance::new(key, node);
        let share = (u128::from(weight) << 64) / u128::from(minus_log2(chance.hash));
        Score { share, chance }
    }
}

/// −log₂(h / 2⁶⁴), in units of 2⁻³². At least 1.
fn minus_log2(hash: u64) -> u64 {
    let hash = hash.max(1);
    let zeros = hash.leading_zeros();
    // From 1 to below 2, with 63 digits behind the point.
    let mut number = u128::from(hash << zeros);
    let mut log = u64::from(63 - zeros);
    for _ in 0..DIGITS {
        number = (number * number) >> 63;
        let digit = number >> 64;
        number >>= digit;
        log = (log << 1) | u64::from(digit == 1);
    }
    (64_u64 << DIGITS) - log
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logarithms_are_right_to_the_last_digits() {
        assert_eq!(minus_log2(1 << 63), 1 << DIGITS);
        assert_eq!(minus_log2(1), 64 << DIGITS);
        assert_eq!(minus_log2(0), 64 << DIGITS);
        assert_eq!(minus_log2(u64::MAX), 1);
        for n in 0..1000_u64 {
            let hash = mix64(n);
            let exact = (64.0 - (hash as f64).log2()) * f64::from(2.0_f32.powi(DIGITS as i32));
            let ours = minus_log2(hash) as f64;
            assert!((ours - exact).abs() <= 2.0, "{hash}: {ours} and {exact}");
        }
    }

    /// Every agent must compute these, whatever it was built with.
    #[test]
    fn scores_are_what_they_always_were() {
        let winner = |key: u64| (1..=5).max_by_key(|node| Score::new(key, *node, 200 * *node as u16));
        let winners: Vec<u32> = (0..24).filter_map(|key| winner(mix64(key))).collect();
        assert_eq!(winners, WINNERS);
    }

    const WINNERS: [u32; 24] = [5, 4, 3, 3, 4, 5, 3, 5, 1, 5, 4, 3, 5, 3, 4, 3, 5, 2, 3, 5, 4, 5, 4, 4];

    /// As without weights: agents of a former version agree with this one as long as none has a weight.
    #[test]
    fn equal_weights_leave_the_order_of_the_hashes() {
        for key in (0..2000).map(mix64) {
            let hash = |node: &u32| (mix64(key ^ mix64(u64::from(*node))), *node);
            let by_hash = (1..=7).max_by_key(hash);
            assert_eq!((1..=7).max_by_key(|node| Score::new(key, *node, 1000)), by_hash);
        }
    }

    #[test]
    fn the_share_follows_the_weight() {
        let weights: [u16; 4] = [1000, 500, 100, 0];
        let mut counts = [0_u32; 4];
        for key in (0..40_000).map(mix64) {
            let winner = (0..4).max_by_key(|node| Score::new(key, *node, weights[*node as usize]));
            counts[winner.unwrap_or(0) as usize] += 1;
        }
        let expected = [25_000, 12_500, 2_500, 0];
        for (count, expected) in counts.iter().zip(expected) {
            assert!(count.abs_diff(expected) <= 400, "{counts:?}");
        }
    }
}
