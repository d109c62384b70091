//! WriteTxnMarkers, versions 1 and 2: between Kafka's brokers, and for administrators who end a transaction that hangs in a partition (KIP-664).

use siltstone_kafka::ErrorCode;
use siltstone_kafka::write_txn_markers::request::Marker as Wanted;
use siltstone_kafka::write_txn_markers::response::{Marker, Partition, Topic};
use siltstone_kafka::write_txn_markers::{Request, Response};
use siltstone_log::{EndMarker, PartitionId};

use super::context::Context;
use super::lookup::{TopicKey, Topics};
use crate::transaction::AdminMarker;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let mut response = Response::default();
    for wanted in request.markers {
        let marker = EndMarker {
            producer_id: wanted.producer_id,
            epoch: wanted.producer_epoch,
            commit: wanted.transaction_result,
        };
        let told = check(cx, &mut topics, marker, wanted).await;
        response.markers.push(write(cx, marker, told).await);
    }
    response
}

type Found = Vec<(String, Vec<(i32, Result<PartitionId, ErrorCode>)>)>;

/// What each partition says to the marker.
async fn check(cx: &Context, topics: &mut Topics<'_>, marker: EndMarker, wanted: Wanted) -> Found {
    let mut found = Vec::with_capacity(wanted.topics.len());
    for topic in wanted.topics {
        let key = TopicKey::Name(topic.name.as_str().into());
        let mut partitions = Vec::with_capacity(topic.partition_indexes.len());
        for index in topic.partition_indexes {
            let place = match topics.partition(&key, index).await {
                Ok((_, partition)) => check_epoch(cx, marker, partition).await,
                Err(code) => Err(code),
            };
            partitions.push((index, place));
        }
        found.push((topic.name, partitions));
    }
    found
}

async fn check_epoch(
    cx: &Context,
    marker: EndMarker,
    partition: PartitionId,
) -> Result<PartitionId, ErrorCode> {
    if marker.producer_id < 0 || marker.epoch < 0 {
        return Err(ErrorCode::UnknownServerError);
    }
    match cx.engine().transactions().is_outdated(marker, partition).await {
        Ok(false) => Ok(partition),
        // As Kafka tells it here.
        Ok(true) => Err(ErrorCode::UnknownServerError),
        Err(_) => Err(ErrorCode::NotLeaderOrFollower),
    }
}

async fn write(cx: &Context, marker: EndMarker, found: Found) -> Marker {
    let partitions: Vec<PartitionId> = found
        .iter()
        .flat_map(|(_, partitions)| partitions.iter().filter_map(|(_, found)| found.as_ref().ok().copied()))
        .collect();
    let written = if partitions.is_empty() {
        Ok(())
    } else {
        let wanted = AdminMarker { marker, partitions };
        cx.engine().transactions().write_markers(wanted).await.map_err(|error| {
            tracing::warn!(%error, "markers of a transaction were not written");
            ErrorCode::NotLeaderOrFollower
        })
    };
    let result = |(index, found): (i32, Result<PartitionId, ErrorCode>)| Partition {
        partition_index: index,
        error_code: found.and(written).map_or_else(|code| code.code(), |()| 0),
    };
    let topics = found
        .into_iter()
        .map(|(name, partitions)| Topic { name, partitions: partitions.into_iter().map(result).collect() });
    Marker { producer_id: marker.producer_id, topics: topics.collect() }
}
