//! Who is in a group, and what each has: of either protocol.

use std::collections::BTreeMap;

use siltstone_kafka::{
    ApiKey, ConsumerProtocolAssignment, ErrorCode, consumer_group_describe, describe_groups, versioned,
};

use super::error::check;
use super::{Client, Error};

/// Kafka's state of a group that isn't there.
const DEAD: &str = "Dead";
/// The protocol type of groups whose members' assignments are lists of partitions.
const CONSUMER: &str = "consumer";

/// A group and its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// Its id.
    pub group: String,
    /// `classic` or `consumer`.
    pub kind: &'static str,
    /// Kafka's name of its state.
    pub state: String,
    /// What the partitions are given out by; empty if nobody is in it.
    pub assignor: String,
    /// By id.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupMember {
    /// Its id.
    pub member: String,
    /// Its instance id, if it is static.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it is.
    pub host: String,
    /// What it has, by topic. Empty too where its protocol gives out something else.
    pub assigned: BTreeMap<String, Vec<i32>>,
}

impl Client {
    /// Describes a group; `None` if there is none of this id.
    ///
    /// # Errors
    /// If it can't be asked, or the server doesn't let us.
    pub async fn describe_group(&self, group: &str) -> Result<Option<GroupDescription>, Error> {
        match self.describe_consumer(group).await {
            Ok(Some(found)) => Ok(Some(found)),
            // Of the other protocol, or on a server that knows only the other.
            Ok(None) | Err(Error::Unsupported { api: ApiKey::ConsumerGroupDescribe, .. }) => {
                self.describe_classic(group).await
            }
            Err(error) => Err(error),
        }
    }

    async fn describe_consumer(&self, group: &str) -> Result<Option<GroupDescription>, Error> {
        let request =
            consumer_group_describe::Request { group_ids: vec![group.to_owned()], ..Default::default() };
        let code =
            |answer: &consumer_group_describe::Response| answer.groups.first().map_or(0, |g| g.error_code);
        let answer = self.coordinated(group, &request, i16::MAX, code).await?;
        let Some(found) = answer.groups.into_iter().next() else { return Ok(None) };
        if is_missing(found.error_code) {
            return Ok(None);
        }
        check(|| format!("group {group}"), found.error_code, found.error_message.as_deref())?;
        let member = |member: consumer_group_describe::response::Member| GroupMember {
            member: member.member_id,
            instance: member.instance_id,
            client_id: member.client_id,
            host: member.client_host,
            assigned: by_topic(
                member.assignment.topic_partitions.into_iter().map(|t| (t.topic_name, t.partitions)),
            ),
        };
        let members = found.members.into_iter().map(member).collect();
        let (state, assignor) = (found.group_state, found.assignor_name);
        Ok(Some(sorted(GroupDescription {
            group: group.to_owned(),
            kind: "consumer",
            state,
            assignor,
            members,
        })))
    }

    async fn describe_classic(&self, group: &str) -> Result<Option<GroupDescription>, Error> {
        let request = describe_groups::Request { groups: vec![group.to_owned()], ..Default::default() };
        let code = |answer: &describe_groups::Response| answer.groups.first().map_or(0, |g| g.error_code);
        let answer = self.coordinated(group, &request, i16::MAX, code).await?;
        let Some(found) = answer.groups.into_iter().next() else { return Ok(None) };
        if is_missing(found.error_code) || found.group_state == DEAD {
            return Ok(None);
        }
        check(|| format!("group {group}"), found.error_code, found.error_message.as_deref())?;
        let partitions = found.protocol_type == CONSUMER;
        let member = |member: describe_groups::response::Member| GroupMember {
            member: member.member_id,
            instance: member.group_instance_id,
            client_id: member.client_id,
            host: member.client_host,
            assigned: if partitions { assigned(&member.member_assignment) } else { BTreeMap::new() },
        };
        let members = found.members.into_iter().map(member).collect();
        let (state, assignor) = (found.group_state, found.protocol_data);
        Ok(Some(sorted(GroupDescription {
            group: group.to_owned(),
            kind: "classic",
            state,
            assignor,
            members,
        })))
    }
}

fn is_missing(code: i16) -> bool {
    ErrorCode::from_code(code) == Some(ErrorCode::GroupIdNotFound)
}

fn sorted(mut found: GroupDescription) -> GroupDescription {
    found.members.sort_by(|a, b| a.member.cmp(&b.member));
    found
}

/// What a member's leader gave it. Bytes of another shape are nothing to us: they are between the members.
fn assigned(bytes: &bytes::Bytes) -> BTreeMap<String, Vec<i32>> {
    match versioned::decode::<ConsumerProtocolAssignment>(bytes) {
        Ok((_, read)) => by_topic(read.assigned_partitions.into_iter().map(|t| (t.topic, t.partitions))),
        Err(_) => BTreeMap::new(),
    }
}

fn by_topic(topics: impl Iterator<Item = (String, Vec<i32>)>) -> BTreeMap<String, Vec<i32>> {
    let mut all: BTreeMap<String, Vec<i32>> = BTreeMap::new();
    for (topic, partitions) in topics {
        all.entry(topic).or_default().extend(partitions);
    }
    all.values_mut().for_each(|partitions| partitions.sort_unstable());
    all
}

#[cfg(test)]
mod tests {
    use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;

    use super::*;

    #[test]
    fn assignments_are_read_in_every_version_and_rubbish_is_none() {
        let topic = TopicPartitions { topic: "t".into(), partitions: vec![2, 0] };
        let message = ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None };
        for version in 0..=3 {
            let bytes = versioned::encode(&message, version).unwrap();
            assert_eq!(assigned(&bytes), BTreeMap::from([("t".to_owned(), vec![0, 2])]));
        }
        for bad in [&b""[..], b"\0", b"\0\0\x7f\xff\xff\xff"] {
            assert_eq!(assigned(&bytes::Bytes::from_static(bad)), BTreeMap::new(), "{bad:?}");
        }
    }
}
