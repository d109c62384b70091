//! The bugs, one at a time.

macro_rules! bugs {
    ($($(#[$doc:meta])* $bug:ident,)*) => {
        /// What is wrong with a naive store.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Bug {
            /// Nothing.
            None,
            $($(#[$doc])* $bug,)*
        }

        /// All of them.
        pub const BUGS: &[Bug] = &[$(Bug::$bug),*];
    };
}

bugs! {
    // Snapshots.
    /// A snapshot is one commit behind.
    StaleSnapshot,
    /// A snapshot reads what is there when it reads.
    SnapshotMoves,
    /// Ranges of a snapshot read what is there when they read.
    RangeMoves,
    /// Every second commit has the version of the one before.
    VersionRepeats,
    /// snapshot_at shows the newest state under the old version.
    AtShowsNewest,
    /// snapshot_at shows the state before.
    AtShowsOlder,
    /// snapshot_at of the last version is refused.
    AtRefusesLast,
    /// snapshot_at takes any version.
    AtTakesFuture,
    /// A snapshot's version is one too low.
    VersionTooLow,
    /// A commit shows half first.
    Torn,
    /// A dropped commit leaves half.
    DroppedHalf,
    /// Opening again finds nothing.
    Forgetful,
    /// Versions begin again.
    VersionsRestart,
    /// A store is not empty.
    Haunted,
    // Conflicts.
    IgnoresReads,
    DropsFirstRead,
    DropsLastRead,
    ReadBeginExcluded,
    ReadEndIncluded,
    OnlyExistingKeysConflict,
    SetIsNoWrite,
    SameValueIsNoWrite,
    ClearIsNoWrite,
    ClearRangeIsNoWrite,
    ClearRangeWritesExisting,
    AddIsNoWrite,
    StampedKeyIsNoWrite,
    StampedKeyWritesPrefix,
    StampedValueIsNoWrite,
    TouchIsNoWrite,
    TouchWrites,
    OnlyFirstMutationWrites,
    OnlyLastCommitConflicts,
    ForgetsConflicts,
    ConflictsAtReadVersion,
    EmptyRangeConflicts,
    SelfConflict,
    RefusedCommitWrites,
    RefusedCommitApplies,
    BlindConflicts,
    TouchConflicts,
    SnapshotReadsConflict,
    RacyCommit,
    ResendsOnce,
    RefusesNoOps,
    // Mutations.
    Reversed,
    ClearsFirst,
    ClearsLast,
    FirstSetStays,
    EmptyValueIsAbsent,
    LossyKeys,
    SignedOrder,
    ClearAbsentFails,
    ClearEndIncluded,
    ClearBeginExcluded,
    InvertedClearClears,
    AddBigEndian,
    AddAbsentIgnored,
    AddSeesOldState,
    AddShortIsZero,
    AddKeepsLong,
    AddSaturates,
    AddLosesRace,
    // Stamps.
    StampIsZero,
    StampToldWrong,
    StampShared,
    StampLittleEndian,
    SuffixLost,
    StampedFirst,
    ValueStampWithoutPrefix,
    StampReused,
    // Ranges.
    RangeEndIncluded,
    RangeBeginExcluded,
    ReverseIgnored,
    ReverseOfFirstPage,
    NeverMore,
    AlwaysMore,
    BytesIgnored,
    BytesNotReached,
    BytesOverrun,
    EntriesIgnored,
    ZeroIsNone,
    InvertedRangePanics,
    // Watches.
    WatchDeaf,
    WatchDeafToClear,
    WatchDeafToClearRange,
    WatchDeafToAdd,
    WatchDeafToStamps,
    WatchDeafToNew,
    WatchOnlyOne,
    WatchLate,
    WatchFromPoll,
    HeardTooLow,
    WatchUnlimited,
    WatchLeaks,
    // Limits.
    NoKeyLimit,
    TightKeys,
    NoValueLimit,
    TightValues,
    NoSizeLimit,
    TightSize,
    NoRangeLimit,
    TightRanges,
    StampUncounted,
    NoReadLimits,
    AnyFirstByte,
    NoVersionNeeded,
    LimitAppliesPart,
}
