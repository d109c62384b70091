//! FindCoordinator, versions 0 to 6 (KIP-699: many keys from 4 on).
//!
//! A group's coordinator is the agent that holds its lease; while nobody that lives does, the one that all agents agree on should take
//! it. For transactions any agent will do: one that all agree on, so that a transactional id stays where it is.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::find_coordinator::response::Coordinator;
use siltstone_kafka::find_coordinator::{Request, Response};
use siltstone_log::RegistrationRow;
use siltstone_metadata::lease;
use siltstone_store::StoreError;

use super::context::Context;
use super::topics;
use crate::placement::{self, Broker};

/// The first version with many keys.
const BATCHED: i16 = 4;
const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    if version >= BATCHED {
        let mut coordinators = Vec::with_capacity(request.coordinator_keys.len());
        for key in request.coordinator_keys {
            coordinators.push(find(cx, request.key_type, key).await);
        }
        return Response { coordinators, ..Response::default() };
    }
    let found = find(cx, request.key_type, request.key).await;
    Response {
        error_code: found.error_code,
        error_message: found.error_message,
        node_id: found.node_id,
        host: found.host,
        port: found.port,
        ..Response::default()
    }
}

async fn find(cx: &Context, kind: i8, key: String) -> Coordinator {
    let placement = topics::placement(cx);
    let row = match kind {
        // Alone, it is clear who.
        GROUP if cx.engine().agents().len() > 1 => match holder(cx, &key).await {
            Ok(holder) => holder,
            Err(error) => {
                tracing::debug!(%error, "the coordinator of a group can't be looked up");
                return refuse(key, ErrorCode::CoordinatorNotAvailable, None);
            }
        },
        GROUP | TRANSACTION => None,
        _ => {
            let why = format!("there is no coordinator of type {kind} here");
            return refuse(key, ErrorCode::InvalidRequest, Some(why));
        }
    };
    let found = match row {
        Some(row) => placement::broker(&row, &cx.listener),
        None => placement.coordinator(&key).cloned(),
    };
    // Who has it may be out of reach through this listener.
    let Some(Broker { node, host, port, .. }) = found else {
        return refuse(key, ErrorCode::CoordinatorNotAvailable, None);
    };
    Coordinator { key, node_id: node, host, port: i32::from(port), ..Coordinator::default() }
}

/// The agent that coordinates the group and lives.
async fn holder(cx: &Context, group: &str) -> Result<Option<RegistrationRow>, StoreError> {
    let snapshot = cx.engine().store().snapshot().await?;
    lease::coordinator_row(snapshot.as_ref(), group).await
}

fn refuse(key: String, code: ErrorCode, error_message: Option<String>) -> Coordinator {
    let error_code = code.code();
    Coordinator { key, node_id: -1, port: -1, error_code, error_message, ..Coordinator::default() }
}
