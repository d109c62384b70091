//! Erasing records of keys for good: out of every object, with a receipt (design, section 7; the right to be forgotten).
//!
//! ```text
//! asked ▸ hidden at once by agents, left out by every rewriting from then on
//!       ▸ search: segments in use, then trash; whatever holds such a record, referred to or not, goes on the list
//!       ▸ force: all that other segments still need of those on the list is rewritten, whoever's it is
//!       ▸ reclaim deletes them as it deletes any segment that nobody uses
//!       ▸ finish: when the last one is gone the erasure ends, and its receipt is complete
//! ```
//!
//! Why nothing escapes the search: a segment that an agent flushed has its row since the entry's commit, so it is there when the search begins. One that a
//! compactor wrote was either announced before the request, and is there as well, or [`crate::publish`] found that its writer knew of the request: every
//! announcement reads the key that a request changes. A writer that knows of it leaves the records out, and leaves partitions alone whose rows don't say yet where it ends.
//!
//! Any worker rewrites what is in the shards that it holds; search and finish are the task of whoever reclaims.

mod finish;
mod force;
mod hiding;
mod search;

use siltstone_log::FormatError;
use siltstone_metadata::erase::EraseError;
use siltstone_objects::ReadError;
use siltstone_store::{CommitError, ReadAllError, StoreError};

pub use hiding::{Dirty, Hiding};

/// Why a step of an erasure was not done. The next pass tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EraseJobError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A transaction did not get through.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Erasures can't be read.
    #[error(transparent)]
    Erasures(#[from] EraseError),
    /// An object can't be had now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A row can't be read by this program.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// There is more of something than there can be.
    #[error(transparent)]
    TooMuch(#[from] ReadAllError),
    /// Somebody else does it by now.
    #[error("the lease is lost")]
    LeaseLost,
    /// The work was interrupted: the process ends.
    #[error("interrupted")]
    Interrupted,
}
