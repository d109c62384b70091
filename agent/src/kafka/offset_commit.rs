//! OffsetCommit, versions 2 to 10 (topics by id from 10 on).

use siltstone_kafka::ErrorCode;
use siltstone_kafka::offset_commit::request::Partition as Wanted;
use siltstone_kafka::offset_commit::response::{Partition, Topic};
use siltstone_kafka::offset_commit::{Request, Response};
use siltstone_log::OffsetRow;

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use crate::group::{Groups, NewOffset, OffsetCommitter};

/// The first version that names topics by id.
const BY_ID: i16 = 10;
/// The last version in which the committer says how long offsets are kept.
const LAST_RETENTION: i16 = 4;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let now = cx.engine().ambient().clock.now();
    let retention = Some(request.retention_time_ms).filter(|ms| version <= LAST_RETENTION && *ms >= 0);
    let mut topics = Topics::new(cx);
    let mut offsets = Vec::new();
    let mut answer = Response::default();
    // Which answers stand and fall with the commit.
    let mut open = Vec::new();
    for topic in request.topics {
        let key = TopicKey::new(version >= BY_ID, &topic.name, topic.topic_id);
        let mut told = Topic { name: topic.name, topic_id: topic.topic_id, partitions: Vec::new() };
        for wanted in topic.partitions {
            let index = wanted.partition_index;
            let checked = check(wanted, config.offsets.metadata_max_bytes as usize, now, retention);
            let place = match checked {
                Ok(row) => {
                    topics.partition(&key, index).await.map(|(_, partition)| NewOffset { partition, row })
                }
                Err(code) => Err(code),
            };
            let error_code = place.as_ref().err().map_or(0, |code| code.code());
            if let Ok(offset) = place {
                open.push((answer.topics.len(), told.partitions.len()));
                offsets.push(offset);
            }
            told.partitions.push(Partition { partition_index: index, error_code });
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
        Ok(()) => cx.engine().groups().commit(&config, &request.group_id, who, offsets).await,
        Err(error) => Err(error),
    };
    if let Err(error) = committed {
        let code = errors::group(&error).code();
        for (topic, partition) in open {
            answer.topics[topic].partitions[partition].error_code = code;
        }
    }
    answer
}

fn check(wanted: Wanted, most: usize, now: i64, retention: Option<i64>) -> Result<OffsetRow, ErrorCode> {
    let metadata = wanted.committed_metadata.unwrap_or_default();
    if metadata.len() > most {
        return Err(ErrorCode::OffsetMetadataTooLarge);
    }
    Ok(OffsetRow {
        offset: wanted.committed_offset,
        leader_epoch: wanted.committed_leader_epoch,
        committed: now,
        expires: retention.map(|ms| now.saturating_add(ms)),
        metadata,
    })
}
