//! FindCoordinator, versions 0 to 6 (KIP-699: many keys from 4 on). Every agent can coordinate; with one agent it is this one.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::find_coordinator::response::Coordinator;
use siltstone_kafka::find_coordinator::{Request, Response};

use super::context::Context;

/// The first version with many keys.
const BATCHED: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    if version >= BATCHED {
        let keys = request.coordinator_keys.into_iter();
        let coordinators = keys.map(|key| find(cx, request.key_type, key)).collect();
        return Response { coordinators, ..Response::default() };
    }
    let found = find(cx, request.key_type, request.key);
    Response {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Response::default()
    }
}

fn find(cx: &Context, kind: i8, key: String) -> Coordinator {
    if kind != GROUP && kind != TRANSACTION {
        return Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: ErrorCode::InvalidRequest.code(),
            error_message: Some(format!("there is no coordinator of type {kind} here")),
            ..Coordinator::default()
        };
    }
    let agent = cx.engine().registration();
    Coordinator {
        key,
        node_id: i32::try_from(agent.node).unwrap_or_default(),
        host: agent.host.clone(),
        port: i32::from(agent.port),
        ..Coordinator::default()
    }
}
