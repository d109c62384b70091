//! Offsets by time: the ends of partitions, and what was written since.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_kafka::list_offsets;
use siltstone_kafka::list_offsets::request::{Partition, Topic};

use super::cluster::PATIENCE;
use super::error::check;
use super::{Client, Connection, Error};

/// Stands for the time of the first offset that is there.
pub const EARLIEST: i64 = -2;
/// Stands for the end: the offset of the next record.
pub const LATEST: i64 = -1;
const VERSION: i16 = 7;

/// An offset that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OffsetAt {
    /// The partition.
    pub partition: i32,
    /// The offset, -1 if nothing is as young as the time asked for.
    pub offset: i64,
    /// Its record's timestamp, where the question was for a time.
    pub timestamp: i64,
}

impl Client {
    /// For each partition of `topic` the first offset whose record is at least as young as the given time, in ms since 1970; or
    /// [`EARLIEST`], [`LATEST`]. In order of partitions. The topic must be known from [`Client::topic`].
    ///
    /// # Errors
    /// If any partition can't be asked.
    pub async fn offsets(&self, topic: &str, wanted: &[(i32, i64)]) -> Result<Vec<OffsetAt>, Error> {
        let mut by_leader: BTreeMap<String, (Arc<Connection>, Vec<Partition>)> = BTreeMap::new();
        for (partition, timestamp) in wanted {
            let leader = self.leader(topic, *partition).await?;
            let entry = by_leader.entry(leader.address().to_owned()).or_insert_with(|| (leader, Vec::new()));
            entry.1.push(Partition {
                partition_index: *partition,
                timestamp: *timestamp,
                ..Default::default()
            });
        }
        let mut found = Vec::with_capacity(wanted.len());
        for (connection, partitions) in by_leader.into_values() {
            let request = list_offsets::Request {
                replica_id: -1,
                topics: vec![Topic { name: topic.to_owned(), partitions }],
                ..Default::default()
            };
            let answer = connection.call(&request, VERSION, PATIENCE).await?;
            for partition in answer.topics.into_iter().flat_map(|topic| topic.partitions) {
                let what = || format!("offsets of {topic}/{}", partition.partition_index);
                check(what, partition.error_code, None)?;
                found.push(OffsetAt {
                    partition: partition.partition_index,
                    offset: partition.offset,
                    timestamp: partition.timestamp,
                });
            }
        }
        found.sort_by_key(|at| at.partition);
        Ok(found)
    }
}
