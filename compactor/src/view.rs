//! What a compactor remembers of the shards that it looks after: enough to plan by, and no more. Pure.
//!
//! All of it can be read again from the store. Of a partition it keeps the extents that a merge may still take, not those that are settled
//! for good.

use std::collections::BTreeMap;

use siltstone_log::{Extent, PartitionId, PartitionRow, Position, ShardId};
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
    }

    /// Takes in the next extent.
    pub fn add(&mut self, ordinal: u32, extent: &Extent, rules: &MergeRules) {
        match class(extent, rules) {
            Class::Settled if self.candidates.is_empty() => self.settled = self.settled.max(extent.end()),
            Class::Settled => {}
            _ => self.candidates.push(Candidate { ordinal, extent: *extent }),
        }
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
