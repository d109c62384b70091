//! From a request to the file of its API.

use siltstone_kafka::{ApiKey, Request, Response};

use super::context::Context;
use super::held::{Held, NextTurn};
use super::{
    add_offsets_to_txn, add_partitions_to_txn, alter_client_quotas, alter_configs,
    alter_partition_reassignments, api_versions, consumer_group_describe, consumer_group_heartbeat,
    create_acls, create_partitions, create_topics, delete_acls, delete_groups, delete_records, delete_topics,
    describe_acls, describe_client_quotas, describe_cluster, describe_configs, describe_erasures,
    describe_groups, describe_log_dirs, describe_producers, describe_topic_partitions, describe_transactions,
    describe_user_scram_credentials, elect_leaders, end_txn, erase_keys, fetch, find_coordinator,
    forget_erasure, heartbeat, incremental_alter_configs, init_producer_id, join_group, leave_group,
    list_config_resources, list_groups, list_offsets, list_partition_reassignments, list_transactions,
    metadata, offset_commit, offset_delete, offset_fetch, offset_for_leader_epoch, sync_group,
    txn_offset_commit, update_features, write_txn_markers,
};

/// What is served, in the order of keys. Everything else closes the connection, as in Kafka.
pub(super) const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::OffsetCommit,
    ApiKey::OffsetFetch,
    ApiKey::FindCoordinator,
    ApiKey::JoinGroup,
    ApiKey::Heartbeat,
    ApiKey::LeaveGroup,
    ApiKey::SyncGroup,
    ApiKey::DescribeGroups,
    ApiKey::ListGroups,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::AddPartitionsToTxn,
    ApiKey::AddOffsetsToTxn,
    ApiKey::EndTxn,
    ApiKey::WriteTxnMarkers,
    ApiKey::TxnOffsetCommit,
    ApiKey::DescribeAcls,
    ApiKey::CreateAcls,
    ApiKey::DeleteAcls,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::DeleteGroups,
    ApiKey::ElectLeaders,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::AlterPartitionReassignments,
    ApiKey::ListPartitionReassignments,
    ApiKey::OffsetDelete,
    ApiKey::DescribeClientQuotas,
    ApiKey::AlterClientQuotas,
    ApiKey::DescribeUserScramCredentials,
    ApiKey::UpdateFeatures,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTransactions,
    ApiKey::ListTransactions,
    ApiKey::ListConfigResources,
    ApiKey::ConsumerGroupHeartbeat,
    ApiKey::ConsumerGroupDescribe,
    ApiKey::DescribeTopicPartitions,
];

/// Served too, and no client is told: our own command knows of them.
pub(super) const OWN: &[ApiKey] = &[ApiKey::EraseKeys, ApiKey::DescribeErasures, ApiKey::ForgetErasure];

/// Whether a request of this API and version is answered.
pub(super) fn serves(api: ApiKey, version: i16) -> bool {
    (SERVED.contains(&api) || OWN.contains(&api))
        && api.supports(version)
        && version <= *api.advertised().end()
}

/// Requests of the control plane may not be larger: their answers can be many times their size. Some 100,000 topics' names fit.
const MOST_CONTROL_BYTES: usize = 4 << 20;

/// The largest request of this API that is looked at.
pub(super) fn most_bytes(api: ApiKey) -> usize {
    match api {
        ApiKey::Produce | ApiKey::Fetch | ApiKey::ListOffsets | ApiKey::OffsetForLeaderEpoch => usize::MAX,
        _ => MOST_CONTROL_BYTES,
    }
}

/// Answers a request of any API but Produce, which the connection handles itself; with the memory that the answer holds until it is
/// written. `None`: not served.
pub(super) async fn answer(
    cx: &Context,
    version: i16,
    request: Request,
    turn: Option<NextTurn>,
) -> Option<(Response, Option<Held>)> {
    if let Request::Fetch(r) = request {
        let (response, held) = fetch::handle(cx, version, r, turn?).await;
        return Some((Response::Fetch(response), held));
    }
    small(cx, version, request).await.map(|response| (response, None))
}

