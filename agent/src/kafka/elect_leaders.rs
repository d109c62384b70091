//! ElectLeaders, versions 0 to 2: every partition has its leader already.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::elect_leaders::{Request, Response, request, response};
use siltstone_metadata::catalog::CatalogState;

use super::context::Context;
use super::refused::{Refused, outcome};
use super::topics;

/// Kinds of election: preferred and unclean.
const KINDS: std::ops::RangeInclusive<i8> = 0..=1;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    // Without a list only those partitions are answered that had an election.
    let Some(asked) = request.topic_partitions else { return Response::default() };
    let catalog = topics::catalog(cx).await;
    let unknown_kind =
        Refused::new(ErrorCode::InvalidRequest, format!("Unknown election type {}", request.election_type));
    let judge = |topic: &str, index: i32| match &catalog {
        _ if !KINDS.contains(&request.election_type) => unknown_kind.clone(),
        Ok(catalog) => judge(catalog, topic, index),
        Err(refused) => refused.clone(),
    };
    let topic = |topic: request::TopicPartitions| {
        let partitions = topic.partitions.iter().map(|index| {
            let (error_code, error_message) = outcome::<()>(&Err(judge(&topic.topic, *index)));
            response::Partition { partition_id: *index, error_code, error_message }
        });
        response::Topic { partition_result: partitions.collect(), topic: topic.topic }
    };
    let error_code =
        if KINDS.contains(&request.election_type) { ErrorCode::None } else { ErrorCode::InvalidRequest };
    Response {
        error_code: error_code.code(),
        replica_election_results: asked.into_iter().map(topic).collect(),
        ..Response::default()
    }
}

fn judge(catalog: &CatalogState, topic: &str, index: i32) -> Refused {
    let Some(row) = catalog.topic(topic) else {
        return Refused::no_topic(topic);
    };
    match u32::try_from(index) {
        Ok(index) if index < row.partitions => {
            Refused::new(ErrorCode::ElectionNotNeeded, "The partition has its leader.")
        }
        _ => {
            let message = format!("There is no partition {topic}-{index}.");
            Refused::new(ErrorCode::UnknownTopicOrPartition, message)
        }
    }
}
