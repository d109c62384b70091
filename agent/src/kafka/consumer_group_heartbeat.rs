//! ConsumerGroupHeartbeat, versions 0 and 1 (KIP-848): a member of the consumer protocol joins, lives and leaves. From version 1 on its client draws
//! its id, and it may subscribe with a regular expression.

use std::collections::BTreeSet;

use siltstone_kafka::consumer_group_heartbeat::{Request, Response, request, response};
use siltstone_log::{Partitions, TopicId};
use siltstone_metadata::group::consumer::{HeartbeatAnswer, HeartbeatRequest};

use super::context::Context;
use super::errors;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let group = request.group_id.clone();
    let beat = heartbeat(request, cx.client_id.clone(), format!("/{}", cx.peer.ip()));
    // Copied only where somebody wants to see it: every member sends one every few seconds.
    let shown = tracing::enabled!(tracing::Level::DEBUG).then(|| beat.clone());
    let answer = cx.engine().groups().consumer_heartbeat(&config, &group, version, beat).await;
    if let Some(HeartbeatRequest { member, epoch, owned, .. }) = shown {
        tracing::debug!(%group, %member, epoch, ?owned, ?answer, "heartbeat");
    }
    match answer {
        Ok(answer) => told(answer),
        Err(error) => Response {
            error_code: errors::group(&error).code(),
            error_message: Some(error.to_string()),
            ..Response::default()
        },
    }
}

fn heartbeat(request: Request, client_id: Option<String>, client_host: String) -> HeartbeatRequest {
    HeartbeatRequest {
        member: request.member_id,
        epoch: request.member_epoch,
        instance: request.instance_id,
        rack: request.rack_id,
        rebalance_timeout_ms: Some(request.rebalance_timeout_ms).filter(|timeout| *timeout != -1),
        topics: request.subscribed_topic_names,
        regex: request.subscribed_topic_regex,
        assignor: request.server_assignor,
        owned: request.topic_partitions.map(owned),
        client_id: client_id.unwrap_or_default(),
        client_host,
    }
}

/// Numbers that no partition has are nobody's.
fn owned(topics: Vec<request::TopicPartitions>) -> Partitions {
    let mut all = Partitions::new();
    for topic in topics {
        let indices: BTreeSet<u32> =
            topic.partitions.iter().filter_map(|index| u32::try_from(*index).ok()).collect();
        if !indices.is_empty() {
            all.entry(TopicId(topic.topic_id.as_u128())).or_default().extend(indices);
        }
    }
    all
}

fn told(answer: HeartbeatAnswer) -> Response {
    let topics = |(topic, indices): (TopicId, BTreeSet<u32>)| response::TopicPartitions {
        topic_id: topic.uuid(),
        partitions: indices.into_iter().filter_map(|index| i32::try_from(index).ok()).collect(),
    };
    let assignment = answer.assignment.map(|assignment| response::Assignment {
        topic_partitions: assignment.into_iter().map(topics).collect(),
    });
    Response {
        member_id: Some(answer.member),
        member_epoch: answer.epoch,
        heartbeat_interval_ms: answer.interval_ms,
        assignment,
        ..Response::default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_a_request_leaves_out_is_left_as_it_was() {
        let request = Request { member_id: "m".into(), member_epoch: 3, ..Request::default() };
        let beat = heartbeat(request, None, "/10.0.0.1".into());
        let bare = HeartbeatRequest { member: "m".into(), epoch: 3, ..HeartbeatRequest::default() };
        assert_eq!(beat, HeartbeatRequest { client_host: "/10.0.0.1".into(), ..bare });
    }

    #[test]
    fn partitions_pass_through_in_both_directions() {
        let topic = TopicId(77).uuid();
        let request = Request {
            topic_partitions: Some(vec![
                request::TopicPartitions { topic_id: topic, partitions: vec![2, 0, -1] },
                request::TopicPartitions { topic_id: TopicId(5).uuid(), partitions: vec![] },
            ]),
            rebalance_timeout_ms: 0,
            ..Request::default()
        };
        let beat = heartbeat(request, Some("c".into()), String::new());
        assert_eq!(beat.owned, Some(Partitions::from([(TopicId(77), BTreeSet::from([0, 2]))])));
        assert_eq!(beat.rebalance_timeout_ms, Some(0));
        let answer =
            HeartbeatAnswer { member: "m".into(), epoch: 4, interval_ms: 5000, assignment: beat.owned };
        let response = told(answer);
        let expected = response::TopicPartitions { topic_id: topic, partitions: vec![0, 2] };
        assert_eq!(response.assignment.unwrap().topic_partitions, [expected]);
        assert_eq!((response.error_code, response.member_epoch), (0, 4));
    }
}
