//! OffsetFetch, versions 1 to 10 (many groups from 8 on, topics by id from 10 on).
//!
//! Answered from the store, by any agent, whoever coordinates the group (design, section 6); a request in a member's name only by the group's
//! coordinator, which knows whether the member is still one.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::offset_fetch::request::{Group as Wanted, GroupTopic as WantedTopic};
use siltstone_kafka::offset_fetch::response::{Group, GroupPartition, GroupTopic, Partition, Topic};
use siltstone_kafka::offset_fetch::{Request, Response};
use siltstone_log::{PartitionId, TopicId};

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use crate::group::{CommittedOffset, GroupError, Groups};

/// The first version with many groups.
const BATCHED: i16 = 8;
/// The first version that names topics by id.
const BY_ID: i16 = 10;
/// The first version whose answer has an error code of its own.
const TOP_LEVEL: i16 = 2;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let stable = request.require_stable;
    if version >= BATCHED {
        let mut response = Response::default();
        for wanted in request.groups {
            response.groups.push(group(cx, version, wanted, stable).await);
        }
        return response;
    }
    let named = |topic: siltstone_kafka::offset_fetch::request::Topic| WantedTopic {
        name: topic.name,
        partition_indexes: topic.partition_indexes,
        ..WantedTopic::default()
    };
    let topics = request.topics.map(|topics| topics.into_iter().map(named).collect());
    let wanted = Wanted { group_id: request.group_id, topics, ..Wanted::default() };
    let found = group(cx, version, wanted, stable).await;
    single(version, found)
}

/// The answer of versions with one group.
fn single(version: i16, found: Group) -> Response {
    let code = found.error_code;
    let partition = |partition: GroupPartition| Partition {
        partition_index: partition.partition_index,
        committed_offset: partition.committed_offset,
        committed_leader_epoch: partition.committed_leader_epoch,
        metadata: partition.metadata,
        error_code: if version < TOP_LEVEL && code != 0 { code } else { partition.error_code },
    };
    let topic = |topic: GroupTopic| Topic {
        name: topic.name,
        partitions: topic.partitions.into_iter().map(partition).collect(),
    };
    Response {
        topics: found.topics.into_iter().map(topic).collect(),
        error_code: code,
        ..Response::default()
    }
}

async fn group(cx: &Context, version: i16, wanted: Wanted, stable: bool) -> Group {
    let Wanted { group_id, topics, member_id, member_epoch } = wanted;
    let named = topics.clone();
    let found = match may(cx, &group_id, member_id, member_epoch).await {
        Err(error) => Err(error),
        Ok(()) => match topics {
            None => all(cx, &group_id, stable).await,
            Some(topics) => some(cx, version, &group_id, topics, stable).await,
        },
    };
    match found {
        Ok(topics) => Group { group_id, topics, error_code: 0 },
        Err(error) => {
            let code = errors::group(&error);
            // Old clients look for the error at each partition.
            let topics =
                named.filter(|_| version < TOP_LEVEL).into_iter().flatten().map(|topic| GroupTopic {
                    name: topic.name,
                    topic_id: topic.topic_id,
                    partitions: topic
                        .partition_indexes
                        .into_iter()
                        .map(|index| refused(index, code))
                        .collect(),
                });
            Group { group_id, topics: topics.collect(), error_code: code.code() }
        }
    }
}

async fn may(cx: &Context, group: &str, member: Option<String>, epoch: i32) -> Result<(), GroupError> {
    Groups::check_id(group)?;
    cx.engine().groups().may_fetch(&cx.broker.broker_config(), group, member, epoch).await
}

/// All offsets of a group, of topics that there are.
async fn all(cx: &Context, group: &str, stable: bool) -> Result<Vec<GroupTopic>, GroupError> {
    let found = cx.engine().groups().all_committed(group, stable).await?;
    let catalog = cx.engine().catalog().fresh().await;
    let catalog = catalog.map_err(|error| GroupError::Unavailable(error.to_string()))?;
    let mut topics: Vec<(TopicId, GroupTopic)> = Vec::new();
    for offset in found {
        let id = offset.partition.topic;
        let Some(row) = catalog.by_id(id) else { continue };
        if topics.last().is_none_or(|(last, _)| *last != id) {
            let topic = GroupTopic { name: row.name.clone(), topic_id: id.uuid(), ..GroupTopic::default() };
            topics.push((id, topic));
        }
        if let Some((_, topic)) = topics.last_mut() {
            topic.partitions.push(partition(offset));
        }
    }
    Ok(topics.into_iter().map(|(_, topic)| topic).collect())
}

async fn some(
    cx: &Context,
    version: i16,
    group: &str,
    wanted: Vec<WantedTopic>,
    stable: bool,
) -> Result<Vec<GroupTopic>, GroupError> {
    let mut topics = Topics::new(cx);
    let mut answers = Vec::with_capacity(wanted.len());
    for topic in wanted {
        let key = TopicKey::new(version >= BY_ID, &topic.name, topic.topic_id);
        let mut places = Vec::with_capacity(topic.partition_indexes.len());
        for index in &topic.partition_indexes {
            places.push(topics.partition(&key, *index).await.map(|(_, partition)| partition));
        }
        let known: Vec<PartitionId> =
            places.iter().filter_map(|place| place.as_ref().ok().copied()).collect();
        let mut found = cx.engine().groups().committed(group, &known, stable).await?.into_iter();
        let mut partitions = Vec::with_capacity(places.len());
        for (index, place) in topic.partition_indexes.into_iter().zip(places) {
            partitions.push(match place {
                Ok(_) => found.next().map_or_else(|| none(index), partition),
                Err(ErrorCode::UnknownTopicId) => refused(index, ErrorCode::UnknownTopicId),
                // By name: nothing was committed for what isn't there.
                Err(ErrorCode::UnknownTopicOrPartition) => none(index),
                // Whether it is there can't be told now. "Nothing" would send the client back to the log's start.
                Err(code) => {
                    return Err(GroupError::Unavailable(format!("the catalog can't be read: {code:?}")));
                }
            });
        }
        answers.push(GroupTopic { name: topic.name, topic_id: topic.topic_id, partitions });
    }
    Ok(answers)
}

fn partition(found: CommittedOffset) -> GroupPartition {
    let index = i32::try_from(found.partition.index).unwrap_or(i32::MAX);
    match found.row {
        _ if found.unstable => refused(index, ErrorCode::UnstableOffsetCommit),
        None => none(index),
        Some(row) => GroupPartition {
            partition_index: index,
            committed_offset: row.offset,
            committed_leader_epoch: row.leader_epoch,
            metadata: Some(row.metadata),
            error_code: 0,
        },
    }
}

fn none(partition_index: i32) -> GroupPartition {
    GroupPartition {
        partition_index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some(String::new()),
        error_code: 0,
    }
}

fn refused(index: i32, code: ErrorCode) -> GroupPartition {
    GroupPartition { error_code: code.code(), ..none(index) }
}
