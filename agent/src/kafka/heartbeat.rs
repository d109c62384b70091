//! Heartbeat, versions 0 to 4.

use siltstone_kafka::heartbeat::{Request, Response};

use super::context::Context;
use super::errors;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let Request { group_id, generation_id, member_id, group_instance_id } = request;
    let config = cx.broker.broker_config();
    let groups = cx.engine().groups();
    let beat = groups.heartbeat(&config, &group_id, member_id, group_instance_id, generation_id).await;
    let error_code = beat.err().map_or(0, |error| errors::group(&error).code());
    Response { error_code, ..Response::default() }
}
