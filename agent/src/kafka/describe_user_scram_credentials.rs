//! DescribeUserScramCredentials, version 0: there are none, so every user that is asked for is unknown.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_user_scram_credentials::{Request, Response, request, response};

use super::context::Context;

pub(super) async fn handle(_cx: &Context, _version: i16, request: Request) -> Response {
    let unknown = |user: request::User| response::User {
        error_code: ErrorCode::ResourceNotFound.code(),
        error_message: Some(format!("There is no credential of user '{}'.", user.name)),
        user: user.name,
        credential_infos: Vec::new(),
    };
    Response {
        error_message: None,
        results: request.users.unwrap_or_default().into_iter().map(unknown).collect(),
        ..Response::default()
    }
}
