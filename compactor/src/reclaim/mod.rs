//! Reclaim: segments that nothing refers to become trash, and trash is deleted after a time of grace (design, section 7; S8).
//!
//! ```text
//! sweep   segment rows beside the uses of all shards: nobody uses it, and nobody will ▸ trash
//! empty   trash that is older than the grace ▸ objects deleted ▸ trash cleared
//! orphans ended registrations: objects under their names that were never published ▸ deleted, now and again after the grace
//! ```
//!
//! Nobody *will* use a flushed segment once the floors of its shards have passed its entry: every extent of it is in chunks by then, or
//! never will be. Nobody will use a merged one once it is concluded, or its writer's registration is over.
//! While an erasure searches for objects ([`crate::erase`]) nothing becomes trash and no trash is deleted, so that its receipt names them all; but not for
//! longer than an hour: where somebody asks for erasures all the time, receipts may lack what was garbage before it was looked at.
//! No clock tells the age of trash: the worker remembers which version it saw when, on its monotonic clock.

mod orphans;
pub(crate) mod sweep;
pub(crate) mod trash;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use siltstone_log::RegistrationId;
use siltstone_metadata::lease::Held;
use siltstone_objects::{DeleteError, StoreError as ListError};
use siltstone_store::{CommitError, StoreError, Version};
use tokio::time::Instant;

use crate::context::Context;

/// The search of an erasure holds up reclaim at most so long.
const HOLD: Duration = Duration::from_secs(3600);

/// Why a step of reclaim did not come to its end. The next pass goes on.
#[derive(Debug, thiserror::Error)]
pub enum ReclaimError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A transaction did not get through.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// Objects could not be deleted.
    #[error(transparent)]
    Delete(#[from] DeleteError),
    /// Objects could not be listed.
    #[error(transparent)]
    List(#[from] ListError),
    /// A row can't be read by this program.
    #[error("segment {segment}: {error}")]
    Format {
        /// Whose row.
        segment: String,
        /// What is wrong.
        error: String,
    },
    /// Somebody else reclaims by now.
    #[error("the lease is lost")]
    LeaseLost,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Segments that became trash.
    pub trashed: u64,
    /// Segments that were deleted.
    pub deleted: u64,
    /// Objects that were never published, deleted.
    pub orphans: u64,
}

/// What whoever holds the lease remembers.
#[derive(Debug, Default)]
pub struct Reclaimer {
    /// Versions of the store, and when they were seen.
    seen: VecDeque<(Instant, Version)>,
    /// Ended registrations that were looked through once, and when.
    ended: BTreeMap<RegistrationId, Instant>,
    /// When it last looked for what to throw away.
    thrown: Option<Instant>,
}

impl Reclaimer {
    /// One pass.
    ///
    /// # Errors
    /// See [`ReclaimError`].
    pub async fn pass(&mut self, cx: &Context, held: &Held) -> Result<Reclaimed, ReclaimError> {
        let snapshot = cx.store.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            *self = Reclaimer::default();
            return Err(ReclaimError::LeaseLost);
        }
        self.seen.push_back((Instant::now(), snapshot.version()));
        drop(snapshot);
        let (mut trashed, mut deleted) = (0, 0);
        let waited = self.thrown.get_or_insert_with(Instant::now).elapsed();
        if !cx.hiding().searches() || waited >= HOLD {
            self.thrown = Some(Instant::now());
            trashed = sweep::sweep(cx, held).await?;
            if let Some(version) = self.old_enough(cx) {
                deleted = trash::empty(cx, held, version).await?;
            }
        }
        let orphans = orphans::look(cx, held, &mut self.ended).await?;
        Ok(Reclaimed { trashed, deleted, orphans })
    }

    /// The newest version that was seen at least the time of grace ago.
    fn old_enough(&mut self, cx: &Context) -> Option<Version> {
        let due = |(at, _): &(Instant, Version)| at.elapsed() >= cx.settings.grace;
        while self.seen.len() > 1 && self.seen.get(1).is_some_and(due) {
            self.seen.pop_front();
        }
        self.seen.front().filter(|first| due(first)).map(|(_, version)| *version)
    }
}
