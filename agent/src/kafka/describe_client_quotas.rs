//! DescribeClientQuotas, versions 0 and 1: there are none.

use siltstone_kafka::describe_client_quotas::{Request, Response};

use super::context::Context;

pub(super) async fn handle(_cx: &Context, _version: i16, _request: Request) -> Response {
    Response { error_message: None, entries: Some(Vec::new()), ..Response::default() }
}
