//! What an answer takes of one partition: how much there is room for, and which extents were begun to be read.
//!
//! Blocks that merges made, and on a local disk flushed ones, are read by themselves, whole or not at all: what an answer leaves of one has to be read again, perhaps from the
//! bucket. So a plan ends before a block that does not fit, and a partition waits for the next answer if others left no room for its block.

use std::collections::VecDeque;

use siltstone_log::{Extent, PartitionId};
use siltstone_metadata::shard::Hidden;

use super::begin::{Alone, Begun};
use super::reader::Bounds;

/// Room for a partition's records in an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// So many bytes.
    pub(super) bytes: usize,
    /// Or up to so many, where a block would have to be read twice otherwise.
    pub(super) most: usize,
    /// There is less of it than the client would take, since other partitions come before this one.
    pub(super) scarce: bool,
}

impl Room {
    /// Exactly so many bytes, all that the client would take.
    pub(super) fn of(bytes: usize) -> Self {
        Room { bytes, most: bytes, scarce: false }
    }

    /// How many bytes to take if what is there begins with this extent. Nothing if it should wait for an answer with more room.
    pub(super) fn for_extent(self, extent: Option<&Extent>, alone: Alone) -> Option<usize> {
        match extent.filter(|extent| alone.is(extent)).map(|extent| extent.length as usize) {
            Some(length) if length > self.most && self.scarce => None,
            Some(length) => Some(self.bytes.max(length.min(self.most))),
            None => Some(self.bytes),
        }
    }
}

/// What is to be read of a partition, and is on its way.
pub(super) struct Plan {
    /// Nothing was begun, although there is something: it does not fit into what room others left.
    pub(super) later: bool,
    pub(super) partition: PartitionId,
    pub(super) offset: i64,
    /// Bytes that may be taken.
    pub(super) max_bytes: usize,
    pub(super) bounds: Bounds,
    /// What its records are filtered by: what was hidden when the plan was made.
    pub(super) hidden: Hidden,
    /// Rows have told of its extents, not the fold.
    pub(super) in_rows: bool,
    /// Only what is committed is wanted.
    pub(super) committed: bool,
    /// Batches are wanted that lie wholly before this offset.
    pub(super) end: i64,
    pub(super) begun: VecDeque<(Extent, Begun)>,
    /// Extents behind those.
    pub(super) ahead: VecDeque<Extent>,
    /// Bytes of what was begun; may be more than there was room for.
    pub(super) bytes: usize,
}

impl Plan {
    pub(super) fn empty(partition: PartitionId, offset: i64, bounds: Bounds, hidden: Hidden) -> Self {
        Plan {
            later: false,
            partition,
            offset,
            max_bytes: 0,
            bounds,
            hidden,
            in_rows: false,
            committed: false,
            end: offset,
            begun: VecDeque::new(),
            ahead: VecDeque::new(),
            bytes: 0,
        }
    }

    /// Whether there is room for a further extent, or for the beginning of one that need not be read whole.
    pub(super) fn fits(&self, extent: &Extent, alone: Alone) -> bool {
        let taken = self.bytes + if alone.is(extent) { extent.length as usize } else { 1 };
        taken <= self.max_bytes
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{PartitionRow, TopicId};

    use super::*;

    const KIB: usize = 1 << 10;

    fn extent(length: usize, level: u8) -> Extent {
        crate::fetch::begin::tests::extent(2, 0, length as u32, level)
    }

    fn room(bytes: usize, most: usize, scarce: bool) -> Room {
        Room { bytes: bytes * KIB, most: most * KIB, scarce }
    }

    #[test]
    fn a_merged_block_is_taken_whole_or_waits_for_room() {
        let merged = extent(1000 * KIB, 1);
        assert_eq!(
            room(256, 1024, false).for_extent(Some(&merged), Alone::MERGED),
            Some(1000 * KIB),
            "more than the share"
        );
        assert_eq!(room(256, 900, true).for_extent(Some(&merged), Alone::MERGED), None, "others left less");
        assert_eq!(
            room(256, 900, false).for_extent(Some(&merged), Alone::MERGED),
            Some(900 * KIB),
            "the client never takes more"
        );
    }

    #[test]
    fn what_lies_in_shared_pages_is_taken_in_parts() {
        for small in [extent(1000 * KIB, 0), extent(60 * KIB, 1)] {
            assert_eq!(room(256, 900, true).for_extent(Some(&small), Alone::MERGED), Some(256 * KIB));
        }
        assert_eq!(
            room(256, 900, true).for_extent(None, Alone::MERGED),
            Some(256 * KIB),
            "a partition's end"
        );
    }

    #[test]
    fn flushed_blocks_of_a_good_size_are_taken_whole_where_that_is_wanted() {
        let alone = Alone { flushed_from: 64 << 10 };
        for (length, is) in [(63, false), (64, true), (1024, true), (1025, false)] {
            assert_eq!(alone.is(&extent(length * KIB, 0)), is, "{length} KiB");
            assert!(!Alone::MERGED.is(&extent(length * KIB, 0)));
        }
        assert_eq!(room(256, 900, true).for_extent(Some(&extent(1000 * KIB, 0)), alone), None);
    }

    #[test]
    fn a_plan_ends_before_a_merged_block_that_does_not_fit() {
        let partition = PartitionId { topic: TopicId(1), index: 0 };
        let hidden = Hidden::of(partition, &PartitionRow::default(), 0);
        let empty = Plan::empty(partition, 0, Bounds::default(), hidden);
        let plan = Plan { max_bytes: 1000 * KIB, bytes: 600 * KIB, ..empty };
        assert!(plan.fits(&extent(400 * KIB, 1), Alone::MERGED));
        assert!(!plan.fits(&extent(401 * KIB, 1), Alone::MERGED));
        assert!(plan.fits(&extent(401 * KIB, 0), Alone::MERGED), "its beginning does");
        assert!(!Plan { bytes: 1000 * KIB, ..plan }.fits(&extent(KIB, 0), Alone::MERGED));
    }
}
