//! SyncGroup, versions 0 to 5.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::sync_group::{Request, Response};
use siltstone_metadata::group::classic::{SyncRequest, Synced};

use super::context::Context;
use super::errors;
use crate::group::{GroupError, Groups};

/// The first version that tells protocol type and name.
const NAMES_PROTOCOL: i16 = 5;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    // From this version on both must be told.
    let named = request.protocol_type.is_some() && request.protocol_name.is_some();
    if version >= NAMES_PROTOCOL && !named {
        return Response { error_code: ErrorCode::InconsistentGroupProtocol.code(), ..Response::default() };
    }
    match sync(cx, request).await {
        Ok(synced) => Response {
            protocol_type: Some(synced.protocol_type),
            protocol_name: synced.protocol,
            assignment: synced.assignment,
            ..Response::default()
        },
        Err(error) => Response { error_code: errors::group(&error).code(), ..Response::default() },
    }
}

async fn sync(cx: &Context, request: Request) -> Result<Synced, GroupError> {
    Groups::check_member_id(&request.group_id)?;
    let assignments = request.assignments.into_iter();
    let sync = SyncRequest {
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: assignments.map(|assignment| (assignment.member_id, assignment.assignment)).collect(),
    };
    cx.engine().groups().sync(&cx.broker.broker_config(), &request.group_id, sync).await
}
