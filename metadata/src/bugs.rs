//! Known defects that the simulation puts back on purpose, to show that it would find them (style, rule 15).
//!
//! Without the cargo feature `bugs`, [`on`] is constant and false: no defect is in the program. Only the development dependencies of the
//! tests turn the feature on, which a test checks. A defect is planted for one thread, so that simulations can run side by side.

/// A defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bug {
    /// Producers are answered before the fold has passed their entry, with the offsets that seemed likely.
    AcknowledgeBeforeFold,
    /// The fold takes every entry, whatever its counter.
    IgnoreCounters,
    /// Commits of the write path don't read the agent's registration.
    CommitWithoutRegistration,
    /// The floor moves though rows were not written.
    FloorBeforeRows,
    /// Rows are written without the extents that are new.
    RowsWithoutExtents,
    /// An append whose result is unknown is sent again under the next counters.
    RetryUnderNewCounters,
    /// An append whose result is unknown is answered as if it had failed.
    UnknownIsFailure,
    /// A segment counts as stored though its upload failed.
    UploadFailureIsSuccess,
    /// Flushes are committed as their uploads end, whatever they share.
    DropOrder,
    /// One batch less of a producer is remembered.
    SequenceWindowShort,
    /// State counts as fresh as it is.
    StaleIsFresh,
    /// Checkpoints are written whoever holds the lease, over whatever is there.
    UnfencedCheckpoint,
    /// A follower reads on from where it is, whatever was cleared meanwhile.
    FollowPastFloor,
    /// Entries that a reload passed over are answered as if they had failed.
    LostIsFailure,
    /// Rows forget the log start.
    RowWithoutLogStart,
    /// A duplicate is answered with the end of the log.
    DuplicateAtEnd,
    /// Flushes of transactional batches don't conflict with the end of their transaction.
    TransactionUnread,
    /// The end of a transaction doesn't conflict with flushes that add partitions to it.
    PartitionsUnread,
    /// Batches are appended though their transaction has ended.
    NothingIsVoid,
    /// The last stable offset is the end of the log.
    StableIsEnd,
    /// Aborted transactions are looked for in the fold alone.
    AbortedChunksIgnored,
    /// An abort commits its offsets.
    AbortCommitsOffsets,
    /// Groups are written whoever coordinates them.
    UnfencedGroups,
    /// A group's answers are given though what they rest on could not be written.
    GroupAnswersUnwritten,
    /// After a write of unknown outcome a group is not taken anew.
    UnknownGroupWrites,
    /// A coordinator that takes over counts the members' silence from its own start.
    OldTimers,
    /// Offsets are committed whoever coordinates the group, and whatever its generation is by then.
    OffsetsUnfenced,
    /// Offsets are committed for anybody.
    AnybodyCommits,
    /// Commits of offsets land in any order.
    OffsetsOvertake,
    /// Merged extents are published whatever has become of the row and its chunks meanwhile.
    PublishUnread,
    /// Segments are reclaimed while they are being published, and published though they are gone.
    PublishUnguarded,
    /// What merged extents use is not counted.
    UsesUncounted,
    /// What was sent before a shard is counted may land behind that.
    CountUnfenced,
    /// The feature level is raised whoever can't follow.
    RaiseUnasked,
    /// A process registers whatever the feature level is.
    JoinUnfit,
    /// What a count of uses writes may land when the next count, or the compactor, has gone on.
    CountsUnread,
    /// A merge leaves batches out.
    MergeLosesBatches,
    /// Segments count as unused though entries of theirs are not in rows yet.
    SweepBeforeFloor,
    /// Objects of ended registrations are deleted whether or not they were published.
    OrphansUnchecked,
    /// Compactors publish whoever holds the lease of the shard.
    UnfencedJobs,
    /// Compaction by key takes some keys for others.
    KeysCollide,
    /// A map of keys that is full drops keys, and the round goes on as if it knew them.
    KeysForgotten,
    /// Records of aborted transactions count as the newest of their keys.
    AbortedCount,
    /// A round of compaction goes on to the end of the partition, whatever is open.
    BeyondStable,
    /// Compaction doesn't wait for `min.compaction.lag.ms`.
    LagIgnored,
    /// Compaction drops tombstones at once.
    TombstonesEarly,
    /// Compaction never drops tombstones.
    TombstonesStay,
    /// Each round gives tombstones a new horizon.
    HorizonsAnew,
    /// Compaction drops the ends of transactions at once.
    MarkersEarly,
    /// Compaction drops the last batch of a partition as any other.
    LastDropped,
    /// How far a partition is cleaned is written before what cleaning it has left.
    CleanedAhead,
    /// A chunk of aborted transactions of which compaction took the first is written again beside itself.
    AbortedRekeyed,
    /// Who reads from rows is told of no aborted transaction that ends behind them.
    AbortedInRowsOnly,
    /// Where compaction left nothing behind an offset in its extent, nothing is read.
    GapIsTheEnd,
    /// Of a topic's deletion one shard is told.
    DeletedUntold,
    /// Nobody notes that the extents of a deleted topic are to be cleared away.
    CondemnedUnnoted,
    /// What a deleted topic used is given up twice.
    CondemnedTwice,
    /// Agents serve shards however long ago they were confirmed.
    StaleServes,
    /// Agents give out what is being erased.
    ErasedShown,
    /// An erasure takes what is written behind it, too.
    ErasedLater,
    /// Merges keep what is being erased.
    ErasedMerged,
    /// Segments are announced whatever has been asked to be erased since their bytes were read.
    AnnounceUnread,
    /// The search of an erasure passes over what agents have flushed: merges will take care of that.
    FlushedUnsearched,
    /// The search of an erasure leaves trash out, to which nothing refers any more.
    TrashUnsearched,
    /// What was flushed is taken to be newer than an erasure by its row, which the last try of a commit writes, not the one that counts.
    LastStampCounts,
    /// What the bucket can't find at once is taken to be deleted.
    MissingIsGone,
    /// An erasure counts as completed once its objects are known.
    ReceiptBeforeGone,
    /// What others need of segments that must go is rewritten when it is due anyhow.
    NothingMovedOut,
    /// A shard counts as quiet when its tick is as the last look saw it, whether or not a round has come since that changed.
    TickAlone,
}

