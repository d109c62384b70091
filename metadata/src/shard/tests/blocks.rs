//! Where the bytes of what was appended lie: extents.

use siltstone_log::ExtentPlace;

use super::kit::*;
use crate::shard::{FoldExtent, Lookup};

/// Base, records, bytes before, start in the block, length.
fn shapes(fold: &Fold) -> Vec<(i64, u64, u64, u32, u32)> {
    let shape = |held: &FoldExtent| {
        let extent = held.extent;
        let ExtentPlace::Stored { start, .. } = extent.place else { panic!("a marker") };
        (extent.base, extent.records, extent.bytes_before, start, extent.length)
    };
    fold.partition(P).extents().iter().map(shape).collect()
}

#[test]
fn batches_of_a_block_are_one_extent() {
    let mut fold = Fold::new();
    let later = siltstone_log::BatchMeta { max_timestamp: 77, ..plain(2, 30) };
    fold.append(P, &[plain(1, 10), later, plain(3, 5)]);
    assert_eq!(shapes(&fold), [(0, 6, 0, 0, 45)]);
    assert_eq!(fold.partition(P).extents()[0].extent.max_timestamp, 77);
    fold.append(P, &[plain(1, 7)]);
    assert_eq!(shapes(&fold), [(0, 6, 0, 0, 45), (6, 1, 45, 0, 7)]);
    assert_eq!(fold.partition(P).bytes(), 52);
}

#[test]
fn void_batches_split_a_block_and_take_no_offsets() {
    let mut fold = Fold::new();
    let verdicts = fold.append(
        P,
        &[of(1, 0, 9, 1), of(1, 0, 0, 2), of(1, 0, 0, 2), of(1, 0, 9, 4), of(1, 0, 2, 3), plain(1, 5)],
    );
    let all = [out_of_order(0), appended(0), duplicate(0), out_of_order(2), appended(2), appended(5)];
    assert_eq!(verdicts, all);
    // 10 bytes a record: void at 0..10, 20 bytes, void 30..50 and 50..90, then 30 and 5 bytes.
    assert_eq!(shapes(&fold), [(0, 2, 0, 10, 20), (2, 4, 20, 90, 35)]);
    assert_eq!(fold.partition(P).bytes(), 55);
}

#[test]
fn a_block_that_is_void_as_a_whole_leaves_no_extent() {
    let mut fold = Fold::new();
    fold.append(P, &[of(1, 0, 5, 1), of(1, 0, 6, 1)]);
    assert!(shapes(&fold).is_empty());
    assert_eq!(fold.partition(P).lookup(0), Lookup::End);
}

#[test]
fn two_blocks_of_one_entry_for_one_partition_both_count() {
    let mut fold = Fold::new();
    let blocks = vec![
        block(P, 0, &[of(1, 0, 0, 1)]),
        block(Q, 10, &[of(1, 0, 0, 1)]),
        block(P, 20, &[of(1, 0, 1, 2), of(1, 0, 0, 1)]),
    ];
    let all = verdicts(fold.blocks(blocks));
    assert_eq!(all, [vec![appended(0)], vec![appended(0)], vec![appended(1), duplicate(0)]]);
    assert_eq!(shapes(&fold), [(0, 1, 0, 0, 10), (1, 2, 10, 0, 20)]);
    let start = |held: &FoldExtent| match held.extent.place {
        ExtentPlace::Stored { block, .. } => block.start,
        ExtentPlace::Marker(_) => panic!("a marker"),
    };
    let starts: Vec<_> = fold.partition(P).extents().iter().map(start).collect();
    assert_eq!(starts, [0, 20]);
}

#[test]
fn lookup_finds_each_offset_where_it_is() {
    let mut fold = Fold::new();
    let positions: Vec<_> = (0..4)
        .map(|_| {
            fold.append(P, &[plain(10, 10)]);
            fold.state.position()
        })
        .collect();
    for offset in 0..40 {
        let Lookup::Extent(extent) = fold.partition(P).lookup(offset) else { panic!("{offset} is held") };
        assert!(extent.base <= offset && offset < extent.end());
    }
    assert_eq!(fold.partition(P).lookup(40), Lookup::End);
    assert_eq!(fold.partition(P).lookup(41), Lookup::OutOfRange);
    assert_eq!(fold.partition(P).lookup(-1), Lookup::OutOfRange);
    fold.state.release(positions[1]);
    assert_eq!(fold.partition(P).lookup(19), Lookup::Rows);
    assert!(matches!(fold.partition(P).lookup(20), Lookup::Extent(extent) if extent.base == 20));
    assert_eq!(fold.partition(P).first_held(), 20);
    fold.state.release(positions[3]);
    assert_eq!(fold.partition(P).lookup(39), Lookup::Rows);
    assert_eq!(fold.partition(P).lookup(40), Lookup::End);
    assert_eq!(fold.partition(P).first_held(), 40);
}

#[test]
fn the_digest_tells_different_histories_apart() {
    let digest = |batches: &[siltstone_log::BatchMeta]| {
        let mut fold = Fold::new();
        fold.append(P, batches);
        fold.partition(P).digest()
    };
    let all = [
        digest(&[]),
        digest(&[plain(1, 10)]),
        digest(&[plain(2, 10)]),
        digest(&[plain(1, 11)]),
        digest(&[plain(1, 10), plain(1, 10)]),
        digest(&[of(1, 0, 0, 1)]),
        digest(&[of(2, 0, 0, 1)]),
        digest(&[of(1, 1, 0, 1)]),
        digest(&[siltstone_log::BatchMeta { max_timestamp: 1, ..plain(1, 10) }]),
    ];
    let different: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(different.len(), all.len());
    assert_eq!(digest(&[of(1, 0, 0, 1)]), digest(&[of(1, 0, 0, 1), of(1, 0, 0, 1)]), "void leaves no trace");
}
