//! What merges leave alone, by examples.

use siltstone_log::{BlockPlace, Encoding, EndMarker, RegistrationId, SegmentPlace};

use super::*;

const RULES: MergeRules = MergeRules {
    target_bytes: 100_000,
    block_bytes: 100,
    leave_bytes: 1000,
    fan_in: 3,
    wait: std::time::Duration::ZERO,
    inline_bytes: 0,
    flushed_segments: 0,
};

/// Ten records in bytes `start..start + length` of a segment.
fn extent(base: i64, number: u64, start: u64, length: u32, inline: bool) -> Extent {
    let id = SegmentId { registration: RegistrationId(1), number };
    let block = BlockPlace { start, length, encoding: Encoding::Plain };
    let segment = SegmentPlace { id, inline, length: 1 << 20 };
    let place = ExtentPlace::Stored { segment, block, start: 0, level: 0 };
    Extent { base, records: 10, bytes_before: 0, place, length, max_timestamp: 0 }
}

fn large(base: i64, number: u64) -> Extent {
    extent(base, number, 0, 1000, false)
}

fn small(base: i64, number: u64) -> Extent {
    extent(base, number, 0, 999, false)
}

fn marker(base: i64) -> Extent {
    let place = ExtentPlace::Marker(EndMarker { producer_id: 1, epoch: 0, commit: true });
    Extent { base, records: 1, bytes_before: 0, place, length: 78, max_timestamp: 0 }
}

/// First offsets of what may be merged, and where what is settled ends.
fn seen(extents: &[Extent]) -> (Vec<i64>, i64) {
    let mut view = PartitionView::default();
    view.begin();
    extents.iter().enumerate().for_each(|(ordinal, extent)| view.add(ordinal as u32, extent, &RULES));
    (view.candidates.iter().map(|some| some.extent.base).collect(), view.settled)
}

#[test]
fn what_is_large_stays_and_what_is_small_is_merged() {
    assert_eq!(seen(&[large(0, 1), large(10, 2), small(20, 3)]), (vec![20], 20));
    assert_eq!(seen(&[small(0, 1), small(10, 2), large(20, 3), small(30, 4)]), (vec![0, 10, 30], 0));
}

#[test]
fn what_lies_side_by_side_counts_together() {
    let piece = |base, start| extent(base, 7, start, 400, false);
    assert_eq!(seen(&[piece(0, 0), piece(10, 400), piece(20, 800), piece(30, 1200)]), (vec![], 40));
    let before = [small(0, 1), small(10, 2)];
    let after = [small(50, 4), small(60, 5)];
    let all = [&before[..], &[piece(20, 0), piece(30, 400), piece(40, 800)], &after[..]].concat();
    assert_eq!(seen(&all), (vec![0, 10, 50, 60], 0), "the stretch goes, its neighbours stay candidates");
    assert_eq!(seen(&[piece(0, 0), piece(10, 401), piece(20, 801)]).0, [0, 10, 20], "with a gap");
    let other = |base, number, start| extent(base, number, start, 400, false);
    assert_eq!(seen(&[other(0, 7, 0), other(10, 8, 400), other(20, 7, 800)]).0, [0, 10, 20], "in others");
    assert_eq!(seen(&[piece(0, 0), marker(10), piece(11, 400), piece(21, 800)]).0.len(), 4, "an end between");
}

#[test]
fn extents_that_share_a_block_lie_side_by_side() {
    let part = |base, start| {
        let mut part = extent(base, 7, 0, 1200, false);
        part.length = 600;
        if let ExtentPlace::Stored { start: at, .. } = &mut part.place {
            *at = start;
        }
        part
    };
    assert_eq!(seen(&[part(0, 0), part(10, 600)]), (vec![], 20));
}

#[test]
fn one_alone_between_others_that_stay_gains_nothing() {
    assert_eq!(seen(&[large(0, 1), small(10, 2), large(20, 3), large(30, 4)]), (vec![], 40));
    assert_eq!(seen(&[small(0, 1), large(10, 2)]), (vec![], 20));
    assert_eq!(seen(&[large(0, 1), marker(10), large(11, 3)]), (vec![], 21));
    assert_eq!(seen(&[large(0, 1), small(10, 2), small(20, 3), large(30, 4)]), (vec![10, 20], 10));
    assert_eq!(
        seen(&[small(0, 1), small(10, 2), large(20, 3), small(30, 4), large(40, 5)]),
        (vec![0, 10], 0)
    );
}

#[test]
fn what_lies_in_the_metadata_store_never_stays() {
    let inline = |base, number| extent(base, number, 0, 5000, true);
    assert_eq!(seen(&[large(0, 1), inline(10, 2), large(20, 3)]), (vec![10], 10));
    assert_eq!(seen(&[inline(0, 1), inline(10, 1), large(20, 3)]), (vec![0, 10], 0));
}
