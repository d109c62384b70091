//! What a compactor remembers of the shards that it looks after: enough to plan by, and no more. Pure.
//!
//! All of it can be read again from the store. Of a partition it keeps the extents that a merge may still take, not those that are settled
//! for good.

use std::collections::BTreeMap;

use siltstone_log::{Extent, ExtentPlace, PartitionId, PartitionRow, Position, SegmentId, ShardId};
use siltstone_metadata::shard::Hidden;

use crate::settings::MergeRules;

/// The level of extents that merges leave alone, once their segments are large.
pub const TOP_LEVEL: u8 = 2;

/// What a merge may do with an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// As it was flushed.
    Flushed,
    /// Merged once.
    Merged,
    /// At the top, in a segment that is too small to stay.
    Small,
    /// To be left alone.
    Settled,
}

/// The class of an extent.
pub fn class(extent: &Extent, rules: &MergeRules) -> Class {
    let length = extent.segment().map_or(0, |segment| segment.length);
    match extent.level() {
        0 => Class::Flushed,
        1 => Class::Merged,
        _ if length < rules.target_bytes / 4 => Class::Small,
        _ => Class::Settled,
    }
}

/// An extent that may be merged, and its place among the partition's extents: neighbours have numbers that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate {
    /// Counts the partition's extents from the first that was looked at.
    pub ordinal: u32,
    /// What it is.
    pub extent: Extent,
}

/// The last extents that lie side by side in one segment: one read gives them all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Stretch {
    segment: Option<SegmentId>,
    /// Where it ends in the segment.
    end: u64,
    /// Stored bytes.
    bytes: u64,
    /// How many extents there are.
    extents: u32,
    /// Whether it stays as it is.
    stays: bool,
}

impl Stretch {
    /// Takes in the extent that follows, or begins anew with it.
    fn follow(&mut self, extent: &Extent) {
        let ExtentPlace::Stored { segment, block, .. } = extent.place else { return *self = Self::default() };
        if segment.inline {
            return *self = Self::default();
        }
        let (start, end) = (block.start, block.start + u64::from(block.length));
        // Extents may share a block.
        if self.segment != Some(segment.id) || ![start, end].contains(&self.end) {
            *self = Stretch { segment: Some(segment.id), ..Stretch::default() };
        }
        self.end = end;
        self.bytes += extent.stored_bytes();
        self.extents += 1;
    }
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionView {
    /// Tells whether the row has changed since.
    pub seen: u64,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The offset of the next record, as of the row.
    pub next: i64,
    /// Below it every transaction has ended.
    pub last_stable: i64,
    /// Bytes ever appended.
    pub bytes: u64,
    /// What the row is as of; `None`: no row was read yet.
    pub horizon: Option<Position>,
    /// What is being erased, as the row has it, if anything is.
    pub hidden: Option<Hidden>,
    /// The oldest extent.
    pub first: Option<Extent>,
    /// Extents that end here or before are settled.
    pub settled: i64,
    /// The others that a merge may take, in offset order.
    pub candidates: Vec<Candidate>,
    pub(crate) stretch: Stretch,
}

impl PartitionView {
    /// With what a row says; all else as it was.
    pub fn with_row(self, partition: PartitionId, row: &PartitionRow, seen: u64) -> Self {
        let first_open = row.open.values().min().copied();
        PartitionView {
            seen,
            log_start: row.log_start,
            next: row.next,
            last_stable: first_open.map_or(row.next, |first| first.max(row.log_start)),
            bytes: row.bytes,
            horizon: Some(row.horizon),
            hidden: Some(Hidden::of(partition, row, 0)).filter(|hidden| !hidden.is_empty()),
            ..self
        }
    }

    /// Begins to take in the extents from [`PartitionView::settled`] on.
    pub fn begin(&mut self) {
        self.candidates.clear();
        self.stretch = Stretch::default();
    }

    /// Takes in the next extent.
    pub fn add(&mut self, ordinal: u32, extent: &Extent, rules: &MergeRules) {
        self.stretch.follow(extent);
        let large = self.stretch.bytes >= rules.leave_bytes && self.stretch.segment.is_some();
        if class(extent, rules) != Class::Settled && !large {
            return self.candidates.push(Candidate { ordinal, extent: *extent });
        }
        if !std::mem::replace(&mut self.stretch.stays, true) {
            // A merge could not make more of it: nor of one that it leaves alone between others that stay.
            let first = (ordinal + 1).saturating_sub(self.stretch.extents.max(1));
            let before = self.candidates.partition_point(|some| some.ordinal < first);
            self.candidates.truncate(before);
            if self.ends_alone(first) {
                self.candidates.pop();
            }
        }
        if self.candidates.is_empty() {
            self.settled = self.settled.max(extent.end());
        }
    }

    /// Whether the last candidate has no neighbour to be merged with but `next`, and takes no room in the metadata store.
    fn ends_alone(&self, next: u32) -> bool {
        let [before @ .., last] = self.candidates.as_slice() else { return false };
        let follows = |before: &Candidate| before.ordinal + 1 == last.ordinal;
        let inline = last.extent.segment().is_some_and(|segment| segment.inline);
        last.ordinal + 1 == next && !before.last().is_some_and(follows) && !inline
    }
}

/// One shard.
#[derive(Debug, Clone, Default)]
pub struct ShardView {
    /// By partition; those without a row are not there.
    pub partitions: BTreeMap<PartitionId, PartitionView>,
}

/// All shards that a compactor holds.
pub type Views = BTreeMap<ShardId, ShardView>;

#[cfg(test)]
#[path = "view_tests.rs"]
mod tests;
