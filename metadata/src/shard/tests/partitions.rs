//! Topics come, grow and go; log starts rise.

use siltstone_log::{Entry, PartitionId, Position, ShardHead, ShardId, TopicId, shard_of};

use super::kit::*;
use crate::shard::{Effect, Lookup, MAX_LEVEL, ShardState, Verdict};

fn trim(partition: PartitionId, offset: i64) -> Entry {
    Entry::Trim { partition, offset }
}

#[test]
fn trims_never_go_back_and_never_beyond_the_end() {
    let mut fold = Fold::new();
    fold.append(P, &[plain(10, 10)]);
    for (offset, start) in [(4, 4), (2, 4), (0, 4), (99, 10), (i64::MAX, 10)] {
        let applied = fold.apply(&trim(P, offset));
        assert_eq!(applied.touched, [P]);
        assert_eq!(fold.partition(P).log_start(), start);
        assert_eq!(fold.partition(P).next(), 10);
    }
    assert_eq!(fold.partition(P).lookup(10), Lookup::End);
    assert_eq!(fold.append(P, &[plain(1, 10)]), [appended(10)], "offsets go on");
}

#[test]
fn a_trim_lets_go_of_extents_that_lie_wholly_before_it() {
    let mut fold = Fold::new();
    for _ in 0..3 {
        fold.append(P, &[plain(10, 10)]);
    }
    fold.apply(&trim(P, 15));
    assert_eq!(fold.partition(P).first_held(), 10);
    assert_eq!(fold.partition(P).lookup(14), Lookup::OutOfRange);
    assert!(matches!(fold.partition(P).lookup(15), Lookup::Extent(extent) if extent.base == 10));
    fold.apply(&trim(P, 20));
    assert_eq!(fold.partition(P).first_held(), 20);
}

#[test]
fn what_does_not_exist_is_void_or_told_so() {
    let mut fold = Fold::new();
    let none = PartitionId { topic: TOPIC, index: 3 };
    assert_eq!(fold.apply(&trim(none, 1)).effect, Effect::Void);
    assert_eq!(fold.append(none, &[plain(1, 1), plain(1, 1)]), [Verdict::NoPartition; 2]);
    let of_no_topic = PartitionId { topic: TopicId(99), index: 0 };
    assert_eq!(fold.append(of_no_topic, &[plain(1, 1)]), [Verdict::NoPartition]);
    assert_eq!(fold.append(P, &[plain(1, 1)]), [appended(0)], "the counter went on");
}

#[test]
fn partitions_are_added_and_never_taken_away() {
    let mut fold = Fold::new();
    let touched = fold.apply(&Entry::Created { topic: TOPIC, first: 3, end: 5, at: 0 }).touched;
    assert_eq!(touched.iter().map(|id| id.index).collect::<Vec<_>>(), [3, 4]);
    assert!(fold.state.exists(PartitionId { topic: TOPIC, index: 4 }));
    fold.apply(&Entry::Created { topic: TOPIC, first: 0, end: 2, at: 0 });
    assert_eq!(fold.state.partitions_of(TOPIC).len(), 5);
    let backwards = fold.apply(&Entry::Created { topic: TOPIC, first: 9, end: 5, at: 0 });
    assert!(backwards.touched.is_empty());
}

#[test]
fn a_deleted_topic_is_gone_and_its_name_may_come_back_under_another_id() {
    let mut fold = Fold::new();
    fold.append(P, &[plain(10, 10)]);
    let applied = fold.apply(&Entry::Deleted { topic: TOPIC });
    assert_eq!(applied.touched.len(), 3);
    assert!(fold.state.partitions().is_empty());
    assert_eq!(fold.append(P, &[plain(1, 1)]), [Verdict::NoPartition]);
    assert!(fold.apply(&Entry::Deleted { topic: TOPIC }).touched.is_empty(), "twice is harmless");
    fold.apply(&Entry::Created { topic: TopicId(8), first: 0, end: 1, at: 0 });
    assert!(!fold.state.exists(P));
    assert!(fold.state.exists(PartitionId { topic: TopicId(8), index: 0 }));
}

#[test]
fn a_partition_that_is_not_loaded_is_passed_by() {
    let mut fold = Fold::new();
    fold.append(Q, &[plain(1, 1)]);
    fold.state.evict(Q);
    let applied = fold.blocks(vec![block(P, 0, &[plain(2, 10)]), block(Q, 10, &[plain(3, 10)])]);
    assert_eq!(applied.touched, [P, Q], "whoever waits for it learns of it all the same");
    let Effect::Appended(outcomes) = applied.effect else { panic!("void") };
    assert_eq!(outcomes[0].verdicts, Some(vec![appended(0)]));
    assert_eq!(outcomes[1].verdicts, None);
    assert_eq!(fold.apply(&trim(Q, 1)).touched, [Q]);
    assert!(fold.state.partition(Q).is_none());
}

/// Each of a topic's partitions exists on the one shard that `shard_of` names.
#[test]
fn a_shard_has_its_own_partitions_only() {
    const SHARDS: u16 = 7;
    let created = Entry::Created { topic: TOPIC, first: 0, end: 50, at: 0 };
    let grown = Entry::Created { topic: TOPIC, first: 50, end: 53, at: 0 };
    let mut seen = Vec::new();
    for shard in (0..SHARDS).map(ShardId) {
        let head = ShardHead { level: MAX_LEVEL, ..ShardHead::default() };
        let mut state = ShardState::new(shard, SHARDS, Position::ZERO, head);
        let first = state.apply(position(1), &created).touched;
        let then = state.apply(position(2), &grown).touched;
        let all: Vec<_> = first.into_iter().chain(then).collect();
        assert_eq!(state.partitions_of(TOPIC), all);
        assert!(all.iter().all(|id| shard_of(*id, SHARDS) == shard && state.exists(*id)));
        seen.extend(all);
    }
    seen.sort();
    assert_eq!(seen.iter().map(|id| id.index).collect::<Vec<_>>(), (0..53).collect::<Vec<_>>());
}
