//! OffsetCommit, versions 2 to 10 (topics by id from 10 on).

use siltstone_kafka::offset_commit::response::{Partition, Topic};
use siltstone_kafka::offset_commit::{Request, Response};

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use super::offered_offsets::{Offered, OfferedOffsets};
use crate::group::{Groups, OffsetCommitter};

/// The first version that names topics by id.
const BY_ID: i16 = 10;
/// The last version in which the committer says how long offsets are kept.
const LAST_RETENTION: i16 = 4;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let retention = Some(request.retention_time_ms).filter(|ms| version <= LAST_RETENTION && *ms >= 0);
    let mut all = OfferedOffsets::new(cx, retention);
    let mut topics = Topics::new(cx);
    let mut answer = Response::default();
    for topic in request.topics {
        let key = TopicKey::new(version >= BY_ID, &topic.name, topic.topic_id);
        let mut told = Topic { name: topic.name, topic_id: topic.topic_id, partitions: Vec::new() };
        for wanted in topic.partitions {
            let partition_index = wanted.partition_index;
            let offered = Offered {
                partition_index,
                offset: wanted.committed_offset,
                leader_epoch: wanted.committed_leader_epoch,
                metadata: wanted.committed_metadata,
            };
            let place = (answer.topics.len(), told.partitions.len());
            let error_code = all.take(&mut topics, &key, offered, place).await;
            told.partitions.push(Partition { partition_index, error_code });
        }
        answer.topics.push(told);
    }
    let who = OffsetCommitter {
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id_or_member_epoch,
        version,
    };
    let committed = match Groups::check_id(&request.group_id) {
        Ok(()) => cx.engine().groups().commit(&config, &request.group_id, who, all.offsets).await,
        Err(error) => Err(error),
    };
    if let Err(error) = committed {
        let code = errors::group(&error).code();
        for (topic, partition) in all.open {
            answer.topics[topic].partitions[partition].error_code = code;
        }
    }
    answer
}
