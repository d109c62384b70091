//! Transactions in the fold: what is open, where it ends, what was aborted.

use proptest::prelude::*;
use siltstone_log::{Aborted, BatchMeta, EndMarker, Entry, ExtentPlace, PartitionId, TxnEnd};

use super::generated::log;
use super::invariants::fold_all;
use super::kit::*;
use crate::shard::{Effect, Lookup, MARKER_BYTES, Verdict};

fn txn(id: i64, epoch: i16, first_sequence: i32, records: u32) -> BatchMeta {
    BatchMeta { transactional: true, ..of(id, epoch, first_sequence, records) }
}

fn marker(producer_id: i64, epoch: i16, commit: bool) -> EndMarker {
    EndMarker { producer_id, epoch, commit }
}

fn end(marker: EndMarker, partitions: &[PartitionId]) -> Entry {
    Entry::TxnEnd(TxnEnd { marker, at: 5000, partitions: partitions.to_vec() })
}

fn aborted(fold: &Fold) -> Vec<(i64, i64, i64)> {
    let all = fold.partition(P).aborted_between(0, i64::MAX);
    all.map(|Aborted { producer_id, first, last, .. }| (producer_id, first, last)).collect()
}

#[test]
fn the_last_stable_offset_waits_for_the_oldest_open_transaction() {
    let mut fold = Fold::new();
    fold.batch(plain(2, 20));
    assert_eq!(fold.batch(txn(1, 0, 0, 3)), appended(2));
    assert_eq!(fold.batch(txn(2, 0, 0, 1)), appended(5));
    fold.batch(txn(1, 0, 3, 1));
    assert_eq!(fold.partition(P).last_stable(), 2);
    fold.apply(&end(marker(1, 0, true), &[P]));
    assert_eq!((fold.partition(P).last_stable(), fold.partition(P).next()), (5, 8));
    fold.batch(plain(1, 10));
    assert_eq!(fold.partition(P).last_stable(), 5);
    fold.apply(&end(marker(2, 0, false), &[P]));
    assert_eq!((fold.partition(P).last_stable(), fold.partition(P).next()), (10, 10));
    assert_eq!(aborted(&fold), [(2, 5, 9)]);
}

#[test]
fn an_end_takes_an_offset_without_bytes_in_any_segment() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 4, 0, 3));
    let bytes = fold.partition(P).bytes();
    fold.apply(&end(marker(1, 5, true), &[P]));
    let Lookup::Extent(extent) = fold.partition(P).lookup(3) else { panic!("not in the fold") };
    assert_eq!(extent.place, ExtentPlace::Marker(marker(1, 5, true)));
    assert_eq!((extent.base, extent.records, extent.length), (3, 1, MARKER_BYTES));
    assert_eq!((extent.bytes_before, extent.max_timestamp), (bytes, 5000));
    assert_eq!(fold.partition(P).bytes(), bytes + u64::from(MARKER_BYTES));
}

#[test]
fn a_raised_epoch_begins_anew_and_keeps_the_old_one_out() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 4, 0, 3));
    fold.apply(&end(marker(1, 5, true), &[P, Q]));
    assert_eq!(fold.batch(txn(1, 4, 3, 1)), Verdict::Fenced { current: 5 });
    assert_eq!(fold.batch(txn(1, 5, 3, 1)), out_of_order(0));
    assert_eq!(fold.batch(txn(1, 5, 0, 1)), appended(4));
    // Where it left nothing it is fenced, too, and takes an offset.
    assert_eq!(fold.partition(Q).next(), 1);
    assert_eq!(fold.append(Q, &[txn(1, 4, 0, 1)]), [Verdict::Fenced { current: 5 }]);
}

#[test]
fn with_the_same_epoch_sequences_go_on() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 0, 0, 3));
    fold.apply(&end(marker(1, 0, false), &[P]));
    assert_eq!(fold.batch(txn(1, 0, 0, 3)), duplicate(0));
    assert_eq!(fold.partition(P).last_stable(), 4, "a duplicate opens nothing");
    assert_eq!(fold.batch(txn(1, 0, 3, 3)), appended(4));
    assert_eq!(fold.partition(P).last_stable(), 4);
}

