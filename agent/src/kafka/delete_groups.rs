//! DeleteGroups, versions 0 to 2.

use std::collections::BTreeSet;

use siltstone_kafka::delete_groups::response::Group;
use siltstone_kafka::delete_groups::{Request, Response};

use super::context::Context;
use super::errors;
use crate::group::Groups;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let mut response = Response::default();
    // One that is named twice is answered once, as in Kafka.
    let mut told = BTreeSet::new();
    for group_id in request.groups_names {
        if !told.insert(group_id.clone()) {
            continue;
        }
        let deleted = match Groups::check_id(&group_id) {
            Ok(()) => cx.engine().groups().delete(&config, &group_id).await,
            Err(error) => Err(error),
        };
        let error_code = deleted.err().map_or(0, |error| errors::group(&error).code());
        response.results.push(Group { group_id, error_code });
    }
    response
}
