//! The Kafka protocol: listener, connections, one file per API.
//!
//! An API's file holds `handle(cx, version, request) -> response`, its versions on the first lines, and what of Kafka's behaviour it
//! keeps. Error codes for our own error types are made in `errors` alone. Nothing here holds state that outlives a connection, but for
//! fetch sessions.

mod answers;
mod config_change;
mod connection;
mod consumer_group_describe;
mod consumer_group_heartbeat;
mod context;
mod dispatch;
mod erase_keys;
mod errors;
mod forget_erasure;
mod frames;
mod held;
mod large;
mod limited;
mod lookup;
mod new_topic;
mod refused;
mod resolved;
mod server;
mod sessions;
mod telemetry;
mod topics;

mod add_offsets_to_txn;
mod add_partitions_to_txn;
mod alter_client_quotas;
mod alter_configs;
mod alter_partition_reassignments;
mod api_versions;
mod create_acls;
mod create_partitions;
mod create_topics;
mod delete_acls;
mod delete_groups;
mod delete_records;
mod delete_topics;
mod describe_acls;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_erasures;
mod describe_groups;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod describe_transactions;
mod describe_user_scram_credentials;
mod elect_leaders;
mod end_txn;
mod ends;
mod fetch;
mod find_coordinator;
mod heartbeat;
mod incremental_alter_configs;
mod init_producer_id;
mod join_group;
mod leave_group;
mod list_config_resources;
mod list_groups;
mod list_offsets;
mod list_partition_reassignments;
mod list_transactions;
mod metadata;
mod offered_offsets;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod offset_for_leader_epoch;
mod produce;
mod sync_group;
mod txn_offset_commit;
mod update_features;
mod write_txn_markers;

#[cfg(test)]
mod admin_tests;

pub use context::{Broker, Context};
pub use server::{NamedListener, ServerLimits, run, run_all};
