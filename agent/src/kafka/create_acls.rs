//! CreateAcls, versions 1 to 3: answered as by a Kafka broker without an authorizer.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::create_acls::{Request, Response, response};

use super::context::Context;
use super::describe_acls::NO_AUTHORIZER;

pub(super) async fn handle(_cx: &Context, _version: i16, request: Request) -> Response {
    let result = |_| response::AclResult {
        error_code: ErrorCode::SecurityDisabled.code(),
        error_message: Some(NO_AUTHORIZER.to_owned()),
    };
    Response { results: request.creations.iter().map(result).collect(), ..Response::default() }
}
