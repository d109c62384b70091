//! AlterClientQuotas, versions 0 and 1: refused, as a quota that nobody keeps would be a false promise.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::alter_client_quotas::{Request, Response, request, response};

use super::context::Context;

pub(super) async fn handle(_cx: &Context, _version: i16, request: Request) -> Response {
    let entity = |entity: request::Entity| response::Entity {
        entity_type: entity.entity_type,
        entity_name: entity.entity_name,
    };
    let entry = |entry: request::Entry| response::Entry {
        error_code: ErrorCode::InvalidRequest.code(),
        error_message: Some("Quotas are not supported by this server.".to_owned()),
        entity: entry.entity.into_iter().map(entity).collect(),
    };
    Response { entries: request.entries.into_iter().map(entry).collect(), ..Response::default() }
}
