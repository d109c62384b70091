//! Replacing a run of extents in a partition's chunks. Pure.

use siltstone_log::Extent;
use siltstone_metadata::checkpoint::PER_CHUNK;

/// What came of the look at the chunks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Spliced {
    /// These chunks take the place of those that were looked at.
    Replaced {
        /// Never an empty one; none at all if nothing is left.
        chunks: Vec<Vec<Extent>>,
        /// What is gone.
        removed: Vec<Extent>,
        /// What is new.
        added: Vec<Extent>,
    },
    /// The new extents are there: an earlier try has landed.
    Done,
    /// What was to be replaced is not there any more.
    Gone,
}

/// Replaces `old`, neighbours all, by `new` in chunks that hold the whole of it. What a trim has taken since may be missing at its beginning.
pub fn splice(chunks: &[Vec<Extent>], old: &[Extent], new: &[Extent], log_start: i64) -> Spliced {
    let all: Vec<Extent> = chunks.iter().flatten().copied().collect();
    if new.last().is_some_and(|last| all.contains(last)) {
        return Spliced::Done;
    }
    let kept = old.partition_point(|extent| extent.end() <= log_start && !all.contains(extent));
    let left = &old[kept..];
    let Some(first) = left.first() else { return Spliced::Gone };
    let Some(at) = all.iter().position(|extent| extent == first) else { return Spliced::Gone };
    if all.get(at..at + left.len()) != Some(left) {
        return Spliced::Gone;
    }
    let added: Vec<Extent> =
        new.iter().filter(|extent| kept == 0 || extent.end() > log_start).copied().collect();
    let result: Vec<Extent> =
        all[..at].iter().chain(&added).chain(&all[at + left.len()..]).copied().collect();
    let chunks = result.chunks(PER_CHUNK).map(<[Extent]>::to_vec).collect();
    Spliced::Replaced { chunks, removed: left.to_vec(), added }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{EndMarker, ExtentPlace};

    use super::*;

    fn extent(base: i64, records: u64, length: u32) -> Extent {
        let place = ExtentPlace::Marker(EndMarker { producer_id: 1, epoch: 0, commit: true });
        Extent { base, records, bytes_before: 0, place, length, max_timestamp: 0 }
    }

    fn run(from: i64, to: i64) -> Vec<Extent> {
        (from..to).map(|base| extent(base, 1, 1)).collect()
    }

    #[test]
    fn a_run_is_replaced_wherever_it_lies() {
        let chunks = [run(0, 5), run(5, 9)];
        let new = [extent(3, 4, 99)];
        let Spliced::Replaced { chunks: after, removed, added } = splice(&chunks, &run(3, 7), &new, 0) else {
            panic!("not replaced")
        };
        let expected: Vec<_> = run(0, 3).into_iter().chain(new).chain(run(7, 9)).collect();
        assert_eq!((after, removed, added), (vec![expected], run(3, 7), new.to_vec()));
        let nothing = splice(&chunks, &run(0, 9), &[], 0);
        assert_eq!(nothing, Spliced::Replaced { chunks: vec![], removed: run(0, 9), added: vec![] });
    }

    #[test]
    fn what_has_changed_is_left_alone() {
        let chunks = [run(0, 9)];
        assert_eq!(splice(&chunks, &[extent(3, 1, 2)], &[], 0), Spliced::Gone);
        assert_eq!(splice(&chunks, &run(7, 12), &[], 0), Spliced::Gone);
        assert_eq!(splice(&chunks, &run(20, 22), &[], 0), Spliced::Gone);
        let new = [extent(3, 4, 99)];
        assert_eq!(splice(&[new.to_vec()], &run(3, 7), &new, 0), Spliced::Done);
    }

    #[test]
    fn what_a_trim_has_taken_may_be_missing() {
        let new = [extent(0, 2, 99), extent(2, 4, 99)];
        let Spliced::Replaced { chunks, removed, added } = splice(&[run(3, 9)], &run(0, 6), &new, 3) else {
            panic!("not replaced")
        };
        assert_eq!((removed, added), (run(3, 6), new[1..].to_vec()));
        assert_eq!(chunks.concat().len(), 4);
        assert_eq!(splice(&[run(3, 9)], &run(0, 6), &new, 0), Spliced::Gone, "not by a trim");
        assert_eq!(splice(&[run(6, 9)], &run(0, 6), &new, 6), Spliced::Gone);
    }
}
