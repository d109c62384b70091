//! OffsetForLeaderEpoch, versions 2 to 4 (KIP-320). There is one leader epoch, 0, and nothing is ever truncated, so that its end is
//! the log's.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::offset_for_leader_epoch::request;
use siltstone_kafka::offset_for_leader_epoch::response::{Partition, Topic};
use siltstone_kafka::offset_for_leader_epoch::{Request, Response};

use super::context::Context;
use super::ends::Ends;
use super::lookup::{TopicKey, Topics, check_leader_epoch};

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let ends = Ends::prepare(cx, &mut topics, ends_wanted(&request)).await;
    let mut response = Response::default();
    for wanted in request.topics {
        let key = TopicKey::Name(wanted.topic.as_str().into());
        let mut partitions = Vec::with_capacity(wanted.partitions.len());
        for asked in &wanted.partitions {
            let index = asked.partition;
            partitions.push(match end(&ends, &mut topics, &key, asked).await {
                Ok(Some(end_offset)) => {
                    Partition { partition: index, leader_epoch: 0, end_offset, ..Partition::default() }
                }
                Ok(None) => Partition { partition: index, ..Partition::default() },
                Err(code) => Partition { partition: index, error_code: code.code(), ..Partition::default() },
            });
        }
        response.topics.push(Topic { topic: wanted.topic, partitions });
    }
    response
}

/// The partitions that are asked for.
fn ends_wanted(request: &Request) -> impl Iterator<Item = (TopicKey, i32)> {
    request.topics.iter().flat_map(|topic| {
        let key = TopicKey::Name(topic.topic.as_str().into());
        topic.partitions.iter().map(move |asked| (key.clone(), asked.partition))
    })
}

/// The end of the epoch; `None` if there is no such epoch.
async fn end(
    ends: &Ends<'_>,
    topics: &mut Topics<'_>,
    key: &TopicKey,
    asked: &request::Partition,
) -> Result<Option<i64>, ErrorCode> {
    let (_, id) = topics.partition(key, asked.partition).await?;
    check_leader_epoch(asked.current_leader_epoch)?;
    if asked.leader_epoch != 0 {
        return Ok(None);
    }
    Ok(Some(ends.of(id).await?.high_watermark))
}
