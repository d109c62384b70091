//! ConsumerGroupDescribe, versions 0 and 1 (KIP-848): groups of the consumer protocol, with their members' assignments and targets. From version 1 on it
//! tells members of the classic protocol from the others.

use std::collections::BTreeSet;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::consumer_group_describe::response::{Assignment, Group, Member, TopicPartitions};
use siltstone_kafka::consumer_group_describe::{Request, Response};
use siltstone_log::Partitions;
use siltstone_metadata::catalog::CatalogState;
use siltstone_metadata::group::consumer::{MemberView, View};

use super::context::Context;
use super::errors;
use crate::group::GroupError;

const CLASSIC: i8 = 0;
const CONSUMER: i8 = 1;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let catalog = cx.engine().catalog().state();
    let mut asked = BTreeSet::new();
    let mut ids = request.group_ids;
    // Each once; those that can't be, first, as in Kafka.
    ids.retain(|id| asked.insert(id.clone()));
    ids.sort_by_key(|id| !id.is_empty());
    let mut groups = Vec::with_capacity(ids.len());
    for id in ids {
        let view = if id.is_empty() {
            Err(GroupError::InvalidId)
        } else {
            cx.engine().groups().describe_consumer(&config, &id).await
        };
        groups.push(match view {
            Ok(view) => described(id, view, &catalog),
            Err(error) => Group {
                group_id: id,
                error_code: errors::group(&error).code(),
                error_message: Some(error.to_string()),
                ..Group::default()
            },
        });
    }
    Response { groups, ..Response::default() }
}

fn described(id: String, view: View, catalog: &CatalogState) -> Group {
    Group {
        error_code: ErrorCode::None.code(),
        error_message: None,
        group_id: id,
        group_state: view.state.name().to_owned(),
        group_epoch: view.epoch,
        assignment_epoch: view.assignment_epoch,
        assignor_name: view.assignor.to_owned(),
        members: view.members.into_iter().map(|view| member(view, catalog)).collect(),
        ..Group::default()
    }
}

fn member(view: MemberView, catalog: &CatalogState) -> Member {
    Member {
        member_id: view.member,
        instance_id: view.instance,
        rack_id: view.rack,
        member_epoch: view.epoch,
        client_id: view.client_id,
        client_host: view.client_host,
        subscribed_topic_names: view.topics,
        // As Kafka has it: none is an empty one.
        subscribed_topic_regex: Some(view.regex.unwrap_or_default()),
        assignment: assignment(&view.assigned, catalog),
        target_assignment: assignment(&view.target, catalog),
        member_type: if view.classic { CLASSIC } else { CONSUMER },
    }
}

/// Topics that are gone are left out.
fn assignment(partitions: &Partitions, catalog: &CatalogState) -> Assignment {
    let topics = partitions.iter().filter_map(|(id, indices)| {
        Some(TopicPartitions {
            topic_id: id.uuid(),
            topic_name: catalog.by_id(*id)?.name.clone(),
            partitions: indices.iter().filter_map(|index| i32::try_from(*index).ok()).collect(),
        })
    });
    Assignment { topic_partitions: topics.collect() }
}
