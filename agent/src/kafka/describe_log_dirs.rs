//! DescribeLogDirs, versions 1 to 4.
//!
//! There is one "directory": where segments are kept, as the agent's settings say it. A partition's size is the bytes of its batches from the log
//! start on, as producers sent them: what the object store holds may be less (compression) or, until the compactor has been there,
//! more. Totals of the store are not known: -1.

use std::collections::BTreeSet;
use std::sync::Arc;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_log_dirs::{Request, Response, request, response};
use siltstone_log::{Extent, PartitionId, TopicRow};
use siltstone_metadata::catalog::CatalogState;
use siltstone_metadata::follow::{Shard, ShardError};
use siltstone_metadata::rows;
use siltstone_metadata::shard::{Lookup, PartitionState};
use siltstone_store::Snapshot;

use super::context::Context;
use super::refused::Refused;
use super::topics;

/// Partitions that are loaded together.
const AT_ONCE: usize = 4096;
/// What is answered where a number is not known.
const UNKNOWN: i64 = -1;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    match describe(cx, request.topics.as_deref()).await {
        Ok(topics) => {
            let result = response::LogDir {
                error_code: ErrorCode::None.code(),
                log_dir: directory(cx),
                topics,
                total_bytes: UNKNOWN,
                usable_bytes: UNKNOWN,
            };
            Response { results: vec![result], ..Response::default() }
        }
        Err(refused) => {
            // Before version 3 there is no code for the whole answer: the directory's own tells it.
            let result = response::LogDir {
                error_code: ErrorCode::KafkaStorageError.code(),
                log_dir: directory(cx),
                ..response::LogDir::default()
            };
            Response { error_code: refused.code.code(), results: vec![result], ..Response::default() }
        }
    }
}

fn directory(cx: &Context) -> String {
    cx.broker.fixed.get("log.dirs").cloned().unwrap_or_else(|| "object-store".to_owned())
}

async fn describe(cx: &Context, asked: Option<&[request::Topic]>) -> Result<Vec<response::Topic>, Refused> {
    let catalog = topics::catalog(cx).await?;
    let wanted = wanted(&catalog, asked);
    let ids: Vec<PartitionId> = wanted
        .iter()
        .flat_map(|(row, indexes)| indexes.iter().map(|index| PartitionId { topic: row.id, index: *index }))
        .collect();
    let mut sizes = Vec::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        sizes.extend(measure(cx, some).await?);
    }
    let mut sizes = sizes.into_iter();
    let partition = |index: &u32, size: Option<u64>| response::Partition {
        partition_index: *index as i32,
        partition_size: size.map_or(0, |size| i64::try_from(size).unwrap_or(i64::MAX)),
        offset_lag: 0,
        is_future_key: false,
    };
    let topic = |(row, indexes): &(Arc<TopicRow>, Vec<u32>)| response::Topic {
        name: row.name.clone(),
        partitions: indexes.iter().map(|index| partition(index, sizes.next().flatten())).collect(),
    };
    Ok(wanted.iter().map(topic).collect())
}

/// The partitions asked for that exist: all of them without a list. Pure.
fn wanted(catalog: &CatalogState, asked: Option<&[request::Topic]>) -> Vec<(Arc<TopicRow>, Vec<u32>)> {
    let Some(asked) = asked else {
        return catalog.topics().values().map(|row| (row.clone(), (0..row.partitions).collect())).collect();
    };
    let mut seen = BTreeSet::new();
    let of = |topic: &request::Topic| {
        let row = catalog.topic(&topic.topic)?.clone();
        let exists = |index: &i32| u32::try_from(*index).ok().filter(|index| *index < row.partitions);
        let indexes: Vec<u32> = topic
            .partitions
            .iter()
            .filter_map(exists)
            .filter(|index| seen.insert((row.id, *index)))
            .collect();
        (!indexes.is_empty()).then_some((row, indexes))
    };
    asked.iter().filter_map(of).collect()
}

/// Bytes of each; `None` for one that was deleted meanwhile.
async fn measure(cx: &Context, ids: &[PartitionId]) -> Result<Vec<Option<u64>>, Refused> {
    let followers = cx.engine().followers();
    followers.load(ids).await?;
    let mut snapshot: Option<Box<dyn Snapshot>> = None;
    let mut sizes = Vec::with_capacity(ids.len());
    for id in ids {
        let shard = followers.of(*id);
        sizes.push(match look(shard, *id)? {
            Look::Known(size) => Some(size),
            Look::Gone => None,
            Look::InRows { bytes, log_start } => {
                if snapshot.is_none() {
                    snapshot = Some(cx.engine().store().snapshot().await.map_err(unreadable)?);
                }
                let Some(snapshot) = snapshot.as_deref() else { continue };
                let chunk = rows::chunk_at(snapshot, shard.id(), *id, log_start).await.map_err(unreadable)?;
                Some(bytes.saturating_sub(before(&chunk, log_start).unwrap_or(bytes)))
            }
        });
    }
    Ok(sizes)
}

fn unreadable(error: impl std::fmt::Display) -> Refused {
    Refused::new(ErrorCode::KafkaStorageError, error.to_string())
}

/// What a partition's state tells of its size.
#[derive(Debug, PartialEq, Eq)]
enum Look {
    Known(u64),
    /// The extent at the log start is in rows.
    InRows {
        bytes: u64,
        log_start: i64,
    },
    Gone,
}

fn look(shard: &Shard, id: PartitionId) -> Result<Look, ShardError> {
    match shard.partition(id, size) {
        // Evicted or not there at the moment of loading: too rare to load again.
        Err(ShardError::NoPartition(_) | ShardError::NotLoaded(_)) => Ok(Look::Gone),
        other => other,
    }
}

fn size(state: &PartitionState) -> Look {
    let (bytes, log_start) = (state.bytes(), state.log_start());
    if log_start == 0 {
        return Look::Known(bytes);
    }
    match state.lookup(log_start) {
        Lookup::Extent(extent) => Look::Known(bytes.saturating_sub(extent.bytes_before)),
        Lookup::Rows => Look::InRows { bytes, log_start },
        Lookup::End | Lookup::OutOfRange => Look::Known(0),
    }
}

/// Bytes before the extent that holds `offset`, or that follows it.
fn before(chunk: &[Extent], offset: i64) -> Option<u64> {
    chunk.iter().find(|extent| extent.end() > offset).map(|extent| extent.bytes_before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::{Position, TopicId};

    #[test]
    fn only_partitions_that_exist_are_listed_and_each_once() {
        let mut catalog = CatalogState::new(Position::ZERO, 1);
        catalog.put(TopicRow {
            name: "a".to_owned(),
            id: TopicId(1),
            partitions: 2,
            replication_factor: 1,
            created: 0,
            configs: std::collections::BTreeMap::new(),
        });
        let asked = |topic: &str, partitions: &[i32]| request::Topic {
            topic: topic.to_owned(),
            partitions: partitions.to_vec(),
        };
        let indexes = |asked: Option<&[request::Topic]>| {
            wanted(&catalog, asked).into_iter().map(|(_, indexes)| indexes).collect::<Vec<_>>()
        };
        assert_eq!(indexes(None), [vec![0, 1]]);
        assert_eq!(indexes(Some(&[])), Vec::<Vec<u32>>::new());
        let some = [asked("a", &[1, 2, -1, 1]), asked("b", &[0]), asked("a", &[1, 0])];
        assert_eq!(indexes(Some(&some)), [vec![1], vec![0]]);
    }
}
