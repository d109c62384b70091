//! Whose beats an agent watches: those of the registrations that follow its own in a ring of all. Pure.
//!
//! If each watched all, a thousand agents would read a million beats a round. The dead stay in the ring until they are ended, and then the next ones come into
//! view: so the nearest living predecessor of a dead one ends it in the end, whoever else is dead.

use std::collections::BTreeMap;
use std::ops::Bound;

use siltstone_log::RegistrationId;
use siltstone_store::KeyRange;

use crate::keys::beat;

/// How many each watches. So many predecessors would have to die at once for a death to be found out one lease time later.
pub(super) const WATCHED: usize = 16;

/// Those that `own` watches, in the order of the ring.
pub(super) fn watched<T>(members: &BTreeMap<RegistrationId, T>, own: RegistrationId) -> Vec<RegistrationId> {
    let behind = members.range((Bound::Excluded(own), Bound::Unbounded));
    let before = members.range(..own);
    behind.chain(before).map(|(id, _)| *id).take(WATCHED).collect()
}

/// Ranges that hold their beats and few others: one, and another one where the ring closes.
pub(super) fn beats(watched: &[RegistrationId], own: RegistrationId) -> Vec<KeyRange> {
    let (behind, before): (Vec<_>, Vec<_>) = watched.iter().copied().partition(|id| *id > own);
    [behind, before]
        .iter()
        .filter_map(|part| Some((part.first()?, part.last()?)))
        .map(|(first, last)| KeyRange { begin: beat::key(*first), end: KeyRange::key(beat::key(*last)).end })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(count: u128) -> BTreeMap<RegistrationId, ()> {
        (0..count).map(|id| (RegistrationId(id * 10), ())).collect()
    }

    #[test]
    fn everyone_is_watched_by_as_many_and_nobody_by_himself() {
        for count in [1, 2, 5, 16, 17, 18, 100] {
            let ring = ring(count);
            let mut times = BTreeMap::new();
            for own in ring.keys() {
                for other in watched(&ring, *own) {
                    assert_ne!(other, *own);
                    *times.entry(other).or_insert(0_usize) += 1;
                }
            }
            let each = WATCHED.min(count as usize - 1);
            assert!(times.values().all(|times| *times == each), "{count}: {times:?}");
            assert_eq!(times.len(), if count == 1 { 0 } else { count as usize });
        }
    }

    #[test]
    fn who_is_registered_no_more_watches_all_the_same() {
        assert_eq!(watched(&ring(3), RegistrationId(15)), [20, 0, 10].map(RegistrationId));
    }

    #[test]
    fn ranges_hold_the_beats_of_those_and_of_nobody_else_in_the_ring() {
        for count in [1_u128, 2, 5, 17, 40] {
            let ring = ring(count);
            for own in ring.keys() {
                let watched = watched(&ring, *own);
                let ranges = beats(&watched, *own);
                assert!(ranges.len() <= 2);
                for id in ring.keys() {
                    let key = beat::key(*id);
                    let there = ranges.iter().any(|range| range.begin <= key && key < range.end);
                    assert_eq!(there, watched.contains(id), "{id:?} for {own:?} of {count}");
                }
            }
        }
    }
}
