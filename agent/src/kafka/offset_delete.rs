//! OffsetDelete, version 0 (KIP-496).

use siltstone_kafka::ErrorCode;
use siltstone_kafka::offset_delete::response::{Partition, Topic};
use siltstone_kafka::offset_delete::{Request, Response};

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use crate::group::{GroupError, Groups};

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let mut response = Response::default();
    let (mut partitions, mut open) = (Vec::new(), Vec::new());
    for topic in request.topics {
        let key = TopicKey::Name(topic.name.as_str().into());
        let mut told = Topic { name: topic.name.clone(), partitions: Vec::new() };
        for wanted in topic.partitions {
            let place = topics.partition(&key, wanted.partition_index).await;
            let error_code = place.as_ref().err().map_or(0, |code: &ErrorCode| code.code());
            if let Ok((_, partition)) = place {
                open.push((response.topics.len(), told.partitions.len()));
                partitions.push((topic.name.clone(), partition));
            }
            told.partitions.push(Partition { partition_index: wanted.partition_index, error_code });
        }
        response.topics.push(told);
    }
    let config = cx.broker.broker_config();
    let deleted = match Groups::check_member_id(&request.group_id) {
        Ok(()) => cx.engine().groups().delete_offsets(&config, &request.group_id, partitions).await,
        Err(error) => Err(error),
    };
    match deleted {
        Err(error) => Response { error_code: errors::group(&error).code(), ..Response::default() },
        Ok(results) => {
            for ((topic, partition), result) in open.into_iter().zip(results) {
                let code = result.err().map_or(0, |error: GroupError| errors::group(&error).code());
                response.topics[topic].partitions[partition].error_code = code;
            }
            response
        }
    }
}
