//! ListGroups, versions 0 to 5 (states from 4 on, types from 5 on).

use siltstone_kafka::list_groups::response::Group;
use siltstone_kafka::list_groups::{Request, Response};

use super::context::Context;
use super::errors;
use crate::group::Listed;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let Request { states_filter, types_filter } = request;
    let among = |filter: &[String], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    match cx.engine().groups().list().await {
        Ok(groups) => {
            let wanted =
                |listed: &Listed| among(&states_filter, listed.state) && among(&types_filter, listed.kind);
            let group = |listed: Listed| Group {
                group_id: listed.group,
                protocol_type: listed.protocol_type,
                group_state: listed.state.to_owned(),
                group_type: listed.kind.to_owned(),
            };
            let groups = groups.into_iter().filter(wanted).map(group).collect();
            Response { groups, ..Response::default() }
        }
        Err(error) => Response { error_code: errors::group(&error).code(), ..Response::default() },
    }
}
