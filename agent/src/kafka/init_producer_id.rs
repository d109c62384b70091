//! InitProducerId, versions 0 to 5: ids for idempotent producers (KIP-98, KIP-360).
//!
//! Without a transactional id every request gets a new id, whatever id and epoch it comes with, as in Kafka: such a producer raises its
//! epoch by itself.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::init_producer_id::{Request, Response};

use super::context::Context;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    match init(cx, &request).await {
        Ok(producer_id) => Response { producer_id, ..Response::default() },
        Err(code) => Response { error_code: code.code(), producer_epoch: -1, ..Response::default() },
    }
}

async fn init(cx: &Context, request: &Request) -> Result<i64, ErrorCode> {
    let given = (request.producer_id >= 0, request.producer_epoch >= 0);
    if given.0 != given.1 || request.producer_id < -1 || request.producer_epoch < -1 {
        return Err(ErrorCode::InvalidRequest);
    }
    match request.transactional_id.as_deref() {
        None => {}
        Some("") => return Err(ErrorCode::InvalidRequest),
        // Final for every client, and at once; most other codes would be tried again for ever.
        Some(_) => return Err(ErrorCode::TransactionalIdAuthorizationFailed),
    }
    cx.engine().producer_id().await.map_err(|error| {
        tracing::warn!(%error, "no producer id");
        // Producers wait and ask again.
        ErrorCode::CoordinatorLoadInProgress
    })
}
