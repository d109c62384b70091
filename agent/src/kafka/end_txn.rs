//! EndTxn, versions 0 to 5: commit or abort (KIP-98). From version 5 on the producer goes on with the epoch of the answer (KIP-890).

use siltstone_kafka::end_txn::{Request, Response};
use siltstone_metadata::transaction::EndRequest;

use super::context::Context;
use super::errors;

/// The first version that raises the epoch.
const RAISES: i16 = 5;
/// The first version whose clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let wanted = EndRequest {
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
        commit: request.committed,
        raises: version >= RAISES,
    };
    match cx.engine().transactions().end(&request.transactional_id, wanted).await {
        Ok((producer_id, producer_epoch)) => Response { producer_id, producer_epoch, ..Response::default() },
        Err(error) => {
            tracing::debug!(id = request.transactional_id, %error, "a transaction was not ended");
            let code = errors::transaction(&error, version >= KNOWS_FENCED);
            Response { error_code: code.code(), ..Response::default() }
        }
    }
}
