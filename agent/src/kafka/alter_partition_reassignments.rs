//! AlterPartitionReassignments, versions 0 and 1: refused, partition by partition. Data lies in the object store: there are no replicas to move.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::alter_partition_reassignments::{Request, Response, request, response};
use siltstone_metadata::catalog::CatalogState;

use super::context::Context;
use super::refused::{Refused, outcome};
use super::topics;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let catalog = match topics::catalog(cx).await {
        Ok(catalog) => catalog,
        Err(refused) => {
            return Response {
                error_code: refused.code.code(),
                error_message: Some(refused.message),
                ..Response::default()
            };
        }
    };
    let topic = |topic: request::Topic| {
        let partitions = topic.partitions.iter().map(|partition| {
            let (error_code, error_message) = outcome(&judge(&catalog, &topic.name, partition));
            response::Partition { partition_index: partition.partition_index, error_code, error_message }
        });
        response::Topic { partitions: partitions.collect(), name: topic.name }
    };
    Response {
        allow_replication_factor_change: request.allow_replication_factor_change,
        error_message: None,
        responses: request.topics.into_iter().map(topic).collect(),
        ..Response::default()
    }
}

fn judge(catalog: &CatalogState, topic: &str, asked: &request::Partition) -> Result<(), Refused> {
    let index = u32::try_from(asked.partition_index).ok();
    let exists = catalog.topic(topic).zip(index).is_some_and(|(row, index)| index < row.partitions);
    if !exists {
        let message = format!("There is no partition {}-{}.", topic, asked.partition_index);
        return Err(Refused::new(ErrorCode::UnknownTopicOrPartition, message));
    }
    Err(match asked.replicas {
        None => Refused::new(ErrorCode::NoReassignmentInProgress, "The partition is not being reassigned."),
        Some(_) => Refused::new(
            ErrorCode::InvalidReplicaAssignment,
            "Partitions can't be reassigned: their data is in the object store, and any agent serves it.",
        ),
    })
}
