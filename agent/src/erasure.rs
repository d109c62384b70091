//! Asking for an erasure, and waiting until no agent serves its records any longer.
//!
//! Guarantees: once [`erase`] has returned, nobody is given such a record: this agent has folded the entries, and any other has done so too or, after
//! [`STALE_AFTER`], serves the shards no more (S6). Deliberately not here: the rewriting, which goes on behind it.

use bytes::Bytes;
use siltstone_log::{ErasureId, ErasureRow, PartitionId};
use siltstone_metadata::erase::{self, EraseError};
use siltstone_metadata::follow::STALE_AFTER;
use tokio::time::Instant;

use crate::engine::Engine;

/// Why it is not known that records are invisible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseKeysError {
    /// Nothing was asked for; or, where the store does not answer, perhaps it was.
    #[error(transparent)]
    Refused(#[from] EraseError),
    /// The request stands: only whether its records are invisible by now is not known.
    #[error(
        "Erasure {id} was asked for and goes on; whether its records are invisible yet is not known: {why}"
    )]
    GoesOn {
        /// Which erasure.
        id: ErasureId,
        /// What stood in the way.
        why: String,
    },
}

/// Asks for the erasure of all records of some keys, and waits until all agents know of it. With it, since when that is so, milliseconds since the Unix epoch.
///
/// # Errors
/// See [`EraseKeysError`].
pub async fn erase(
    engine: &Engine,
    topic: &str,
    keys: &[Bytes],
) -> Result<(ErasureId, ErasureRow, i64), EraseKeysError> {
    let (store, shards) = (engine.store().as_ref(), engine.followers().count());
    let (id, row) = erase::ask(store, engine.ambient(), shards, topic, keys).await?;
    let committed = Instant::now();
    let topic = row.topic;
    let goes_on = |why: String| EraseKeysError::GoesOn { id, why };
    // Consecutive partitions fall on consecutive shards: the first few stand for all.
    let first = (0..row.partitions.min(u32::from(shards))).map(|index| PartitionId { topic, index });
    // What is not followed is not served: it will be loaded as of a later time.
    engine.followers().settled(first).await.map_err(|error| goes_on(error.to_string()))?;
    if !engine.settings().exclusive {
        tokio::time::sleep_until(committed + STALE_AFTER).await;
    }
    let at = engine.ambient().clock.now();
    erase::note_invisible(store, id, at).await.map_err(|error| goes_on(error.to_string()))?;
    tracing::info!(topic = row.name, erasure = %id, keys = row.named, "records of keys are being erased");
    Ok((id, row, at))
}
