//! Erasures: in force for what is there at their place in the order, until they are over.

use siltstone_log::{Entry, ErasureId, KeyDigest, PartitionId, TopicId};

use super::kit::*;
use crate::shard::{Effect, LEVEL_ERASE};

const FIRST: ErasureId = ErasureId(1);
const SECOND: ErasureId = ErasureId(2);

fn erase(erasure: ErasureId, topic: TopicId) -> Entry {
    Entry::Erase { erasure, topic, keys: [KeyDigest::of(topic, b"k")].into() }
}

fn in_force(fold: &Fold, id: PartitionId) -> Vec<(ErasureId, i64)> {
    fold.partition(id).row().erasures.iter().map(|(id, erased)| (*id, erased.upto)).collect()
}

#[test]
fn what_is_there_is_meant_and_what_comes_later_is_not() {
    let mut fold = Fold::new();
    fold.append(P, &[plain(10, 10)]);
    assert_eq!(fold.apply(&erase(FIRST, TOPIC)).touched.len(), 3);
    fold.append(P, &[plain(5, 10)]);
    fold.append(Q, &[plain(1, 1)]);
    assert_eq!((in_force(&fold, P), in_force(&fold, Q)), (vec![(FIRST, 10)], vec![]));
    fold.apply(&erase(SECOND, TOPIC));
    assert_eq!(in_force(&fold, P), [(FIRST, 10), (SECOND, 15)]);
    assert_eq!(in_force(&fold, Q), [(SECOND, 1)]);
    fold.apply(&Entry::Erased { erasure: FIRST, topic: TOPIC });
    assert_eq!(in_force(&fold, P), [(SECOND, 15)]);
    assert_eq!(
        fold.apply(&Entry::Erased { erasure: FIRST, topic: TOPIC }).touched.len(),
        3,
        "twice is harmless"
    );
}

#[test]
fn a_trim_does_not_end_an_erasure() {
    let mut fold = Fold::new();
    fold.append(P, &[plain(10, 10)]);
    fold.apply(&erase(FIRST, TOPIC));
    fold.apply(&Entry::Trim { partition: P, offset: 10 });
    assert_eq!(in_force(&fold, P), [(FIRST, 10)], "objects may hold its records for as long as before");
}

#[test]
fn other_topics_and_lower_levels_are_left_alone() {
    let mut fold = Fold::new();
    fold.append(P, &[plain(10, 10)]);
    assert!(fold.apply(&erase(FIRST, TopicId(99))).touched.is_empty());
    assert_eq!(in_force(&fold, P), []);
    let mut old = Fold::at_level(LEVEL_ERASE - 1);
    old.append(P, &[plain(10, 10)]);
    assert_eq!(old.apply(&erase(FIRST, TOPIC)).effect, Effect::Void);
    assert_eq!(in_force(&old, P), []);
}
