//! DescribeAcls, versions 1 to 3: answered as by a Kafka broker without an authorizer.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_acls::{Request, Response};

use super::context::Context;

/// What a client reads whoever asks for ACLs.
pub(super) const NO_AUTHORIZER: &str = "No Authorizer is configured.";

pub(super) async fn handle(_cx: &Context, _version: i16, _request: Request) -> Response {
    Response {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(NO_AUTHORIZER.to_owned()),
        ..Response::default()
    }
}
