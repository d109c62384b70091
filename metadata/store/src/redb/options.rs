//! Settings of the embedded store, and what can go wrong when it is opened.

use std::path::PathBuf;
use std::time::Duration;

/// Settings of the embedded store. All are bounds; the defaults suit a server on one machine.
#[derive(Debug, Clone)]
pub struct Options {
    /// Pages kept in memory, bytes, for reading and for writes on their way.
    pub cache_bytes: usize,
    /// The journal's length, bytes: after so many the file itself is synced.
    pub journal_bytes: u64,
    /// Commits waiting for the disk, bytes; beyond it `commit` waits. At least one commit of any size always fits.
    pub queue_bytes: usize,
    /// Most commits written and synced together. At most 65,536: they share a version, and their order is 16 bits.
    pub group_commits: usize,
    /// A group is closed by the commit with which it reaches so many bytes.
    pub group_bytes: usize,
    /// Memory of what was written lately, bytes, to check reads against. If it is too small for
    /// [`crate::limits::SNAPSHOT_MILLIS`], read versions are too old sooner.
    pub window_bytes: usize,
    /// A snapshot ends after this time, since the file can't reuse the pages that it shows.
    pub snapshot_age: Duration,
    /// After a failed write commits are refused for so long; doubles with each failure in a row, up to 32 times.
    pub retry_after: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            cache_bytes: 16 << 20,
            journal_bytes: 16 << 20,
            queue_bytes: 32 << 20,
            group_commits: 1_024,
            group_bytes: 4 << 20,
            window_bytes: 4 << 20,
            snapshot_age: Duration::from_millis(crate::limits::SNAPSHOT_MILLIS),
            retry_after: Duration::from_millis(50),
        }
    }
}

/// Why a store could not be opened. Each names the file.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another store in this one, has it open. Stop that one, or choose another directory.
    #[error("{} is in use by another process", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The file holds something else. Nothing was changed.
    #[error("{} is not a Siltstone metadata store: {why}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// A store that a newer Siltstone wrote.
    #[error("{} has format {found}, but this program knows up to {known}: use a newer one", .path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format number.
        found: u64,
        /// Ours.
        known: u64,
    },
    /// The file is damaged. Restore it from a backup.
    #[error("{} is damaged: {why}", .path.display())]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What was found.
        why: String,
    },
    /// The operating system refused.
    #[error("{} can't be opened: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
}
