//! What clients were told.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{ErasureId, PartitionId};

use crate::sim::batches::{BatchId, Made};

/// All that was told.
#[derive(Debug, Default)]
pub(in crate::sim) struct Promises {
    /// Batches that clients made.
    pub(in crate::sim) made: BTreeMap<BatchId, Made>,
    /// Told to be in the log, and at which offset.
    pub(in crate::sim) acknowledged: BTreeMap<BatchId, (PartitionId, i64)>,
    /// Told not to be in the log, and not sent again since.
    pub(in crate::sim) refused: BTreeSet<BatchId>,
    /// The highest end of a partition that anybody was told of.
    pub(in crate::sim) ends: BTreeMap<PartitionId, i64>,
    /// The highest log start.
    pub(in crate::sim) starts: BTreeMap<PartitionId, i64>,
    /// Erasures that are acknowledged, or over.
    pub(in crate::sim) erased: Vec<ErasureId>,
    /// The transaction of each transactional batch, by a number that its client gave it.
    pub(in crate::sim) transaction_of: BTreeMap<BatchId, u64>,
}

impl Promises {
    /// A client is about to send it: from now on it may come to be in the log.
    pub(in crate::sim) fn sent(&mut self, made: &Made) {
        self.refused.remove(&made.id);
        self.made.entry(made.id).or_insert_with(|| made.clone());
    }

    pub(in crate::sim) fn end(&self, partition: PartitionId) -> i64 {
        self.ends.get(&partition).copied().unwrap_or(0)
    }

    pub(in crate::sim) fn start(&self, partition: PartitionId) -> i64 {
        self.starts.get(&partition).copied().unwrap_or(0)
    }

    pub(in crate::sim) fn tell_end(&mut self, partition: PartitionId, end: i64) {
        let known = self.ends.entry(partition).or_default();
        *known = (*known).max(end);
    }

    pub(in crate::sim) fn tell_start(&mut self, partition: PartitionId, start: i64) {
        let known = self.starts.entry(partition).or_default();
        *known = (*known).max(start);
    }
}
