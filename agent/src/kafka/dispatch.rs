//! From a request to the file of its API.

use siltstone_kafka::{ApiKey, Request, Response};

use super::context::Context;
use super::{
    alter_configs, create_partitions, create_topics, delete_records, delete_topics, describe_client_quotas,
    describe_cluster, describe_configs, describe_log_dirs, describe_producers, describe_topic_partitions,
    find_coordinator, incremental_alter_configs, init_producer_id, list_offsets, list_partition_reassignments,
    metadata, offset_for_leader_epoch,
};

/// What is served, in the order of keys. Everything else closes the connection, as in Kafka.
pub(super) const SERVED: &[ApiKey] = &[
    ApiKey::Produce,
    ApiKey::Fetch,
    ApiKey::ListOffsets,
    ApiKey::Metadata,
    ApiKey::FindCoordinator,
    ApiKey::ApiVersions,
    ApiKey::CreateTopics,
    ApiKey::DeleteTopics,
    ApiKey::DeleteRecords,
    ApiKey::InitProducerId,
    ApiKey::OffsetForLeaderEpoch,
    ApiKey::DescribeConfigs,
    ApiKey::AlterConfigs,
    ApiKey::DescribeLogDirs,
    ApiKey::CreatePartitions,
    ApiKey::IncrementalAlterConfigs,
    ApiKey::ListPartitionReassignments,
    ApiKey::DescribeClientQuotas,
    ApiKey::DescribeCluster,
    ApiKey::DescribeProducers,
    ApiKey::DescribeTopicPartitions,
];

/// Answers a request of any API but those that the connection handles itself. `None`: not served.
pub(super) async fn answer(cx: &Context, version: i16, request: Request) -> Option<Response> {
    Some(match request {
        Request::ListOffsets(r) => Response::ListOffsets(list_offsets::handle(cx, version, r).await),
        Request::Metadata(r) => Response::Metadata(metadata::handle(cx, version, r).await),
        Request::FindCoordinator(r) => Response::FindCoordinator(find_coordinator::handle(cx, version, r).await),
        Request::CreateTopics(r) => Response::CreateTopics(create_topics::handle(cx, version, r).await),
        Request::DeleteTopics(r) => Response::DeleteTopics(delete_topics::handle(cx, version, r).await),
        Request::DeleteRecords(r) => Response::DeleteRecords(delete_records::handle(cx, version, r).await),
        Request::InitProducerId(r) => Response::InitProducerId(init_producer_id::handle(cx, version, r).await),
        Request::OffsetForLeaderEpoch(r) => {
            Response::OffsetForLeaderEpoch(offset_for_leader_epoch::handle(cx, version, r).await)
        }
        Request::DescribeConfigs(r) => Response::DescribeConfigs(describe_configs::handle(cx, version, r).await),
        Request::AlterConfigs(r) => Response::AlterConfigs(alter_configs::handle(cx, version, r).await),
        Request::DescribeLogDirs(r) => Response::DescribeLogDirs(describe_log_dirs::handle(cx, version, r).await),
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
        Request::DescribeCluster(r) => Response::DescribeCluster(describe_cluster::handle(cx, version, r).await),
        Request::DescribeProducers(r) => {
            Response::DescribeProducers(describe_producers::handle(cx, version, r).await)
        }
        Request::DescribeTopicPartitions(r) => {
            Response::DescribeTopicPartitions(describe_topic_partitions::handle(cx, version, r).await)
        }
        _ => return None,
    })
}
