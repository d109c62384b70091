//! AddPartitionsToTxn, versions 0 to 5: what a client of transaction version 1 is going to write to (KIP-98), or, from version 4 on, many transactions at once
//! (KIP-890), some only to be looked at.

use std::collections::BTreeSet;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::add_partitions_to_txn::request::{Topic, Transaction};
use siltstone_kafka::add_partitions_to_txn::response::{PartitionResult, TopicResult, TransactionResult};
use siltstone_kafka::add_partitions_to_txn::{Request, Response};
use siltstone_log::PartitionId;

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};

/// The first version with many transactions.
const BATCHED: i16 = 4;
/// The first version whose clients know PRODUCER_FENCED.
const KNOWS_FENCED: i16 = 2;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let mut response = Response::default();
    if version < BATCHED {
        let only = Transaction {
            transactional_id: request.v3_and_below_transactional_id,
            producer_id: request.v3_and_below_producer_id,
            producer_epoch: request.v3_and_below_producer_epoch,
            verify_only: false,
            topics: request.v3_and_below_topics,
        };
        response.results_by_topic_v3_and_below = one(cx, version, &mut topics, &only).await;
        return response;
    }
    for transaction in request.transactions {
        let topic_results = one(cx, version, &mut topics, &transaction).await;
        let transactional_id = transaction.transactional_id;
        response.results_by_transaction.push(TransactionResult { transactional_id, topic_results });
    }
    response
}

type Found = Result<PartitionId, ErrorCode>;

/// Adds all partitions of a transaction, or none: then those that exist are told that nothing was tried.
async fn one(
    cx: &Context,
    version: i16,
    topics: &mut Topics<'_>,
    transaction: &Transaction,
) -> Vec<TopicResult> {
    let mut found: Vec<Vec<(i32, Found)>> = Vec::with_capacity(transaction.topics.len());
    for topic in &transaction.topics {
        found.push(look_up(topics, topic).await);
    }
    let all: Vec<PartitionId> =
        found.iter().flatten().filter_map(|(_, found)| found.as_ref().ok().copied()).collect();
    let complete = found.iter().flatten().all(|(_, found)| found.is_ok());
    let done =
        if complete { act(cx, transaction, &all).await } else { Err(ErrorCode::OperationNotAttempted) };
    let done = done.map_err(|code| match code {
        ErrorCode::ProducerFenced if version < KNOWS_FENCED => ErrorCode::InvalidProducerEpoch,
        other => other,
    });
    let told = |found: Found| match (found, &done) {
        (Err(code), _) => code,
        (Ok(_), Err(code)) => *code,
        (Ok(partition), Ok(in_it)) if in_it.contains(&partition) => ErrorCode::None,
        (Ok(_), Ok(_)) => ErrorCode::TransactionAbortable,
    };
    let results = |partitions: Vec<(i32, Found)>| {
        let result = |(index, found)| PartitionResult {
            partition_index: index,
            partition_error_code: told(found).code(),
        };
        partitions.into_iter().map(result).collect()
    };
    let topics = transaction.topics.iter().zip(found);
    topics
        .map(|(topic, found)| TopicResult { name: topic.name.clone(), results_by_partition: results(found) })
        .collect()
}

async fn look_up(topics: &mut Topics<'_>, topic: &Topic) -> Vec<(i32, Found)> {
    let key = TopicKey::Name(topic.name.as_str().into());
    let mut found = Vec::with_capacity(topic.partitions.len());
    for index in topic.partitions.iter().copied() {
        let place = topics.partition(&key, index).await;
        found.push((index, place.map(|(_, partition)| partition)));
    }
    found
}

/// The partitions that belong to the transaction then.
async fn act(
    cx: &Context,
    transaction: &Transaction,
    partitions: &[PartitionId],
) -> Result<BTreeSet<PartitionId>, ErrorCode> {
    let transactions = cx.engine().transactions();
    let (id, producer) =
        (transaction.transactional_id.as_str(), (transaction.producer_id, transaction.producer_epoch));
    let done = if transaction.verify_only {
        transactions.verify_partitions(id, producer, partitions).await
    } else {
        let added = transactions.add_partitions(id, producer, partitions).await;
        added.map(|()| partitions.iter().copied().collect())
    };
    done.map_err(|error| {
        tracing::debug!(id, %error, "partitions were not added to a transaction");
        errors::transaction(&error, true)
    })
}
