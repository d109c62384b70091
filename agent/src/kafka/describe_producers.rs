//! DescribeProducers, version 0 (KIP-664): the idempotent producers that a partition remembers.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_producers::response::{ActiveProducer, Partition, Topic};
use siltstone_kafka::describe_producers::{Request, Response};
use siltstone_log::{PartitionId, ProducerRow};
use siltstone_metadata::shard::PartitionState;

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let mut topics = Topics::new(cx);
    let mut response = Response::default();
    for wanted in request.topics {
        let key = TopicKey::Name(wanted.name.as_str().into());
        let mut partitions = Vec::with_capacity(wanted.partition_indexes.len());
        for index in wanted.partition_indexes {
            let found = match topics.partition(&key, index).await {
                Ok((_, id)) => producers(cx, id).await,
                Err(code) => Err(code),
            };
            partitions.push(match found {
                Ok(active_producers) => {
                    Partition { partition_index: index, active_producers, ..Partition::default() }
                }
                Err(code) => Partition {
                    partition_index: index,
                    error_code: code.code(),
                    error_message: Some(code.message().to_owned()),
                    ..Partition::default()
                },
            });
        }
        response.topics.push(Topic { name: wanted.name, partitions });
    }
    response
}

async fn producers(cx: &Context, id: PartitionId) -> Result<Vec<ActiveProducer>, ErrorCode> {
    let shard = cx.engine().followers().of(id);
    let failed = |error| errors::shard(&error);
    shard.load(&[id]).await.map_err(failed)?;
    shard.fresh().await.map_err(failed)?;
    let list = |state: &PartitionState| {
        let row = state.row();
        row.producers.iter().map(|(id, producer)| active(*id, producer, row.open.get(id))).collect()
    };
    shard.partition(id, list).map_err(failed)
}

fn active(producer_id: i64, row: &ProducerRow, open: Option<&i64>) -> ActiveProducer {
    let last = row.batches.last().map(|batch| {
        let last = i64::from(batch.first) + i64::from(batch.records) - 1;
        (last % (i64::from(i32::MAX) + 1)) as i32
    });
    ActiveProducer {
        producer_id,
        producer_epoch: i32::from(row.epoch),
        last_sequence: last.unwrap_or(-1),
        last_timestamp: row.last_used,
        coordinator_epoch: -1,
        current_txn_start_offset: open.copied().unwrap_or(-1),
    }
}
