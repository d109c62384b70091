use siltstone_kafka::describe_topic_partitions::{Request, Response};

use super::context::Context;

pub(super) async fn handle(_cx: &Context, _version: i16, _request: Request) -> Response {
    Response::default()
}
