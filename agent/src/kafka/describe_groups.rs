//! DescribeGroups, versions 0 to 6 (KIP-1043: a group that isn't there is an error from 6 on).

use siltstone_kafka::describe_groups::response::{Group, Member};
use siltstone_kafka::describe_groups::{Request, Response};
use siltstone_metadata::group::classic::{MemberView, View};

use super::context::Context;
use super::errors;
use crate::group::{GroupError, Groups};

/// The first version in which a group that isn't there is an error.
const NOT_FOUND: i16 = 6;
/// Everything that may be done to a group: read, delete, describe, describe and alter its configs, as bits of their codes.
const ALL_OPERATIONS: i32 = 1 << 3 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 11;
/// Not asked for.
const UNSAID: i32 = i32::MIN;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let authorized_operations = if request.include_authorized_operations { ALL_OPERATIONS } else { UNSAID };
    let mut response = Response::default();
    for group_id in request.groups {
        let described = match Groups::check_id(&group_id) {
            Ok(()) => cx.engine().groups().describe(&cx.broker.broker_config(), &group_id).await,
            Err(error) => Err(error),
        };
        let group = match described {
            Ok(view) => Group { authorized_operations, ..shown(group_id, view) },
            Err(error) => refused(version, group_id, &error),
        };
        response.groups.push(group);
    }
    response
}

fn shown(group_id: String, view: View) -> Group {
    let member = |member: MemberView| Member {
        member_id: member.id,
        group_instance_id: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        member_metadata: member.metadata,
        member_assignment: member.assignment,
    };
    Group {
        group_id,
        group_state: view.state.to_owned(),
        protocol_type: view.protocol_type,
        protocol_data: view.protocol,
        members: view.members.into_iter().map(member).collect(),
        ..Group::default()
    }
}

fn refused(version: i16, group_id: String, error: &GroupError) -> Group {
    let dead = Group { authorized_operations: UNSAID, ..Group::default() };
    match error {
        GroupError::NotFound(_) if version < NOT_FOUND => {
            Group { group_id, group_state: "Dead".into(), ..dead }
        }
        GroupError::NotFound(_) => Group {
            error_code: errors::group(error).code(),
            error_message: Some(format!("Group {group_id} not found.")),
            group_id,
            group_state: "Dead".into(),
            ..dead
        },
        _ => Group { error_code: errors::group(error).code(), group_id, ..dead },
    }
}
