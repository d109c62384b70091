//! Which records of a partition are hidden, for those who read or rewrite its batches.

use std::collections::BTreeMap;

use siltstone_log::{ErasedRow, ErasureId, KeyDigest, PartitionId, PartitionRow, TopicId};

use crate::bugs::{self, Bug};

/// Erasures in force in a partition, as of some moment. Cheap to copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hidden {
    topic: TopicId,
    from: i64,
    erasures: BTreeMap<ErasureId, ErasedRow>,
}

impl Hidden {
    /// Those that concern offsets from `from` on, as the partition's row has them.
    pub fn of(partition: PartitionId, row: &PartitionRow, from: i64) -> Self {
        let concerned = row.erasures.iter().filter(|(_, erased)| erased.upto > from);
        let erasures = concerned.map(|(id, erased)| (*id, erased.clone())).collect();
        Hidden { topic: partition.topic, from, erasures }
    }

    /// Whether nothing is hidden.
    pub fn is_empty(&self) -> bool {
        self.erasures.is_empty()
    }

    /// Whether there may be hidden records in a batch that begins at this offset.
    pub fn concerns(&self, base: i64) -> bool {
        self.erasures.values().any(|erased| before(base, erased))
    }

    /// Whether records of this key are hidden in a batch that begins at `base`: no batch has records on both sides of an erasure's end.
    pub fn hides(&self, base: i64, key: &[u8]) -> bool {
        let digest = KeyDigest::of(self.topic, key);
        self.erasures.values().any(|erased| before(base, erased) && erased.keys.contains(&digest))
    }

    /// The erasures that hide records of this key in a batch that begins at `base`.
    pub fn by(&self, base: i64, key: &[u8]) -> impl Iterator<Item = ErasureId> {
        let digest = KeyDigest::of(self.topic, key);
        let all = self.erasures.iter();
        all.filter(move |(_, erased)| before(base, erased) && erased.keys.contains(&digest))
            .map(|(id, _)| *id)
    }

    /// Whether the row, as it is by now, hides nothing more.
    pub fn is_all_of(&self, row: &PartitionRow) -> bool {
        row.erasures.iter().all(|(id, erased)| erased.upto <= self.from || self.erasures.contains_key(id))
    }

    /// The erasures.
    pub fn ids(&self) -> impl Iterator<Item = ErasureId> {
        self.erasures.keys().copied()
    }
}

/// Whether a batch that begins at `base` is meant by an erasure.
fn before(base: i64, erased: &ErasedRow) -> bool {
    base < erased.upto || bugs::on(Bug::ErasedLater)
}
