//! Each kind of damage, planted in a partition's metadata.

use siltstone_log::{AbortedRow, ChunkRow, EndMarker, ExtentPlace, RegistrationId, TopicId};

use super::*;

const SHARD: ShardId = ShardId(3);

fn id() -> PartitionId {
    PartitionId { topic: TopicId(7), index: 1 }
}

fn extent(base: i64, records: u64) -> Extent {
    let place = ExtentPlace::Marker(EndMarker { producer_id: 1, epoch: 0, commit: true });
    Extent { base, records, bytes_before: base as u64, place, length: 10, max_timestamp: 0 }
}

fn row(log_start: i64, next: i64, last_chunk: Option<(i64, u32)>) -> PartitionRow {
    let last_chunk = last_chunk.map(|(base, extents)| ChunkRow { base, extents });
    PartitionRow { log_start, next, last_chunk, ..PartitionRow::default() }
}

fn look(row: Option<PartitionRow>, chunks: &[(i64, Vec<Extent>)]) -> Vec<(Kind, Option<(i64, i64)>)> {
    look_with(Expected { row, exists: true, ..Expected::default() }, chunks)
}

fn look_with(expected: Expected, chunks: &[(i64, Vec<Extent>)]) -> Vec<(Kind, Option<(i64, i64)>)> {
    let mut checker = ChunkChecker::new(SHARD, id(), expected);
    chunks.iter().for_each(|(base, extents)| checker.chunk(*base, extents));
    checker.finish().into_iter().map(|found| (found.kind, found.place.offsets)).collect()
}

#[test]
fn what_is_whole_gives_no_finding() {
    let chunks = [(0, vec![extent(0, 5), extent(5, 5)]), (10, vec![extent(10, 5)])];
    assert_eq!(look(Some(row(0, 15, Some((10, 1)))), &chunks), []);
    assert_eq!(look(Some(row(7, 15, Some((10, 1)))), &chunks), []);
    assert_eq!(look(Some(row(7, 15, Some((10, 1)))), &chunks[1..]), [(Kind::Gap, Some((7, 10)))]);
    assert_eq!(look(Some(row(15, 15, None)), &[]), []);
    assert_eq!(look(Some(row(0, 0, None)), &[]), []);
}

#[test]
fn gaps_are_found_at_both_ends_and_between() {
    let chunks = [(2, vec![extent(2, 3), extent(7, 3)])];
    let gaps = [(0, 2), (5, 7), (10, 12)].map(|at| (Kind::Gap, Some(at)));
    assert_eq!(look(Some(row(0, 12, Some((2, 2)))), &chunks), gaps);
    let compacted =
        Expected { row: Some(row(0, 12, Some((2, 2)))), exists: true, compacted: true, condemned: false };
    assert_eq!(look_with(compacted, &chunks), []);
}

#[test]
fn order_keys_and_the_last_chunk_are_checked() {
    let overlap = [(0, vec![extent(0, 5), extent(4, 6)])];
    assert_eq!(look(Some(row(0, 10, Some((0, 2)))), &overlap), [(Kind::Order, Some((4, 10)))]);
    let back = [(0, vec![Extent { bytes_before: 9, ..extent(0, 5) }, extent(5, 5)])];
    assert_eq!(look(Some(row(0, 10, Some((0, 2)))), &back), [(Kind::Order, Some((5, 10)))]);
    let key = [(1, vec![extent(0, 10)])];
    assert_eq!(look(Some(row(0, 10, Some((1, 1)))), &key), [(Kind::ChunkKey, Some((1, 1)))]);
    let whole = [(0, vec![extent(0, 10)])];
    for wrong in [(0, 2), (5, 1)] {
        assert_eq!(look(Some(row(0, 10, Some(wrong))), &whole), [(Kind::LastChunk, Some((0, 10)))]);
    }
}

#[test]
fn chunks_ahead_of_a_row_or_of_no_topic_are_told_apart() {
    let chunks = [(0, vec![extent(0, 10)]), (10, vec![extent(10, 10)])];
    assert_eq!(look(Some(row(0, 10, Some((0, 1)))), &chunks), [(Kind::AheadOfRow, Some((10, 20)))]);
    assert_eq!(look(None, &chunks), [(Kind::AheadOfRow, Some((0, 20)))]);
    assert_eq!(look_with(Expected::default(), &chunks), [(Kind::LeftoverPartition, Some((0, 20)))]);
    let condemned = Expected { condemned: true, ..Expected::default() };
    assert_eq!(look_with(condemned, &chunks), []);
}

#[test]
fn aborted_transactions_must_be_in_order_and_as_the_row_says() {
    let one = |first, last| Aborted { producer_id: 1, first, last, stable: last + 1 };
    let noted = |base, extents, last| {
        let aborted = Some(AbortedRow { chunk: ChunkRow { base, extents }, last });
        PartitionRow { aborted, ..row(0, 100, None) }
    };
    let chunks = [(5, vec![one(0, 5), one(6, 9)]), (20, vec![one(10, 20)])];
    assert_eq!(aborted(SHARD, id(), &noted(20, 1, 20), &chunks, false), []);
    assert_eq!(aborted(SHARD, id(), &noted(20, 1, 21), &chunks, false).len(), 1);
    assert_eq!(aborted(SHARD, id(), &noted(20, 1, 20), &chunks[..1], false).len(), 1);
    let thinned = [(5, vec![one(6, 9)])];
    assert_eq!(aborted(SHARD, id(), &noted(20, 1, 20), &thinned, true), []);
    assert_eq!(aborted(SHARD, id(), &noted(20, 1, 20), &thinned, false).len(), 2);
    let wrong = [(5, vec![one(0, 5), one(3, 4)])];
    assert_eq!(aborted(SHARD, id(), &noted(5, 2, 4), &wrong, false).len(), 1);
    assert_eq!(aborted(SHARD, id(), &noted(6, 1, 5), &[(6, vec![one(0, 5)])], false).len(), 1);
}

#[test]
fn counts_that_differ_are_found_on_both_sides() {
    let segment = |number| SegmentId { registration: RegistrationId(1), number };
    let sums = BTreeMap::from([(segment(1), 10), (segment(2), 20), (segment(3), 30)]);
    let look = |counted: &[(u64, u64)]| -> Vec<u64> {
        let counted = counted.iter().map(|(number, count)| (segment(*number), *count));
        let found = counts(SHARD, &mut sums.clone(), counted);
        found.iter().map(|found| found.place.segment.unwrap().number).collect()
    };
    assert_eq!(look(&[(1, 10), (2, 20), (3, 30), (4, 0)]), [0; 0]);
    assert_eq!(look(&[(1, 10), (2, 21), (4, 1)]), [2, 4, 3]);
}