impl Bug {
    /// All of them.
    pub const ALL: [Bug; 69] = [
        Bug::AcknowledgeBeforeFold,
        Bug::IgnoreCounters,
        Bug::CommitWithoutRegistration,
        Bug::FloorBeforeRows,
        Bug::RowsWithoutExtents,
        Bug::RetryUnderNewCounters,
        Bug::UnknownIsFailure,
        Bug::UploadFailureIsSuccess,
        Bug::DropOrder,
        Bug::SequenceWindowShort,
        Bug::StaleIsFresh,
        Bug::UnfencedCheckpoint,
        Bug::FollowPastFloor,
        Bug::LostIsFailure,
        Bug::RowWithoutLogStart,
        Bug::DuplicateAtEnd,
        Bug::TransactionUnread,
        Bug::PartitionsUnread,
        Bug::NothingIsVoid,
        Bug::StableIsEnd,
        Bug::AbortedChunksIgnored,
        Bug::AbortCommitsOffsets,
        Bug::UnfencedGroups,
        Bug::GroupAnswersUnwritten,
        Bug::UnknownGroupWrites,
        Bug::OldTimers,
        Bug::OffsetsUnfenced,
        Bug::AnybodyCommits,
        Bug::OffsetsOvertake,
        Bug::PublishUnread,
        Bug::PublishUnguarded,
        Bug::UsesUncounted,
        Bug::CountUnfenced,
        Bug::RaiseUnasked,
        Bug::JoinUnfit,
        Bug::CountsUnread,
        Bug::MergeLosesBatches,
        Bug::SweepBeforeFloor,
        Bug::OrphansUnchecked,
        Bug::UnfencedJobs,
        Bug::KeysCollide,
        Bug::KeysForgotten,
        Bug::AbortedCount,
        Bug::BeyondStable,
        Bug::LagIgnored,
        Bug::TombstonesEarly,
        Bug::TombstonesStay,
        Bug::HorizonsAnew,
        Bug::MarkersEarly,
        Bug::LastDropped,
        Bug::CleanedAhead,
        Bug::AbortedRekeyed,
        Bug::AbortedInRowsOnly,
        Bug::GapIsTheEnd,
        Bug::DeletedUntold,
        Bug::CondemnedUnnoted,
        Bug::CondemnedTwice,
        Bug::StaleServes,
        Bug::ErasedShown,
        Bug::ErasedLater,
        Bug::ErasedMerged,
        Bug::AnnounceUnread,
        Bug::FlushedUnsearched,
        Bug::TrashUnsearched,
        Bug::LastStampCounts,
        Bug::MissingIsGone,
        Bug::ReceiptBeforeGone,
        Bug::NothingMovedOut,
        Bug::TickAlone,
    ];
}

#[cfg(feature = "bugs")]
mod planted {
    use std::cell::Cell;

    thread_local! {
        pub(super) static BUG: Cell<Option<super::Bug>> = const { Cell::new(None) };
    }
}

/// Whether this defect is planted on this thread.
#[cfg(feature = "bugs")]
pub fn on(bug: Bug) -> bool {
    planted::BUG.get() == Some(bug)
}

/// Whether this defect is planted: never, in this build.
#[cfg(not(feature = "bugs"))]
#[inline(always)]
pub const fn on(_: Bug) -> bool {
    false
}

/// Plants a defect on this thread, or with `None` takes it out. Whether this build has defects to plant.
pub fn plant(bug: Option<Bug>) -> bool {
    #[cfg(feature = "bugs")]
    planted::BUG.set(bug);
    bug.is_none() || cfg!(feature = "bugs")
}