#[test]
fn a_void_batch_leaves_no_trace_but_its_bytes_place() {
    let mut fold = Fold::new();
    let void = BatchMeta { void: true, ..txn(1, 0, 0, 3) };
    let verdicts = fold.append(P, &[plain(1, 10), void, txn(2, 0, 0, 1)]);
    assert_eq!(verdicts, [appended(0), Verdict::Void, appended(1)]);
    assert!(!fold.partition(P).row().producers.contains_key(&1));
    let Lookup::Extent(extent) = fold.partition(P).lookup(1) else { panic!("not in the fold") };
    let ExtentPlace::Stored { start, .. } = extent.place else { panic!("a marker") };
    assert_eq!(start, 10 + 30);
    assert_eq!(fold.partition(P).last_stable(), 1);
}

#[test]
fn a_trim_into_an_open_transaction_does_not_move_the_stable_offset_back() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 0, 0, 5));
    fold.apply(&Entry::Trim { partition: P, offset: 3 });
    assert_eq!(fold.partition(P).last_stable(), 3);
    fold.apply(&end(marker(1, 0, false), &[P]));
    assert_eq!(aborted(&fold), [(1, 0, 5)]);
    fold.apply(&Entry::Trim { partition: P, offset: 5 });
    assert_eq!(aborted(&fold), [(1, 0, 5)]);
    fold.apply(&Entry::Trim { partition: P, offset: 6 });
    assert_eq!(aborted(&fold), []);
}

#[test]
fn who_has_an_open_transaction_is_not_forgotten() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 0, 0, 1));
    fold.batch(of(2, 0, 0, 1));
    fold.apply(&Entry::Expire { before: i64::MAX, ids_below: 3 });
    assert_eq!(fold.partition(P).row().producers.keys().collect::<Vec<_>>(), [&1]);
    assert_eq!(fold.batch(txn(1, 0, 5, 1)), out_of_order(1));
    fold.apply(&end(marker(1, 0, true), &[P]));
    fold.apply(&Entry::Expire { before: i64::MAX, ids_below: 3 });
    assert!(fold.partition(P).row().producers.is_empty());
}

#[test]
fn below_their_level_there_are_no_transactions() {
    let mut fold = Fold::at_level(2);
    fold.batch(txn(1, 0, 0, 1));
    assert_eq!(fold.partition(P).last_stable(), 1);
    assert_eq!(fold.apply(&end(marker(1, 0, false), &[P])).effect, Effect::Void);
    assert_eq!(fold.partition(P).next(), 1);
}

#[test]
fn a_partition_named_twice_or_gone_ends_once_or_not_at_all() {
    let mut fold = Fold::new();
    let gone = PartitionId { index: 77, ..P };
    let applied = fold.apply(&end(marker(1, 0, true), &[P, gone, P]));
    assert_eq!(applied.touched, [P]);
    assert_eq!(fold.partition(P).next(), 1);
}

#[test]
fn what_the_floor_has_passed_is_looked_for_in_chunks() {
    let mut fold = Fold::new();
    fold.batch(txn(1, 0, 0, 1));
    fold.apply(&end(marker(1, 0, false), &[P]));
    assert!(!fold.partition(P).has_stored_aborted(0));
    let floor = fold.state.position();
    fold.state.release(floor);
    assert_eq!(aborted(&fold), []);
    assert!(fold.partition(P).has_stored_aborted(1));
    assert!(!fold.partition(P).has_stored_aborted(2));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    #[test]
    fn open_and_aborted_transactions_are_the_oracles(log in log(80)) {
        let mut stable = std::collections::BTreeMap::new();
        let mut back = None;
        let state = fold_all(&log, |state, _, _| {
            for (id, partition) in state.partitions() {
                let now = partition.last_stable();
                let before = stable.insert(*id, now);
                if before.is_some_and(|before| before > now) {
                    back = Some((*id, before, now));
                }
                assert!(partition.log_start() <= now && now <= partition.next());
            }
        });
        prop_assert_eq!(back, None, "S6: it never moves back");
        for (id, partition) in state.partitions() {
            let history = &log.oracle.partitions[id];
            let (open, aborted) = history.transactions();
            prop_assert_eq!(&partition.row().open, &open);
            let left: Vec<_> = aborted.into_iter().filter(|a| a.last >= history.log_start).collect();
            let found: Vec<_> = partition.aborted_between(0, i64::MAX).collect();
            let keys = |all: &[Aborted]| {
                all.iter().map(|a| (a.producer_id, a.first, a.last)).collect::<Vec<_>>()
            };
            prop_assert_eq!(keys(&found), keys(&left));
            for a in &found {
                // Nothing that ends later began before the stable offset behind it.
                prop_assert!(found.iter().all(|b| b.last <= a.last || b.first >= a.stable.min(b.last)
                    || a.stable <= history.log_start));
            }
        }
    }
}
