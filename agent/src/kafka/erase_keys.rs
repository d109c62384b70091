//! EraseKeys, version 0: our own. Erases all records of some keys of a topic for good.
//!
//! The answer comes once no agent serves them any longer: this one has folded the entries, and any other has done so too or, after
//! [`STALE_AFTER`], serves the shards no more (S6). The rewriting goes on behind it.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::erase_keys::{Request, Response};
use siltstone_log::{ErasureId, ErasureRow, PartitionId};
use siltstone_metadata::erase;
use siltstone_metadata::follow::STALE_AFTER;
use tokio::time::Instant;

use super::context::Context;
use super::refused::Refused;
use super::topics;

/// Larger keys can't have been produced: a request that held one would be refused.
const MAX_KEY_BYTES: usize = 4 << 20;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let deadline = topics::deadline(request.timeout_ms);
    let asked = tokio::time::timeout_at(deadline, erase(cx, request)).await;
    match asked.unwrap_or_else(|_| Err(Refused::late())) {
        Ok((id, row, at)) => Response {
            erasure_id: id.uuid(),
            requested_at: row.requested,
            invisible_at: at,
            ..Response::default()
        },
        Err(refused) => Response {
            error_code: refused.code.code(),
            error_message: Some(refused.message),
            ..Response::default()
        },
    }
}

/// Asks for the erasure, and waits until all agents know of it.
async fn erase(cx: &Context, request: Request) -> Result<(ErasureId, ErasureRow, i64), Refused> {
    if request.keys.iter().any(|key| key.len() > MAX_KEY_BYTES) {
        return Err(Refused::new(ErrorCode::InvalidRequest, "A key is larger than any record's."));
    }
    let engine = cx.engine();
    let (store, shards) = (engine.store().as_ref(), engine.followers().count());
    let (id, row) = erase::ask(store, engine.ambient(), shards, &request.topic, &request.keys).await?;
    let committed = Instant::now();
    let topic = row.topic;
    // Consecutive partitions fall on consecutive shards: the first few stand for all.
    let first = (0..row.partitions.min(u32::from(shards))).map(|index| PartitionId { topic, index });
    let fresh = engine.followers().fresh(first).await;
    fresh.map_err(|error| asked_all_the_same(id, &error))?;
    if !engine.settings().exclusive {
        tokio::time::sleep_until(committed + STALE_AFTER).await;
    }
    let at = engine.ambient().clock.now();
    erase::note_invisible(store, id, at).await.map_err(|error| asked_all_the_same(id, &error))?;
    tracing::info!(topic = row.name, erasure = %id, keys = row.named, "records of keys are being erased");
    Ok((id, row, at))
}

/// The request stands: only whether the records are invisible by now is not known.
fn asked_all_the_same(id: ErasureId, error: &dyn std::fmt::Display) -> Refused {
    let message = format!(
        "Erasure {id} was asked for and goes on; whether its records are invisible yet is not known: {error}"
    );
    Refused::new(ErrorCode::RequestTimedOut, message)
}
