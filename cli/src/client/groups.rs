//! Groups of consumers from outside: which there are, who is in them, where they stand, and moving them. Not for being a member of one.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_kafka::api::ApiRequest;
use siltstone_kafka::{ErrorCode, delete_groups, find_coordinator, list_groups, offset_commit, offset_fetch};
use tokio::time::Instant;

use super::cluster::PATIENCE;
use super::error::check;
use super::{Client, Connection, Error};

/// The last version of FindCoordinator that takes one key.
const FIND_ONE: i16 = 3;
/// The last version of OffsetFetch that takes one group.
const FETCH_ONE: i16 = 7;
/// The last version of OffsetCommit that names topics.
const COMMIT_BY_NAME: i16 = 9;
/// How long a coordinator may take to be there.
const SETTLE: Duration = Duration::from_secs(15);

/// A group as a list shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupListing {
    /// Its id.
    pub group: String,
    /// `classic`, `consumer`, …; empty on servers that don't say.
    pub kind: String,
    /// Kafka's name of its state; empty on servers that don't say.
    pub state: String,
    /// `consumer`, `connect`, …; empty if the group never had members.
    pub protocol_type: String,
}

/// A committed offset of one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// The next offset to be read.
    pub offset: i64,
    /// What its committer wrote beside it.
    pub metadata: String,
}

/// Offsets of a group, by topic and partition.
pub type GroupOffsets = BTreeMap<(String, i32), Committed>;

impl Client {
    /// All groups of the cluster, by id.
    ///
    /// # Errors
    /// If any broker can't be asked.
    pub async fn groups(&self) -> Result<Vec<GroupListing>, Error> {
        // To hear which brokers there are.
        self.topics(Some(&[]), false).await?;
        let mut found = BTreeMap::new();
        for address in self.brokers().into_values() {
            let connection = self.connect(&address).await?;
            let answer = connection.call(&list_groups::Request::default(), i16::MAX, PATIENCE).await?;
            check(|| format!("asking {address} for its groups"), answer.error_code, None)?;
            found.extend(answer.groups.into_iter().map(|group| {
                let listing = GroupListing {
                    group: group.group_id,
                    kind: group.group_type,
                    state: group.group_state,
                    protocol_type: group.protocol_type,
                };
                (listing.group.clone(), listing)
            }));
        }
        Ok(found.into_values().collect())
    }

    /// What a group has committed, on all topics.
    ///
    /// # Errors
    /// If it can't be asked. A group that is not there has committed nothing.
    pub async fn group_offsets(&self, group: &str) -> Result<GroupOffsets, Error> {
        let request =
            offset_fetch::Request { group_id: group.to_owned(), topics: None, ..Default::default() };
        let answer = self.coordinated(group, &request, FETCH_ONE, |answer| answer.error_code).await?;
        check(|| format!("offsets of group {group}"), answer.error_code, None)?;
        let mut offsets = GroupOffsets::new();
        for topic in answer.topics {
            for partition in topic.partitions {
                let index = partition.partition_index;
                let what = || format!("offset of group {group} on {}/{index}", topic.name);
                check(what, partition.error_code, None)?;
                // -1: nothing is committed.
                if partition.committed_offset >= 0 {
                    let metadata = partition.metadata.unwrap_or_default();
                    let committed = Committed { offset: partition.committed_offset, metadata };
                    offsets.insert((topic.name.clone(), index), committed);
                }
            }
        }
        Ok(offsets)
    }

    /// Moves a group that nobody is in. Topics that it doesn't name stay as they are; a group that isn't there is made.
    ///
    /// # Errors
    /// The first partition's that was refused; others may have been moved.
    pub async fn commit_group_offsets(&self, group: &str, offsets: &GroupOffsets) -> Result<(), Error> {
        use offset_commit::request::{Partition, Topic};
        let mut topics: BTreeMap<&str, Vec<Partition>> = BTreeMap::new();
        for ((topic, index), committed) in offsets {
            topics.entry(topic).or_default().push(Partition {
                partition_index: *index,
                committed_offset: committed.offset,
                committed_metadata: Some(committed.metadata.clone()),
                ..Default::default()
            });
        }
        let topic =
            |(name, partitions): (&str, _)| Topic { name: name.to_owned(), partitions, ..Default::default() };
        let request = offset_commit::Request {
            group_id: group.to_owned(),
            generation_id_or_member_epoch: -1,
            topics: topics.into_iter().map(topic).collect(),
            ..Default::default()
        };
        // One error for the group as a whole stands at every partition.
        let code = |answer: &offset_commit::Response| {
            let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
            partitions.map(|partition| partition.error_code).find(|code| *code != 0).unwrap_or(0)
        };
        let answer = self.coordinated(group, &request, COMMIT_BY_NAME, code).await?;
        for topic in &answer.topics {
            for partition in &topic.partitions {
                let what =
                    || format!("group {group} was not moved on {}/{}", topic.name, partition.partition_index);
                check(what, partition.error_code, None)?;
            }
        }
        Ok(())
    }

    /// Deletes a group that nobody is in, with its offsets.
    ///
    /// # Errors
    /// Why not.
    pub async fn delete_group(&self, group: &str) -> Result<(), Error> {
        let request = delete_groups::Request { groups_names: vec![group.to_owned()] };
        let code = |answer: &delete_groups::Response| answer.results.first().map_or(0, |r| r.error_code);
        let answer = self.coordinated(group, &request, i16::MAX, code).await?;
        check(|| format!("group {group} was not deleted"), code(&answer), None)
    }

    /// Asks a group's coordinator; anew while there is none, or it has just moved. `code` finds an answer's error.
    ///
    /// # Errors
    /// If nobody coordinates the group in time, or the coordinator can't be asked.
    pub(super) async fn coordinated<R: ApiRequest>(
        &self,
        group: &str,
        request: &R,
        latest: i16,
        code: impl Fn(&R::Response) -> i16,
    ) -> Result<R::Response, Error> {
        let until = Instant::now() + SETTLE;
        let mut pause = Duration::from_millis(20);
        loop {
            let answer = match self.coordinator(group).await {
                Ok(connection) => connection.call(request, latest, PATIENCE).await.map(Some),
                Err(error) if moves(error.code()) && Instant::now() < until => Ok(None),
                Err(error) => Err(error),
            };
            if let Some(answer) = answer?
                && (!moves(ErrorCode::from_code(code(&answer))) || Instant::now() >= until)
            {
                return Ok(answer);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    async fn coordinator(&self, group: &str) -> Result<Arc<Connection>, Error> {
        let request = find_coordinator::Request { key: group.to_owned(), ..Default::default() };
        let answer = self.ask(&request, FIND_ONE).await?;
        let what = || format!("looking for the coordinator of group {group}");
        check(what, answer.error_code, answer.error_message.as_deref())?;
        self.connect(&format!("{}:{}", answer.host, answer.port)).await
    }
}

/// Whether the coordinator is on its way to somewhere.
fn moves(code: Option<ErrorCode>) -> bool {
    let on_its_way =
        [ErrorCode::CoordinatorNotAvailable, ErrorCode::CoordinatorLoadInProgress, ErrorCode::NotCoordinator];
    code.is_some_and(|code| on_its_way.contains(&code))
}
