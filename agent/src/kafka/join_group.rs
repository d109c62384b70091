//! JoinGroup, versions 0 to 9 (KIP-394: ids are required from 4 on; KIP-345: static members from 5 on; KIP-814: skipping from 9 on).

use siltstone_kafka::ErrorCode;
use siltstone_kafka::join_group::response::Member;
use siltstone_kafka::join_group::{Request, Response};
use siltstone_metadata::group::classic::{JoinRequest, Joined, Refusal};

use super::context::Context;
use super::errors;
use crate::group::{GroupError, Groups};

/// The first version in which a rebalance timeout is told.
const REBALANCE_TIMEOUT: i16 = 1;
/// The first version in which a new member is told its id and asks again.
const NEEDS_ID: i16 = 4;
/// The first version whose protocol name may be null.
const NULL_PROTOCOL: i16 = 7;
/// The first version in which a leader may be told to assign nothing.
const SKIPS: i16 = 9;
/// Bytes of the client id that a member id begins with, at most.
const NAMED: usize = 256;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let member = request.member_id.clone();
    match join(cx, version, request).await {
        Ok(joined) => answer(joined),
        Err(error) => {
            let required = match &error {
                GroupError::Refused(Refusal::MemberIdRequired(id)) => Some(id.clone()),
                _ => None,
            };
            refused(version, errors::group(&error), required.unwrap_or(member))
        }
    }
}

async fn join(cx: &Context, version: i16, request: Request) -> Result<Joined, GroupError> {
    Groups::check_member_id(&request.group_id)?;
    let config = cx.broker.broker_config();
    let session = u32::try_from(request.session_timeout_ms).map_err(|_| Refusal::InvalidSessionTimeout)?;
    let groups = &config.classic_groups;
    if !(groups.min_session_timeout_ms..=groups.max_session_timeout_ms).contains(&u64::from(session)) {
        return Err(Refusal::InvalidSessionTimeout.into());
    }
    let rebalance = match version {
        REBALANCE_TIMEOUT.. => u32::try_from(request.rebalance_timeout_ms).unwrap_or(session),
        _ => session,
    };
    let client_id = cx.client_id.clone().unwrap_or_default();
    let named = request.group_instance_id.as_ref().unwrap_or(&client_id);
    let named: String = named.chars().take(NAMED).collect();
    let chance = uuid::Uuid::from_u128(cx.engine().ambient().chance.next());
    let join = JoinRequest {
        member: request.member_id,
        new_id: format!("{named}-{chance}"),
        needs_id: version >= NEEDS_ID,
        can_skip: version >= SKIPS,
        instance: request.group_instance_id,
        client_id,
        client_host: format!("/{}", cx.peer.ip()),
        session_timeout_ms: session,
        rebalance_timeout_ms: rebalance,
        protocol_type: request.protocol_type,
        protocols: request.protocols.into_iter().map(|protocol| (protocol.name, protocol.metadata)).collect(),
    };
    cx.engine().groups().join(&config, &request.group_id, join).await
}

fn answer(joined: Joined) -> Response {
    let member = |(member_id, group_instance_id, metadata)| Member { member_id, group_instance_id, metadata };
    Response {
        generation_id: joined.generation,
        protocol_type: Some(joined.protocol_type),
        protocol_name: Some(joined.protocol.unwrap_or_default()),
        leader: joined.leader,
        skip_assignment: joined.skip_assignment,
        member_id: joined.member,
        members: joined.members.into_iter().map(member).collect(),
        ..Response::default()
    }
}

fn refused(version: i16, code: ErrorCode, member_id: String) -> Response {
    Response {
        error_code: code.code(),
        generation_id: -1,
        protocol_name: (version < NULL_PROTOCOL).then(String::new),
        member_id,
        ..Response::default()
    }
}
