//! Which partitions have extents that nobody may read any more.

use siltstone_log::{PartitionId, ShardId};

use crate::view::{PartitionView, Views};

/// A partition that gives up what lies wholly before its log start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trimmed {
    /// The shard.
    pub shard: ShardId,
    /// The partition.
    pub partition: PartitionId,
    /// Extents that end here or before go.
    pub log_start: i64,
}

/// All that are due.
pub fn trimmed(views: &Views) -> Vec<Trimmed> {
    let due = |view: &PartitionView| view.first.is_some_and(|first| first.end() <= view.log_start);
    let of = |(shard, partition, view): (ShardId, PartitionId, &PartitionView)| {
        due(view).then_some(Trimmed { shard, partition, log_start: view.log_start })
    };
    let all = views.iter().flat_map(|(shard, view)| {
        view.partitions.iter().map(move |(partition, view)| (*shard, *partition, view))
    });
    all.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use siltstone_log::{EndMarker, Extent, ExtentPlace, TopicId};

    use super::*;

    #[test]
    fn only_extents_wholly_before_the_log_start_go() {
        let place = ExtentPlace::Marker(EndMarker { producer_id: 1, epoch: 0, commit: true });
        let first = Extent { base: 0, records: 10, bytes_before: 0, place, length: 1, max_timestamp: 0 };
        let mut views = Views::new();
        for (index, log_start) in [9, 10, 11].into_iter().enumerate() {
            let view = PartitionView { first: Some(first), log_start, ..PartitionView::default() };
            let id = PartitionId { topic: TopicId(1), index: index as u32 };
            views.entry(ShardId(0)).or_default().partitions.insert(id, view);
        }
        let empty = PartitionView { log_start: 99, ..PartitionView::default() };
        let id = PartitionId { topic: TopicId(2), index: 0 };
        views.entry(ShardId(1)).or_default().partitions.insert(id, empty);
        let due: Vec<_> = trimmed(&views).iter().map(|one| (one.partition.index, one.log_start)).collect();
        assert_eq!(due, [(1, 10), (2, 11)]);
    }
}
