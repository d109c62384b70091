//! What can be wrong, how bad that is, and what to do about it. Pure.

use std::fmt;

use siltstone_log::{PartitionId, SegmentId, ShardId};

/// How bad something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is wrong: it goes away by itself.
    Note,
    /// It costs space, or hides something; no record is touched.
    Warning,
    /// Records are lost, can't be read, or may be lost.
    Error,
}

/// What is wrong. Each has a name in reports that does not change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An extent's segment is not in the object store.
    MissingObject,
    /// It is there, but has not the length that it must have.
    WrongLength,
    /// An extent's inline segment is not in the metadata store, or not all of it.
    MissingInline,
    /// A segment that is used has no row: nothing keeps it from being deleted.
    MissingRow,
    /// A segment's row does not name a shard that uses it.
    RowWithoutShard,
    /// A segment that is used is about to be deleted.
    TrashInUse,
    /// Offsets for which there is no extent.
    Gap,
    /// Extents that overlap, or are not in order.
    Order,
    /// A chunk lies under a key that is not its first offset's, or is empty.
    ChunkKey,
    /// A row's note of its last chunk is wrong.
    LastChunk,
    /// Aborted transactions disagree with their row, or among themselves.
    Aborted,
    /// A row, chunk or entry that this program can't read.
    Undecodable,
    /// A partition lies in a shard that is not its own, or is beyond its topic's partitions.
    Misplaced,
    /// What a shard uses of a segment is counted wrong.
    Count,
    /// An object that nothing explains.
    LeftoverObject,
    /// An object whose name is none that this program gives.
    StrangeObject,
    /// An inline segment that nothing refers to.
    LeftoverInline,
    /// A row, or chunks, of a topic that does not exist.
    LeftoverPartition,
    /// Chunks ahead of their row: a checkpoint is under way, or the next one takes them away.
    AheadOfRow,
    /// A segment's footer can't be read, or is another segment's.
    Footer,
    /// A block's bytes have changed, or can't be decompressed.
    Block,
    /// A batch's bytes have changed, or are no batch.
    Batch,
    /// What lies in a segment is not what an extent says.
    Disagrees,
}

/// All kinds, in the order of reports.
pub const KINDS: [Kind; 23] = [
    Kind::MissingObject,
    Kind::WrongLength,
    Kind::MissingInline,
    Kind::MissingRow,
    Kind::RowWithoutShard,
    Kind::TrashInUse,
    Kind::Gap,
    Kind::Order,
    Kind::ChunkKey,
    Kind::LastChunk,
    Kind::Aborted,
    Kind::Undecodable,
    Kind::Misplaced,
    Kind::Footer,
    Kind::Block,
    Kind::Batch,
    Kind::Disagrees,
    Kind::Count,
    Kind::LeftoverObject,
    Kind::StrangeObject,
    Kind::LeftoverInline,
    Kind::LeftoverPartition,
    Kind::AheadOfRow,
];

/// What `--repair` does about a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fix {
    /// The shard is counted anew.
    Recount,
    /// The writer's objects are looked through once more, as those of a registration that has just ended: what was never published goes,
    /// after the time of grace.
    LookThrough,
    /// The parts are cleared.
    Clear,
}

