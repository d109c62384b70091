//! DeleteRecords, versions 0 to 2.
//!
//! As in Kafka: an offset beyond the high watermark, or below zero other than -1 (the high watermark), is out of range; a topic that is
//! compacted and nothing else keeps its records; what lies before the log start already is deleted already. The low watermark that is answered is
//! the log start after the fold has it, so that nobody reads what is said to be gone.

use std::collections::BTreeMap;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::delete_records::{Request, Response, request, response};
use siltstone_log::PartitionId;
use siltstone_metadata::trim::trim;
use tokio::time::Instant;

use super::context::Context;
use super::refused::Refused;
use super::{errors, topics};
use crate::fetch::Bounds;

/// Stands for the high watermark.
const HIGH_WATERMARK: i64 = -1;
/// What stands for no low watermark.
const NONE: i64 = -1;

/// A partition, and the first offset to keep.
type Wanted = (PartitionId, i64);
/// The log start afterwards, or the code to answer.
type Starts = BTreeMap<Wanted, Result<i64, ErrorCode>>;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let deadline = topics::deadline(request.timeout_ms);
    let mut asked = Vec::with_capacity(request.topics.len());
    for topic in &request.topics {
        asked.push(resolve(cx, topic).await);
    }
    let wanted: Vec<Wanted> = asked.iter().flatten().filter_map(|one| one.ok()).collect();
    let starts = delete(cx, &wanted, deadline).await;
    let topics = request.topics.into_iter().zip(asked).map(|(topic, asked)| {
        let partitions = topic.partitions.iter().zip(asked).map(|(partition, asked)| {
            let none = Err(ErrorCode::UnknownServerError);
            let start = asked.and_then(|wanted| starts.get(&wanted).copied().unwrap_or(none));
            answer(partition.partition_index, start)
        });
        response::Topic { name: topic.name, partitions: partitions.collect() }
    });
    Response { topics: topics.collect(), ..Response::default() }
}

fn answer(partition_index: i32, start: Result<i64, ErrorCode>) -> response::Partition {
    let error_code = start.err().unwrap_or(ErrorCode::None).code();
    response::Partition { partition_index, low_watermark: start.unwrap_or(NONE), error_code }
}

/// A topic's partitions, each with the offset that it is to begin at, or with what is wrong.
async fn resolve(cx: &Context, topic: &request::Topic) -> Vec<Result<Wanted, ErrorCode>> {
    let row = match topics::find(cx, &topic.name).await {
        Ok(row) => row,
        Err(refused) => return topic.partitions.iter().map(|_| Err(refused.code)).collect(),
    };
    let cleanup = cx.broker.topic_config(&row).cleanup;
    let check = |partition: &request::Partition| {
        let index = u32::try_from(partition.partition_index).ok().filter(|index| *index < row.partitions);
        let index = index.ok_or(ErrorCode::UnknownTopicOrPartition)?;
        if cleanup.compact && !cleanup.delete {
            return Err(ErrorCode::PolicyViolation);
        }
        Ok((PartitionId { topic: row.id, index }, partition.offset))
    };
    topic.partitions.iter().map(check).collect()
}

/// Deletes what can be deleted.
async fn delete(cx: &Context, wanted: &[Wanted], deadline: Instant) -> Starts {
    let before = bounds(cx, wanted).await;
    let mut trims = Vec::new();
    let mut starts = Starts::new();
    for (one, bounds) in wanted.iter().zip(before) {
        let kept = bounds.and_then(|bounds| first_kept(one.1, bounds));
        if let Ok(first) = kept {
            trims.push((one.0, first));
        }
        starts.insert(*one, kept);
    }
    if let Err(refused) = trim_all(cx, &trims, deadline).await {
        starts.values_mut().filter(|start| start.is_ok()).for_each(|start| *start = Err(refused.code));
        return starts;
    }
    let done: Vec<Wanted> = starts.iter().filter(|(_, start)| start.is_ok()).map(|(one, _)| *one).collect();
    let after = bounds(cx, &done).await;
    starts.extend(done.into_iter().zip(after).map(|(one, bounds)| (one, bounds.map(|b| b.log_start))));
    starts
}

async fn trim_all(cx: &Context, trims: &[Wanted], deadline: Instant) -> Result<(), Refused> {
    let engine = cx.engine();
    let shards = engine.followers().count();
    topics::in_time(deadline, trim(engine.store().as_ref(), engine.ambient(), shards, trims)).await
}

/// The partitions' ends, as new as this call.
async fn bounds(cx: &Context, wanted: &[Wanted]) -> Vec<Result<Bounds, ErrorCode>> {
    let reader = cx.engine().reader();
    let ids: Vec<PartitionId> = wanted.iter().map(|(id, _)| *id).collect();
    let followers = reader.followers();
    let ready = async {
        followers.fresh(ids.iter().copied()).await?;
        followers.load(&ids).await
    };
    if let Err(error) = ready.await {
        return ids.iter().map(|_| Err(errors::shard(&error))).collect();
    }
    let mut all = Vec::with_capacity(ids.len());
    for id in ids {
        all.push(reader.bounds(id).await.map_err(|error| errors::fetch(&error)));
    }
    all
}

/// The first offset to keep. Pure.
fn first_kept(offset: i64, bounds: Bounds) -> Result<i64, ErrorCode> {
    match offset {
        HIGH_WATERMARK => Ok(bounds.high_watermark),
        offset if offset < 0 || offset > bounds.high_watermark => Err(ErrorCode::OffsetOutOfRange),
        offset => Ok(offset.max(bounds.log_start)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_judged_as_kafka_judges_them() {
        let bounds = Bounds { log_start: 2, high_watermark: 24, last_stable: 24 };
        for (offset, expected) in [
            (-1, Ok(24)),
            (24, Ok(24)),
            (3, Ok(3)),
            (1, Ok(2)),
            (0, Ok(2)),
            (25, Err(ErrorCode::OffsetOutOfRange)),
            (-2, Err(ErrorCode::OffsetOutOfRange)),
            (i64::MIN, Err(ErrorCode::OffsetOutOfRange)),
        ] {
            assert_eq!(first_kept(offset, bounds), expected, "{offset}");
        }
    }
}
