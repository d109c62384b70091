//! Idempotent producers: sequences, epochs, duplicates (S3).

use super::kit::*;
use crate::shard::Verdict;
use crate::shard::producer::MAX_PRODUCERS;

#[test]
fn a_new_producer_starts_at_sequence_0() {
    let mut fold = Fold::new();
    assert_eq!(fold.batch(of(1, 0, 3, 1)), out_of_order(0));
    assert_eq!(fold.batch(of(1, 0, 0, 2)), appended(0));
    assert_eq!(fold.batch(of(1, 0, 2, 1)), appended(2));
    assert_eq!(fold.partition(P).next(), 3);
}

#[test]
fn a_gap_is_out_of_order_and_changes_nothing() {
    let mut fold = Fold::new();
    fold.batch(of(1, 0, 0, 2));
    let before = fold.partition(P).row().clone();
    assert_eq!(fold.batch(of(1, 0, 3, 1)), out_of_order(2));
    assert_eq!(fold.batch(of(1, 0, 1, 1)), out_of_order(2), "the end of a batch is no batch");
    let after = fold.partition(P).row().clone();
    assert_eq!(siltstone_log::PartitionRow { horizon: before.horizon, ..after }, before);
}

#[test]
fn the_last_five_batches_are_known_as_duplicates() {
    let mut fold = Fold::new();
    for n in 0..7 {
        assert_eq!(fold.batch(of(1, 0, 2 * n, 2)), appended(i64::from(2 * n)));
    }
    for n in 2..7 {
        assert_eq!(fold.batch(of(1, 0, 2 * n, 2)), duplicate(i64::from(2 * n)));
    }
    for n in 0..2 {
        assert_eq!(fold.batch(of(1, 0, 2 * n, 2)), out_of_order(14), "older than the window");
    }
    assert_eq!(fold.batch(of(1, 0, 12, 1)), out_of_order(14), "another length is another batch");
    assert_eq!(fold.partition(P).next(), 14);
}

#[test]
fn duplicates_within_one_block_are_answered_with_their_first_offset() {
    let mut fold = Fold::new();
    let batches = [of(1, 0, 0, 3), of(1, 0, 0, 3), of(1, 0, 3, 1), of(1, 0, 5, 1)];
    assert_eq!(fold.append(P, &batches), [appended(0), duplicate(0), appended(3), out_of_order(4)]);
}

#[test]
fn sequences_wrap_to_0() {
    let mut fold = Fold::new();
    fold.apply(&siltstone_log::Entry::Expire { before: 0, ids_below: 10 });
    assert_eq!(fold.batch(of(1, 0, i32::MAX - 2, 2)), appended(0));
    assert_eq!(fold.batch(of(1, 0, 0, 1)), out_of_order(i32::MAX));
    assert_eq!(fold.batch(of(1, 0, i32::MAX, 1)), appended(2), "up to the last number exactly");
    assert_eq!(fold.batch(of(1, 0, 0, 1)), appended(3));
    assert_eq!(fold.batch(of(1, 0, i32::MAX, 1)), duplicate(2));

    assert_eq!(fold.append(Q, &[of(1, 0, i32::MAX - 1, 5)]), [appended(0)]);
    assert_eq!(fold.append(Q, &[of(1, 0, 3, 1)]), [appended(5)], "a batch that wraps in the middle");
}

#[test]
fn a_new_epoch_starts_at_0_and_fences_the_old_one() {
    let mut fold = Fold::new();
    fold.batch(of(1, 4, 0, 3));
    assert_eq!(fold.batch(of(1, 5, 3, 1)), out_of_order(0));
    assert_eq!(fold.batch(of(1, 4, 3, 1)), appended(3), "a refused bump is no bump");
    assert_eq!(fold.batch(of(1, 7, 0, 1)), appended(4));
    assert_eq!(fold.batch(of(1, 4, 0, 3)), Verdict::Fenced { current: 7 }, "even a duplicate of then");
    assert_eq!(fold.batch(of(1, 6, 0, 1)), Verdict::Fenced { current: 7 });
    assert_eq!(fold.batch(of(1, 7, 0, 1)), duplicate(4));
}

#[test]
fn producers_and_partitions_do_not_mix() {
    let mut fold = Fold::new();
    fold.batch(of(1, 0, 0, 1));
    assert_eq!(fold.batch(of(2, 0, 1, 1)), out_of_order(0));
    assert_eq!(fold.append(Q, &[of(1, 0, 1, 1)]), [out_of_order(0)]);
    assert_eq!(fold.batch(plain(4, 10)), appended(1), "without a producer nothing is asked");
}

#[test]
fn over_the_limit_the_longest_idle_producer_is_forgotten() {
    let mut fold = Fold::new();
    let most = MAX_PRODUCERS as i64;
    // Producer 5 is the oldest, then 3, then the others.
    for id in [5, 3].into_iter().chain((0..most).filter(|id| *id != 5 && *id != 3)) {
        fold.now += 1;
        fold.batch(of(id, 0, 0, 1));
    }
    assert_eq!(fold.partition(P).row().producers.len(), MAX_PRODUCERS);
    fold.now += 1;
    assert_eq!(fold.batch(of(5, 0, 1, 1)), appended(most), "who is known needs no room");
    assert_eq!(fold.batch(of(most, 0, 0, 1)), appended(most + 1));
    let row = fold.partition(P).row();
    assert_eq!(row.producers.len(), MAX_PRODUCERS);
    assert!(row.producers.contains_key(&5) && !row.producers.contains_key(&3));
    assert_eq!(row.forgotten_below, 4);
    assert_eq!(fold.batch(of(3, 0, 1, 1)), appended(most + 2), "who was forgotten goes on");
    assert_eq!(fold.batch(of(most + 7, 0, 1, 1)), out_of_order(0));
}
