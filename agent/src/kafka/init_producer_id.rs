//! InitProducerId, versions 0 to 5: ids for idempotent and for transactional producers (KIP-98, KIP-360).
//!
//! Without a transactional id every request gets a new id, whatever id and epoch it comes with, as in Kafka: such a producer raises its
//! epoch by itself.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::init_producer_id::{Request, Response};
use siltstone_metadata::transaction::InitRequest;

use super::context::Context;
use super::errors;

/// The first version whose clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 4;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    match init(cx, version, &request).await {
        Ok((producer_id, producer_epoch)) => Response { producer_id, producer_epoch, ..Response::default() },
        Err(code) => Response { error_code: code.code(), producer_epoch: -1, ..Response::default() },
    }
}

async fn init(cx: &Context, version: i16, request: &Request) -> Result<(i64, i16), ErrorCode> {
    let given = (request.producer_id >= 0, request.producer_epoch >= 0);
    if given.0 != given.1 || request.producer_id < -1 || request.producer_epoch < -1 {
        return Err(ErrorCode::InvalidRequest);
    }
    let Some(id) = request.transactional_id.as_deref() else {
        let id = cx.engine().producer_id().await.map_err(|error| {
            tracing::warn!(%error, "no producer id");
            // Producers wait and ask again.
            ErrorCode::CoordinatorLoadInProgress
        })?;
        return Ok((id, 0));
    };
    let wanted = InitRequest {
        held: given.0.then_some((request.producer_id, request.producer_epoch)),
        timeout_ms: request.transaction_timeout_ms,
    };
    let config = cx.broker.broker_config();
    let done = cx.engine().transactions().init(&config, id, wanted).await;
    done.map_err(|error| {
        tracing::debug!(id, %error, "a transactional id was not initialized");
        errors::transaction(&error, version >= KNOWS_FENCED)
    })
}
