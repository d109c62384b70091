//! The Kafka protocol: listener, connections, one file per API.
//!
//! An API's file holds `handle(cx, version, request) -> response`, its versions on the first lines, and what of Kafka's behaviour it
//! keeps. Error codes for our own error types are made in `errors` alone. Nothing here holds state that outlives a connection, but for
//! fetch sessions.

mod context;
mod dispatch;
mod errors;
mod resolved;

mod alter_configs;
mod create_partitions;
mod create_topics;
mod delete_records;
mod delete_topics;
mod describe_client_quotas;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod describe_producers;
mod describe_topic_partitions;
mod find_coordinator;
mod incremental_alter_configs;
mod init_producer_id;
mod list_offsets;
mod list_partition_reassignments;
mod metadata;
mod offset_for_leader_epoch;

pub use context::{Broker, Context};
