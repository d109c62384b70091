//! Producers are forgotten by entries, never by a clock.

use siltstone_log::{Entry, PartitionId};

use super::kit::*;
use crate::shard::{Effect, PartitionState};

fn expire(before: i64, ids_below: i64) -> Entry {
    Entry::Expire { before, ids_below }
}

#[test]
fn producers_last_used_before_are_forgotten_and_may_go_on_anywhere() {
    let mut fold = Fold::new();
    fold.now = 100;
    fold.batch(of(1, 0, 0, 3));
    fold.now = 200;
    fold.batch(of(2, 0, 0, 3));
    fold.apply(&expire(200, 3));
    let row = fold.partition(P).row();
    assert_eq!(row.producers.keys().collect::<Vec<_>>(), [&2], "used at that very time: kept");
    assert_eq!(fold.batch(of(1, 0, 3, 1)), appended(6));
    assert_eq!(fold.batch(of(2, 0, 9, 1)), out_of_order(3));
    assert_eq!(fold.batch(of(3, 0, 1, 1)), out_of_order(0), "an id given out since must start at 0");
}

#[test]
fn a_batch_of_an_agent_whose_clock_is_behind_does_not_age_its_producer() {
    let mut fold = Fold::new();
    fold.now = 500;
    fold.batch(of(1, 0, 0, 1));
    fold.now = 100;
    fold.batch(of(1, 0, 1, 1));
    fold.apply(&expire(400, 5));
    assert_eq!(fold.batch(of(1, 0, 5, 1)), out_of_order(2));
}

#[test]
fn expiry_never_goes_back() {
    let mut fold = Fold::new();
    fold.apply(&expire(1000, 50));
    fold.apply(&expire(10, 5));
    let expired = fold.state.head().expired.expect("expired");
    assert_eq!((expired.before, expired.ids_below), (1000, 50));
    assert_eq!(expired.position, fold.state.position());
    assert_eq!(fold.partition(P).row().forgotten_below, 50);
}

#[test]
fn below_its_level_an_expire_is_void() {
    let mut fold = Fold::at_level(1);
    fold.batch(of(1, 0, 0, 1));
    let horizon = fold.partition(P).horizon();
    assert_eq!(fold.apply(&expire(i64::MAX, 9)).effect, Effect::Void);
    assert_eq!(fold.state.head().expired, None);
    assert_eq!(fold.partition(P).horizon(), horizon);
    assert_eq!(fold.batch(of(1, 0, 1, 1)), appended(1));
    fold.apply(&Entry::Feature { level: 2 });
    fold.apply(&expire(i64::MAX, 9));
    assert!(fold.partition(P).row().producers.is_empty());
}

/// Rows are not written for an expiry: whoever loads an older row applies the head's.
#[test]
fn a_row_older_than_the_expiry_comes_out_the_same() {
    let mut fold = Fold::new();
    fold.now = 100;
    fold.batch(of(1, 0, 0, 1));
    let row = fold.partition(P).row().clone();
    fold.apply(&expire(150, 10));
    let floor = fold.state.position();
    let expired = fold.state.head().expired;
    let loaded = PartitionState::from_row(Some(row.clone()), floor, expired.as_ref());
    assert_eq!(loaded.row(), fold.partition(P).row());
    let unaware = PartitionState::from_row(Some(row), floor, None);
    assert_ne!(unaware.row(), fold.partition(P).row());
    // A partition that nobody wrote to knows of it, too.
    let id = PartitionId { topic: TOPIC, index: 2 };
    let empty = PartitionState::from_row(None, floor, expired.as_ref());
    assert_eq!(empty.row(), fold.partition(id).row());
}
