//! ForgetErasure, version 0: our own. Drops the receipt of an erasure that is completed.

use siltstone_kafka::forget_erasure::{Request, Response};
use siltstone_log::ErasureId;
use siltstone_metadata::erase;

use super::context::Context;
use super::refused::{Refused, outcome};

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let id = ErasureId(request.erasure_id.as_u128());
    let forgotten = erase::forget(cx.engine().store().as_ref(), id).await.map_err(Refused::from);
    let (error_code, error_message) = outcome(&forgotten);
    Response { error_code, error_message, ..Response::default() }
}
