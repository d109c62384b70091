//! Whether metadata and bucket agree: what is missing, what is left over, what does not match (`siltstone fsck`).
//!
//! ```text
//! look:  shards (log, rows, chunks, counts) ▸ segments (rows, trash, inline parts) ▸ bucket ▸ with `deep` every block and batch
//!        readers move bytes ▸ checks (pure) ▸ findings
//! run:   a look; what it found is looked for once more, and only what both saw is told
//! ```
//!
//! So it may run beside servers and compactors without crying wolf: what changes meanwhile differs between two looks. It changes nothing but
//! by [`repair`], and that never touches what anything refers to. Memory: some 200 bytes for each segment that is in use, whatever their
//! size, and with `deep` some 30 MB more.
//!
//! Not checked: groups, transactional ids and the catalog beyond what is needed to read topics; shard heads beyond that they can be read.

mod bucket;
pub mod checks;
mod deep;
mod erasures;
pub mod finding;
mod look;
mod read;
pub mod repair;
pub mod report;
pub mod segment_checks;
mod segments;
mod shards;

use std::collections::BTreeSet;
use std::time::Duration;

use siltstone_metadata::catalog::CatalogReadError;
use siltstone_objects::{ReadError, StoreError as ListError};
use siltstone_store::{CommitError, StoreError};

use crate::context::Context;
use finding::Finding;
use look::Look;
use report::Report;

/// How it is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Reads every segment, too.
    pub deep: bool,
    /// Between two looks, if the first one found something.
    pub pause: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Options { deep: false, pause: Duration::from_secs(2) }
    }
}

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
pub enum FsckError {
    /// The metadata store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog can't be read.
    #[error(transparent)]
    Catalog(#[from] CatalogReadError),
    /// The bucket can't be listed.
    #[error(transparent)]
    List(#[from] ListError),
    /// An object can't be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A repair did not get through.
    #[error("a repair was not done: {0}")]
    Commit(#[from] CommitError),
}

/// Is told how it gets on.
pub trait Watcher: Send + Sync {
    /// A part of the work begins; `total`: of how many steps, if that is known.
    fn begin(&self, what: &str, total: Option<u64>);
    /// So many steps are done.
    fn advance(&self, steps: u64);
}

/// Tells nobody.
#[derive(Debug, Clone, Copy)]
pub struct Unwatched;

impl Watcher for Unwatched {
    fn begin(&self, _: &str, _: Option<u64>) {}
    fn advance(&self, _: u64) {}
}

/// Checks a cluster. `cx`: of a registration that needn't exist.
///
/// # Errors
/// See [`FsckError`]: something could not be read at all, so that nothing can be said.
pub async fn fsck(cx: &Context, options: Options, watcher: &dyn Watcher) -> Result<Report, FsckError> {
    let mut first = Look::new(cx, watcher).await?;
    first.fast().await?;
    if options.deep {
        first.deep(None).await?;
    }
    let (mut found, checked) = first.end();
    if !found.is_empty() {
        tokio::time::sleep(options.pause).await;
        let segments: BTreeSet<_> = found.iter().filter_map(|finding| finding.place.segment).collect();
        let mut second = Look::new(cx, watcher).await?;
        second.fast().await?;
        if options.deep {
            second.deep(Some(&segments)).await?;
        }
        let again: BTreeSet<_> = second.end().0.iter().map(Finding::key).collect();
        found.retain(|finding| again.contains(&finding.key()));
    }
    Report::new(cx, found, checked).await
}
