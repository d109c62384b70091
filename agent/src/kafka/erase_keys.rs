//! EraseKeys, version 0: our own. Erases all records of some keys of a topic for good.
//!
//! The answer comes once no agent serves them any longer ([`crate::erasure`]). The rewriting goes on behind it.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::erase_keys::{Request, Response};
use siltstone_log::{ErasureId, ErasureRow};

use super::context::Context;
use super::refused::Refused;
use super::topics;
use crate::erasure::{self, EraseKeysError};

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

async fn erase(cx: &Context, request: Request) -> Result<(ErasureId, ErasureRow, i64), Refused> {
    if request.keys.iter().any(|key| key.len() > MAX_KEY_BYTES) {
        return Err(Refused::new(ErrorCode::InvalidRequest, "A key is larger than any record's."));
    }
    erasure::erase(cx.engine(), &request.topic, &request.keys).await.map_err(|error| match error {
        EraseKeysError::Refused(error) => error.into(),
        EraseKeysError::GoesOn { .. } => Refused::new(ErrorCode::RequestTimedOut, error.to_string()),
    })
}
