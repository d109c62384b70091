//! The fold: a shard's state as a pure function of its log (design, section 3).
//!
//! `ShardState::apply` is the one door through which state changes, for live traffic and for recovery alike. It reads no clock, draws no
//! chance, does no I/O, and is total: an entry that can't apply is void, for every agent alike.
//!
//! Partitions are folded only where they are loaded; entries for others pass by, and whoever loads one later folds the log again from the
//! partition's row (`replay`). So the state of a loaded partition never depends on when it was loaded (S7).

mod hidden;
mod partition;
mod producer;
mod state;
mod transaction;

pub use hidden::Hidden;
pub use partition::{FoldAborted, FoldExtent, Lookup, PartitionState};
pub use producer::Verdict;
pub use state::{
    Applied, BlockOutcome, Effect, LEVEL_COMPACTION, LEVEL_ERASE, LEVEL_TRANSACTIONS, MAX_LEVEL, MIN_LEVEL,
    ShardState,
};
pub use transaction::MARKER_BYTES;

#[cfg(test)]
mod tests;
