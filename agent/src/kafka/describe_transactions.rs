//! DescribeTransactions, version 0 (KIP-664).

use siltstone_kafka::describe_transactions::response::{Topic, TransactionState};
use siltstone_kafka::describe_transactions::{Request, Response};

use super::context::Context;
use super::errors;
use super::list_transactions::state_name;
use crate::transaction::DescribedTransaction;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut response = Response::default();
    for id in request.transactional_ids {
        let told = match cx.engine().transactions().describe(&id).await {
            Ok(described) => tell(cx, id, &described).await,
            Err(error) => {
                let error_code = errors::transaction(&error, true).code();
                TransactionState { error_code, transactional_id: id, ..TransactionState::default() }
            }
        };
        response.transaction_states.push(told);
    }
    response
}

async fn tell(cx: &Context, id: String, described: &DescribedTransaction) -> TransactionState {
    let DescribedTransaction { row, partitions } = described;
    let catalog = cx.engine().catalog();
    let known = |state: &siltstone_metadata::catalog::CatalogState| {
        partitions.iter().all(|partition| state.by_id(partition.topic).is_some())
    };
    let mut state = catalog.state();
    // A topic may be newer than what this agent knows. One that was deleted is left out.
    if !known(&state)
        && let Ok(fresh) = catalog.fresh().await
    {
        state = fresh;
    }
    let mut topics = Vec::new();
    for partitions in partitions.chunk_by(|a, b| a.topic == b.topic) {
        let index = |partition: &siltstone_log::PartitionId| i32::try_from(partition.index).ok();
        if let Some(topic) = state.by_id(partitions[0].topic) {
            let partitions = partitions.iter().filter_map(index).collect();
            topics.push(Topic { topic: topic.name.clone(), partitions });
        }
    }
    TransactionState {
        transactional_id: id,
        transaction_state: state_name(row.state).to_owned(),
        transaction_timeout_ms: row.timeout_ms,
        transaction_start_time_ms: row.started,
        producer_id: row.producer_id,
        producer_epoch: row.epoch,
        topics,
        ..TransactionState::default()
    }
}
