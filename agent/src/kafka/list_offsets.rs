//! ListOffsets, versions 1 to 11: ends of partitions, and offsets by time.
//!
//! Ends come from state at least as new as the request (S6). Nothing is tiered in Kafka's sense: the local log is the whole log, and the
//! tiered offsets (-5, -6) are answered as by a topic without tiered storage.

use std::collections::BTreeSet;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::list_offsets::request;
use siltstone_kafka::list_offsets::response::{Partition, Topic};
use siltstone_kafka::list_offsets::{Request, Response};
use siltstone_log::PartitionId;

use super::context::Context;
use super::ends::Ends;
use super::errors;
use super::lookup::{TopicKey, Topics, check_leader_epoch};
use crate::fetch::TimestampAndOffset;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const LATEST_TIERED: i64 = -5;
const EARLIEST_PENDING_UPLOAD: i64 = -6;
const READ_COMMITTED: i8 = 1;
/// The first version that tells leader epochs.
const LEADER_EPOCHS: i16 = 4;

/// What is found: nothing is -1 and -1.
const NOTHING: TimestampAndOffset = TimestampAndOffset { timestamp: -1, offset: -1 };

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let ends = Ends::prepare(cx, &mut topics, ends_wanted(&request)).await;
    let asker = Asker { cx, version, isolation: request.isolation_level, ends };
    let mut response = Response::default();
    let mut seen = BTreeSet::new();
    for wanted in request.topics {
        let key = TopicKey::Name(wanted.name.as_str().into());
        let mut partitions = Vec::with_capacity(wanted.partitions.len());
        for asked in &wanted.partitions {
            let found = if seen.insert((key.clone(), asked.partition_index)) {
                asker.find(&mut topics, &key, asked).await
            } else {
                Err(ErrorCode::InvalidRequest)
            };
            partitions.push(partition(version, asked.partition_index, found));
        }
        response.topics.push(Topic { name: wanted.name, partitions });
    }
    response
}

fn partition(version: i16, partition_index: i32, found: Result<TimestampAndOffset, ErrorCode>) -> Partition {
    // Answers before that have no place for an epoch, and only an unknown one can be left out.
    let knows_epochs = version >= LEADER_EPOCHS;
    match found {
        Ok(TimestampAndOffset { timestamp, offset }) => Partition {
            partition_index,
            timestamp,
            offset,
            leader_epoch: if knows_epochs && offset >= 0 { 0 } else { -1 },
            ..Partition::default()
        },
        Err(code) => Partition { partition_index, error_code: code.code(), ..Partition::default() },
    }
}

/// The first version that may ask for this; `None` if none may.
fn since(timestamp: i64) -> Option<i16> {
    match timestamp {
        0.. | LATEST | EARLIEST => Some(1),
        MAX_TIMESTAMP => Some(7),
        EARLIEST_LOCAL => Some(8),
        LATEST_TIERED => Some(9),
        EARLIEST_PENDING_UPLOAD => Some(11),
        _ => None,
    }
}

/// The partitions whose ends are asked for.
fn ends_wanted(request: &Request) -> impl Iterator<Item = (TopicKey, i32)> {
    let ends = |asked: &&request::Partition| matches!(asked.timestamp, LATEST | EARLIEST | EARLIEST_LOCAL);
    request.topics.iter().flat_map(move |topic| {
        let key = TopicKey::Name(topic.name.as_str().into());
        topic.partitions.iter().filter(ends).map(move |asked| (key.clone(), asked.partition_index))
    })
}

/// What a request asks of all its partitions.
struct Asker<'a> {
    cx: &'a Context,
    version: i16,
    isolation: i8,
    ends: Ends<'a>,
}

impl Asker<'_> {
    async fn find(
        &self,
        topics: &mut Topics<'_>,
        key: &TopicKey,
        asked: &request::Partition,
    ) -> Result<TimestampAndOffset, ErrorCode> {
        if since(asked.timestamp).is_none_or(|since| self.version < since) {
            return Err(ErrorCode::UnsupportedVersion);
        }
        let (_, id) = topics.partition(key, asked.partition_index).await?;
        check_leader_epoch(asked.current_leader_epoch)?;
        self.look(id, asked.timestamp).await
    }

    async fn look(&self, id: PartitionId, timestamp: i64) -> Result<TimestampAndOffset, ErrorCode> {
        let reader = self.cx.engine().reader();
        let failed = |error| errors::fetch(&error);
        let found = match timestamp {
            LATEST => {
                let bounds = self.ends.of(id).await?;
                let committed = self.isolation == READ_COMMITTED;
                let offset = if committed { bounds.last_stable } else { bounds.high_watermark };
                Some(TimestampAndOffset { timestamp: -1, offset })
            }
            EARLIEST | EARLIEST_LOCAL => {
                Some(TimestampAndOffset { timestamp: -1, offset: self.ends.of(id).await?.log_start })
            }
            MAX_TIMESTAMP => reader.max_timestamp(id).await.map_err(failed)?,
            LATEST_TIERED | EARLIEST_PENDING_UPLOAD => None,
            since => {
                let found = reader.first_since(id, since).await.map_err(failed)?;
                if self.isolation == READ_COMMITTED && found.is_some() {
                    let bounds = reader.bounds(id).await.map_err(failed)?;
                    found.filter(|found| found.offset < bounds.last_stable)
                } else {
                    found
                }
            }
        };
        Ok(found.unwrap_or(NOTHING))
    }
}
