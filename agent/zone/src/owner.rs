//! Which agent of a zone keeps a page: rendezvous hashing by weight. Pure.
//!
//! Agents that see the same others give the same answer, and when one comes or goes only the pages that it had or gets move. That is all
//! that is needed: an owner is advice, since pages never change.

use siltstone_log::{RegistrationId, SegmentId, mix64};

/// An agent of the zone that others can ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its life.
    pub id: RegistrationId,
    /// Its node id, which outlives it: an agent that comes back has its pages again.
    pub node: u32,
    /// Its share beside others' of the same kind; 0: none, it is about to leave.
    pub weight: u16,
    /// Where others reach it: a name or an address.
    pub host: String,
    /// The port.
    pub port: u16,
}

/// What a page is known by, to those who look for its owner: the segment, and where the page begins.
pub fn page_key(segment: SegmentId, start: u64) -> u64 {
    let RegistrationId(writer) = segment.registration;
    let parts = [(writer >> 64) as u64, writer as u64, segment.number, start];
    parts.into_iter().fold(0, |key, part| mix64(key ^ part))
}

/// Who keeps the page of this key; `None` if nobody does.
pub fn owner(neighbours: &[Neighbour], key: u64) -> Option<&Neighbour> {
    let there = neighbours.iter().filter(|neighbour| neighbour.weight > 0);
    there.min_by(|a, b| distance(a, key).total_cmp(&distance(b, key)).then(a.node.cmp(&b.node)))
}

/// An exponential variable of this rate: the least of several is each one's with a probability in proportion to its weight.
fn distance(neighbour: &Neighbour, key: u64) -> f64 {
    // From just above 0 to 1, in steps that a float holds.
    let even = ((mix64(key ^ mix64(u64::from(neighbour.node))) >> 11) + 1) as f64 / (1u64 << 53) as f64;
    -even.ln() / f64::from(neighbour.weight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn neighbour(node: u32, weight: u16) -> Neighbour {
        Neighbour { id: RegistrationId(u128::from(node) * 31), node, weight, host: "h".into(), port: 1 }
    }

    fn keys() -> impl Iterator<Item = u64> {
        let segment = |number| SegmentId { registration: RegistrationId(5), number };
        (0..3000u64).map(move |n| page_key(segment(n / 16), (n % 16) << 22))
    }

    fn node(neighbours: &[Neighbour], key: u64) -> Option<u32> {
        owner(neighbours, key).map(|neighbour| neighbour.node)
    }

    #[test]
    fn pages_are_shared_out_by_weight() {
        let zone = [neighbour(1, 1000), neighbour(2, 1000), neighbour(3, 500), neighbour(4, 0)];
        let of = |wanted| keys().filter(|key| node(&zone, *key) == Some(wanted)).count();
        assert!((1100..1300).contains(&of(1)) && (1100..1300).contains(&of(2)), "{} {}", of(1), of(2));
        assert!((520..680).contains(&of(3)), "{}", of(3));
        assert_eq!(of(4), 0, "it leaves");
        assert_eq!(owner(&zone[3..], 7), None);
        assert_eq!(owner(&[], 7), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn only_the_pages_of_who_goes_move(nodes in prop::collection::btree_set(0u32..1000, 2..8), gone in 0usize..8, weights: [u8; 8]) {
            let all: Vec<_> = nodes.iter().zip(weights).map(|(node, weight)| neighbour(*node, u16::from(weight) + 1)).collect();
            let mut less = all.clone();
            let gone = less.remove(gone % all.len()).node;
            less.reverse();
            for key in keys().take(300) {
                let (before, after) = (node(&all, key), node(&less, key));
                prop_assert!(before == after || before == Some(gone), "{before:?} to {after:?}");
            }
        }

        #[test]
        fn a_change_of_weight_moves_pages_only_to_or_from_who_changed(weight in 1u16..1000, other in 1u16..1000) {
            let zone = |weight| [neighbour(1, 700), neighbour(2, weight), neighbour(3, 300)];
            for key in keys().take(300) {
                let (before, after) = (node(&zone(weight), key), node(&zone(other), key));
                prop_assert!(before == after || before == Some(2) || after == Some(2));
            }
        }
    }
}