impl Kind {
    /// Its name in reports.
    pub fn name(self) -> &'static str {
        self.told().0
    }

    /// What to do about it.
    pub fn advice(self) -> &'static str {
        self.told().1
    }

    fn told(self) -> (&'static str, &'static str) {
        match self {
            Kind::MissingObject => (
                "missing-object",
                "bring the object back from the bucket's older versions or a backup; its records can't be read until then",
            ),
            Kind::WrongLength => {
                ("wrong-length", "bring the object back from the bucket's older versions or a backup")
            }
            Kind::MissingInline => {
                ("missing-inline", "restore the metadata from a backup; its records are lost otherwise")
            }
            Kind::MissingRow => (
                "missing-row",
                "stop all compactors before its writer's registration ends, and report this as a defect: the segment could be deleted",
            ),
            Kind::RowWithoutShard => (
                "row-without-shard",
                "stop all compactors, and report this as a defect: the segment could be deleted while the shard uses it",
            ),
            Kind::TrashInUse => (
                "trash-in-use",
                "stop all compactors at once: the segment is deleted when compactor.grace is over; copy the object, and report this as a defect",
            ),
            Kind::Gap => (
                "gap",
                "records at these offsets are not there, and no compaction by key has taken them: report this as a defect",
            ),
            Kind::Order => ("order", "readers may get records twice or miss some: report this as a defect"),
            Kind::ChunkKey => ("chunk-key", "readers may miss the chunk: report this as a defect"),
            Kind::LastChunk => (
                "last-chunk",
                "the next checkpoint may write extents at a wrong place: report this as a defect",
            ),
            Kind::Aborted => {
                ("aborted", "readers of committed records may be shown aborted ones: report this as a defect")
            }
            Kind::Undecodable => (
                "undecodable",
                "a newer program wrote it (use that one), or it is damaged (restore the metadata from a backup)",
            ),
            Kind::Misplaced => ("misplaced", "no reader looks there: report this as a defect"),
            Kind::Count => (
                "count",
                "fsck --repair has the shard counted anew; reclaim is wrong about the segment until then",
            ),
            Kind::LeftoverObject => {
                ("leftover-object", "fsck --repair has it deleted, after the time of grace")
            }
            Kind::StrangeObject => ("strange-object", "it is not this cluster's: move it out of the prefix"),
            Kind::LeftoverInline => ("leftover-inline", "fsck --repair clears it"),
            Kind::LeftoverPartition => {
                ("leftover-partition", "it costs space only; report this as a defect if it stays")
            }
            Kind::AheadOfRow => {
                ("ahead-of-row", "nothing: the next checkpoint of the partition takes it in, or away")
            }
            Kind::Footer => {
                ("footer", "readers don't need the footer; the blocks are checked by the metadata alone")
            }
            Kind::Block => (
                "block",
                "see with inspect segment which batches are whole; bring the object back from older versions or a backup",
            ),
            Kind::Batch => (
                "batch",
                "readers get an error at these offsets: bring the object back from older versions or a backup",
            ),
            Kind::Disagrees => {
                ("disagrees", "readers may get an error at these offsets: report this as a defect")
            }
        }
    }

    /// How bad it is.
    pub fn severity(self) -> Severity {
        match self {
            Kind::AheadOfRow => Severity::Note,
            Kind::Gap
            | Kind::Count
            | Kind::LeftoverObject
            | Kind::StrangeObject
            | Kind::LeftoverInline
            | Kind::LeftoverPartition
            | Kind::Footer => Severity::Warning,
            _ => Severity::Error,
        }
    }

    /// What can be done about it without risk.
    pub fn fix(self) -> Option<Fix> {
        match self {
            Kind::Count => Some(Fix::Recount),
            Kind::LeftoverObject => Some(Fix::LookThrough),
            Kind::LeftoverInline => Some(Fix::Clear),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Error => "error",
        })
    }
}

/// Where something is wrong: as much of it as is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The shard.
    pub shard: Option<ShardId>,
    /// The partition.
    pub partition: Option<PartitionId>,
    /// Offsets, from the first to that behind the last.
    pub offsets: Option<(i64, i64)>,
    /// The segment.
    pub segment: Option<SegmentId>,
    /// A name in the bucket that is no segment's.
    pub object: Option<String>,
}

impl Place {
    /// A partition of a shard.
    pub fn partition(shard: ShardId, partition: PartitionId) -> Place {
        Place { shard: Some(shard), partition: Some(partition), ..Place::default() }
    }

    /// A segment.
    pub fn segment(segment: SegmentId) -> Place {
        Place { segment: Some(segment), ..Place::default() }
    }

    /// These offsets of it.
    #[must_use]
    pub fn at(self, from: i64, to: i64) -> Place {
        Place { offsets: Some((from, to)), ..self }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What kind of thing.
    pub kind: Kind,
    /// Where.
    pub place: Place,
    /// What was seen, in words.
    pub what: String,
}

impl Finding {
    /// A finding.
    pub fn new(kind: Kind, place: Place, what: impl Into<String>) -> Finding {
        Finding { kind, place, what: what.into() }
    }

    /// What makes two looks' findings the same.
    pub fn key(&self) -> (Kind, Place) {
        (self.kind, self.place.clone())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own_and_nothing_that_loses_records_is_repaired() {
        let names: BTreeSet<_> = KINDS.iter().map(|kind| kind.name()).collect();
        let kinds: BTreeSet<_> = KINDS.iter().collect();
        assert_eq!((names.len(), kinds.len()), (KINDS.len(), KINDS.len()));
        assert!(KINDS.iter().all(|kind| kind.fix().is_none() || kind.severity() == Severity::Warning));
        assert!(KINDS.iter().all(|kind| kind.fix().is_none() || kind.advice().contains("--repair")));
    }
}
