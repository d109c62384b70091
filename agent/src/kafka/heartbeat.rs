//! Heartbeat, versions 0 to 4.

use siltstone_kafka::heartbeat::{Request, Response};

use super::context::Context;
use super::errors;
use crate::group::Groups;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let Request { group_id, generation_id, member_id, group_instance_id } = request;
    let (config, groups) = (cx.broker.broker_config(), cx.engine().groups());
    let beat = match Groups::check_member_id(&group_id) {
        Ok(()) => groups.heartbeat(&config, &group_id, member_id, group_instance_id, generation_id).await,
        Err(error) => Err(error),
    };
    let error_code = beat.err().map_or(0, |error| errors::group(&error).code());
    Response { error_code, ..Response::default() }
}
