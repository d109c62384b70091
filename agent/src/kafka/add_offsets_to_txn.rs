//! AddOffsetsToTxn, versions 0 to 4: a client of transaction version 1 says of which group it is going to commit offsets.

use siltstone_kafka::add_offsets_to_txn::{Request, Response};

use super::context::Context;
use super::errors;

/// The first version whose clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let Request { transactional_id: id, producer_id, producer_epoch, group_id } = request;
    let producer = (producer_id, producer_epoch);
    let added = match crate::group::Groups::check_id(&group_id) {
        Ok(()) => {
            let added = cx.engine().transactions().add_group(&id, producer, &group_id).await;
            added.map_err(|error| {
                tracing::debug!(id, %error, "a group was not added to a transaction");
                errors::transaction(&error, version >= KNOWS_FENCED)
            })
        }
        Err(error) => Err(errors::group(&error)),
    };
    Response { error_code: added.err().map_or(0, |code| code.code()), ..Response::default() }
}