async fn small(cx: &Context, version: i16, request: Request) -> Option<Response> {
    Some(match request {
        Request::ApiVersions(r) => Response::ApiVersions(api_versions::handle(cx, version, r).await),
        Request::ListOffsets(r) => Response::ListOffsets(list_offsets::handle(cx, version, r).await),
        Request::Metadata(r) => Response::Metadata(metadata::handle(cx, version, r).await),
        Request::FindCoordinator(r) => {
            Response::FindCoordinator(find_coordinator::handle(cx, version, r).await)
        }
        Request::CreateTopics(r) => Response::CreateTopics(create_topics::handle(cx, version, r).await),
        Request::DeleteTopics(r) => Response::DeleteTopics(delete_topics::handle(cx, version, r).await),
        Request::DeleteRecords(r) => Response::DeleteRecords(delete_records::handle(cx, version, r).await),
        Request::InitProducerId(r) => {
            Response::InitProducerId(init_producer_id::handle(cx, version, r).await)
        }
        Request::OffsetForLeaderEpoch(r) => {
            Response::OffsetForLeaderEpoch(offset_for_leader_epoch::handle(cx, version, r).await)
        }
        Request::DescribeConfigs(r) => {
            Response::DescribeConfigs(describe_configs::handle(cx, version, r).await)
        }
        Request::AlterConfigs(r) => Response::AlterConfigs(alter_configs::handle(cx, version, r).await),
        Request::DescribeLogDirs(r) => {
            Response::DescribeLogDirs(describe_log_dirs::handle(cx, version, r).await)
        }
        Request::CreatePartitions(r) => {
            Response::CreatePartitions(create_partitions::handle(cx, version, r).await)
        }
        Request::IncrementalAlterConfigs(r) => {
            Response::IncrementalAlterConfigs(incremental_alter_configs::handle(cx, version, r).await)
        }
        Request::ListPartitionReassignments(r) => {
            Response::ListPartitionReassignments(list_partition_reassignments::handle(cx, version, r).await)
        }
        Request::DescribeClientQuotas(r) => {
            Response::DescribeClientQuotas(describe_client_quotas::handle(cx, version, r).await)
        }
        Request::DescribeCluster(r) => {
            Response::DescribeCluster(describe_cluster::handle(cx, version, r).await)
        }
        Request::DescribeProducers(r) => {
            Response::DescribeProducers(describe_producers::handle(cx, version, r).await)
        }
        Request::DescribeTopicPartitions(r) => {
            Response::DescribeTopicPartitions(describe_topic_partitions::handle(cx, version, r).await)
        }
        Request::AlterClientQuotas(r) => {
            Response::AlterClientQuotas(alter_client_quotas::handle(cx, version, r).await)
        }
        Request::AlterPartitionReassignments(r) => {
            Response::AlterPartitionReassignments(alter_partition_reassignments::handle(cx, version, r).await)
        }
        Request::CreateAcls(r) => Response::CreateAcls(create_acls::handle(cx, version, r).await),
        Request::DeleteAcls(r) => Response::DeleteAcls(delete_acls::handle(cx, version, r).await),
        Request::DescribeAcls(r) => Response::DescribeAcls(describe_acls::handle(cx, version, r).await),
        Request::DescribeUserScramCredentials(r) => Response::DescribeUserScramCredentials(
            describe_user_scram_credentials::handle(cx, version, r).await,
        ),
        Request::ElectLeaders(r) => Response::ElectLeaders(elect_leaders::handle(cx, version, r).await),
        Request::ListConfigResources(r) => {
            Response::ListConfigResources(list_config_resources::handle(cx, version, r).await)
        }
        Request::UpdateFeatures(r) => Response::UpdateFeatures(update_features::handle(cx, version, r).await),
        Request::EraseKeys(r) => Response::EraseKeys(erase_keys::handle(cx, version, r).await),
        Request::DescribeErasures(r) => {
            Response::DescribeErasures(describe_erasures::handle(cx, version, r).await)
        }
        Request::ForgetErasure(r) => Response::ForgetErasure(forget_erasure::handle(cx, version, r).await),
        request => return groups(cx, version, request).await,
    })
}

/// The answers about groups.
async fn groups(cx: &Context, version: i16, request: Request) -> Option<Response> {
    Some(match request {
        Request::ConsumerGroupHeartbeat(r) => {
            Response::ConsumerGroupHeartbeat(consumer_group_heartbeat::handle(cx, version, r).await)
        }
        Request::ConsumerGroupDescribe(r) => {
            Response::ConsumerGroupDescribe(consumer_group_describe::handle(cx, version, r).await)
        }
        Request::JoinGroup(r) => Response::JoinGroup(join_group::handle(cx, version, r).await),
        Request::SyncGroup(r) => Response::SyncGroup(sync_group::handle(cx, version, r).await),
        Request::Heartbeat(r) => Response::Heartbeat(heartbeat::handle(cx, version, r).await),
        Request::LeaveGroup(r) => Response::LeaveGroup(leave_group::handle(cx, version, r).await),
        Request::OffsetCommit(r) => Response::OffsetCommit(offset_commit::handle(cx, version, r).await),
        Request::OffsetFetch(r) => Response::OffsetFetch(offset_fetch::handle(cx, version, r).await),
        Request::OffsetDelete(r) => Response::OffsetDelete(offset_delete::handle(cx, version, r).await),
        Request::DescribeGroups(r) => Response::DescribeGroups(describe_groups::handle(cx, version, r).await),
        Request::ListGroups(r) => Response::ListGroups(list_groups::handle(cx, version, r).await),
        Request::DeleteGroups(r) => Response::DeleteGroups(delete_groups::handle(cx, version, r).await),
        request => return transactions(cx, version, request).await,
    })
}

/// The answers about transactions.
async fn transactions(cx: &Context, version: i16, request: Request) -> Option<Response> {
    Some(match request {
        Request::AddPartitionsToTxn(r) => {
            Response::AddPartitionsToTxn(add_partitions_to_txn::handle(cx, version, r).await)
        }
        Request::AddOffsetsToTxn(r) => {
            Response::AddOffsetsToTxn(add_offsets_to_txn::handle(cx, version, r).await)
        }
        Request::EndTxn(r) => Response::EndTxn(end_txn::handle(cx, version, r).await),
        Request::TxnOffsetCommit(r) => {
            Response::TxnOffsetCommit(txn_offset_commit::handle(cx, version, r).await)
        }
        Request::WriteTxnMarkers(r) => {
            Response::WriteTxnMarkers(write_txn_markers::handle(cx, version, r).await)
        }
        Request::ListTransactions(r) => {
            Response::ListTransactions(list_transactions::handle(cx, version, r).await)
        }
        Request::DescribeTransactions(r) => {
            Response::DescribeTransactions(describe_transactions::handle(cx, version, r).await)
        }
        _ => return None,
    })
}
