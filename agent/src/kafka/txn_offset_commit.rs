//! TxnOffsetCommit, versions 0 to 5: offsets that are committed with a transaction. From version 5 on the group needn't be added first (KIP-890).

use siltstone_kafka::txn_offset_commit::response::{Partition, Topic};
use siltstone_kafka::txn_offset_commit::{Request, Response};
use siltstone_metadata::transaction::Claim;

use super::context::Context;
use super::errors;
use super::lookup::{TopicKey, Topics};
use super::offered_offsets::{Offered, OfferedOffsets};
use crate::group::{Groups, OffsetCommitter, OffsetTransaction};
use crate::transaction::Transactions;

/// The first version in which the transaction takes up a group by the commit of its offsets.
const IMPLICIT: i16 = 5;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let config = cx.broker.broker_config();
    let mut all = OfferedOffsets::new(cx, None);
    let mut topics = Topics::new(cx);
    let mut answer = Response::default();
    for topic in request.topics {
        let key = TopicKey::Name(topic.name.as_str().into());
        let mut told = Topic { name: topic.name, partitions: Vec::new() };
        for wanted in topic.partitions {
            let partition_index = wanted.partition_index;
            let offered = Offered {
                partition_index,
                offset: wanted.committed_offset,
                leader_epoch: wanted.committed_leader_epoch,
                metadata: wanted.committed_metadata,
            };
            let place = (answer.topics.len(), told.partitions.len());
            let error_code = all.take(&mut topics, &key, offered, place).await;
            told.partitions.push(Partition { partition_index, error_code });
        }
        answer.topics.push(told);
    }
    let who = OffsetCommitter {
        member: request.member_id,
        instance: request.group_instance_id,
        generation: request.generation_id,
        version,
    };
    let claim = Claim {
        producer_id: request.producer_id,
        epoch: request.producer_epoch,
        implicit: version >= IMPLICIT,
    };
    let transaction = OffsetTransaction { id: request.transactional_id, claim };
    let checked = Groups::check_member_id(&request.group_id).map_err(|error| errors::group(&error));
    let checked = checked.and_then(|()| {
        Transactions::check_id(&transaction.id).map_err(|error| errors::transaction(&error, true))
    });
    let done = match checked {
        Ok(()) => {
            let groups = cx.engine().groups();
            let shown = tracing::enabled!(tracing::Level::DEBUG).then(|| (who.clone(), all.offsets.len()));
            let done = groups.commit_with(&config, &request.group_id, who, transaction, all.offsets).await;
            if let Some((who, offsets)) = shown {
                tracing::debug!(group = %request.group_id, ?who, offsets, ?done, "offsets for a transaction");
            }
            done.map_err(|error| errors::pending_offsets(&error, version))
        }
        Err(code) => Err(code),
    };
    if let Err(code) = done {
        for (topic, partition) in all.open {
            answer.topics[topic].partitions[partition].error_code = code.code();
        }
    }
    answer
}
