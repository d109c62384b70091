//! LeaveGroup, versions 0 to 5 (KIP-345: several members from 3 on).

use siltstone_kafka::leave_group::response::Member;
use siltstone_kafka::leave_group::{Request, Response};

use super::context::Context;
use super::errors;
use crate::group::{GroupError, Groups};

/// The first version with many members.
const BATCHED: i16 = 3;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let leavers = if version >= BATCHED {
        request.members.into_iter().map(|member| (member.member_id, member.group_instance_id)).collect()
    } else {
        vec![(request.member_id, None)]
    };
    let config = cx.broker.broker_config();
    let left = match Groups::check_member_id(&request.group_id) {
        Ok(()) => cx.engine().groups().leave(&config, &request.group_id, leavers.clone()).await,
        Err(error) => Err(error),
    };
    let codes: Vec<i16> = match left {
        Ok(left) => {
            let code =
                |left: Result<(), _>| left.err().map_or(0, |error| errors::classic_group(&error).code());
            left.into_iter().map(code).collect()
        }
        // Of a group that isn't there nobody is a member.
        Err(GroupError::Refused(refusal)) => vec![errors::classic_group(&refusal).code(); leavers.len()],
        Err(error) => return Response { error_code: errors::group(&error).code(), ..Response::default() },
    };
    if version < BATCHED {
        return Response { error_code: codes.first().copied().unwrap_or(0), ..Response::default() };
    }
    let member =
        |((member_id, group_instance_id), error_code)| Member { member_id, group_instance_id, error_code };
    Response { members: leavers.into_iter().zip(codes).map(member).collect(), ..Response::default() }
}
