//! The broker configs that an agent uses itself, typed. Defaults for topics are not here: see [`crate::TopicConfig`].

use crate::broker::{general, groups, network, transactions};
use crate::definition::Definition;
use crate::layers::{BrokerLayers, broker_candidates};
use crate::value::{Normalised, Value};

/// The honoured configs of a broker. Each field is the config of its name; times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerConfig {
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topics: bool,
    /// `num.partitions`, at least 1.
    pub num_partitions: u32,
    /// `default.replication.factor`, as it is given: any number.
    pub default_replication_factor: i32,
    /// `max.request.partition.size.limit`.
    pub max_request_partitions: u32,
    /// `socket.request.max.bytes`.
    pub socket_request_max_bytes: u32,
    /// `socket.listen.backlog.size`.
    pub socket_listen_backlog: u32,
    /// `connections.max.idle.ms`; `None` (a negative value) is for ever.
    pub connections_max_idle_ms: Option<u64>,
    /// `max.connections`.
    pub max_connections: u32,
    /// `fetch.max.bytes`.
    pub fetch_max_bytes: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub max_fetch_sessions: u32,
    /// `telemetry.max.bytes`.
    pub telemetry_max_bytes: u32,
    /// Groups of the classic protocol.
    pub classic_groups: ClassicGroups,
    /// Groups of the consumer protocol (KIP-848).
    pub consumer_groups: ConsumerGroups,
    /// Committed offsets.
    pub offsets: Offsets,
    /// Producer ids and transactions.
    pub transactions: Transactions,
}

/// `group.*` of the classic protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassicGroups {
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub min_session_timeout_ms: u64,
    /// `group.max.session.timeout.ms`.
    pub max_session_timeout_ms: u64,
    /// `group.max.size`, members.
    pub max_size: u32,
}

/// `group.consumer.*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerGroups {
    /// `group.consumer.assignors`, the default first.
    pub assignors: Vec<String>,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: u64,
    /// `group.consumer.min.heartbeat.interval.ms`.
    pub min_heartbeat_interval_ms: u64,
    /// `group.consumer.max.heartbeat.interval.ms`.
    pub max_heartbeat_interval_ms: u64,
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout_ms: u64,
    /// `group.consumer.min.session.timeout.ms`.
    pub min_session_timeout_ms: u64,
    /// `group.consumer.max.session.timeout.ms`.
    pub max_session_timeout_ms: u64,
    /// `group.consumer.max.size`, members.
    pub max_size: u32,
    /// `group.consumer.migration.policy`: a classic group may become a consumer group.
    pub upgrade: bool,
    /// `group.consumer.migration.policy`: a consumer group may become a classic group.
    pub downgrade: bool,
}

/// `offset*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Offsets {
    /// `offset.metadata.max.bytes`.
    pub metadata_max_bytes: u32,
    /// `offsets.retention.minutes`, in milliseconds.
    pub retention_ms: u64,
    /// `offsets.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `offsets.commit.timeout.ms`.
    pub commit_timeout_ms: u64,
}

/// `producer.*` and `transaction*`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transactions {
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: u64,
    /// `transactional.id.expiration.ms`.
    pub transactional_id_expiration_ms: u64,
    /// `transaction.max.timeout.ms`.
    pub max_timeout_ms: u64,
    /// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
    pub abort_check_interval_ms: u64,
    /// `transaction.remove.expired.transaction.cleanup.interval.ms`.
    pub expiry_check_interval_ms: u64,
}

impl BrokerConfig {
    /// What holds for an agent with these layers. Never fails: what can't be read is passed over (see
    /// [`crate::unusable_broker`]).
    pub fn resolve(layers: BrokerLayers<'_>) -> BrokerConfig {
        let view = View { layers };
        BrokerConfig {
            auto_create_topics: view.flag(&general::AUTO_CREATE_TOPICS_ENABLE),
            delete_topics: view.flag(&general::DELETE_TOPIC_ENABLE),
            num_partitions: view.small(&general::NUM_PARTITIONS),
            default_replication_factor: i32::try_from(view.integer(&general::DEFAULT_REPLICATION_FACTOR))
                .unwrap_or(1),
            max_request_partitions: view.small(&general::MAX_REQUEST_PARTITION_SIZE_LIMIT),
            socket_request_max_bytes: view.small(&network::SOCKET_REQUEST_MAX_BYTES),
            socket_listen_backlog: view.small(&network::SOCKET_LISTEN_BACKLOG_SIZE),
            connections_max_idle_ms: u64::try_from(view.integer(&network::CONNECTIONS_MAX_IDLE_MS)).ok(),
            max_connections: view.small(&network::MAX_CONNECTIONS),
            fetch_max_bytes: view.small(&network::FETCH_MAX_BYTES),
            max_fetch_sessions: view.small(&network::MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS),
            telemetry_max_bytes: view.small(&network::TELEMETRY_MAX_BYTES),
            classic_groups: view.classic_groups(),
            consumer_groups: view.consumer_groups(),
            offsets: view.offsets(),
            transactions: view.transactions(),
        }
    }
}

impl Default for BrokerConfig {
    /// Kafka's defaults.
    fn default() -> BrokerConfig {
        BrokerConfig::resolve(BrokerLayers::none())
    }
}

/// Every config read here has a default of its kind (a test sees to it), so the fall-backs are never used.
struct View<'a> {
    layers: BrokerLayers<'a>,
}

impl View<'_> {
    fn value(&self, definition: &'static Definition) -> Option<Normalised> {
        broker_candidates(definition, self.layers).next().map(|winner| winner.converted())
    }

    fn flag(&self, definition: &'static Definition) -> bool {
        matches!(self.value(definition).map(|value| value.value), Some(Value::Boolean(true)))
    }

    fn integer(&self, definition: &'static Definition) -> i64 {
        self.value(definition).and_then(|value| value.integer()).unwrap_or_default()
    }

    fn small(&self, definition: &'static Definition) -> u32 {
        u32::try_from(self.integer(definition).max(0)).unwrap_or(u32::MAX)
    }

    fn time(&self, definition: &'static Definition) -> u64 {
        u64::try_from(self.integer(definition)).unwrap_or_default()
    }

    fn classic_groups(&self) -> ClassicGroups {
        ClassicGroups {
            initial_rebalance_delay_ms: self.time(&groups::GROUP_INITIAL_REBALANCE_DELAY_MS),
            min_session_timeout_ms: self.time(&groups::GROUP_MIN_SESSION_TIMEOUT_MS),
            max_session_timeout_ms: self.time(&groups::GROUP_MAX_SESSION_TIMEOUT_MS),
            max_size: self.small(&groups::GROUP_MAX_SIZE),
        }
    }

    fn consumer_groups(&self) -> ConsumerGroups {
        let policy =
            self.value(&groups::GROUP_CONSUMER_MIGRATION_POLICY).map(|value| value.text).unwrap_or_default();
        let assignors = self.value(&groups::GROUP_CONSUMER_ASSIGNORS);
        ConsumerGroups {
            assignors: assignors.as_ref().and_then(Normalised::items).unwrap_or_default().to_vec(),
            heartbeat_interval_ms: self.time(&groups::GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS),
            min_heartbeat_interval_ms: self.time(&groups::GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS),
            max_heartbeat_interval_ms: self.time(&groups::GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS),
            session_timeout_ms: self.time(&groups::GROUP_CONSUMER_SESSION_TIMEOUT_MS),
            min_session_timeout_ms: self.time(&groups::GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS),
            max_session_timeout_ms: self.time(&groups::GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS),
            max_size: self.small(&groups::GROUP_CONSUMER_MAX_SIZE),
            upgrade: matches!(policy.as_str(), "bidirectional" | "upgrade"),
            downgrade: matches!(policy.as_str(), "bidirectional" | "downgrade"),
        }
    }

    fn offsets(&self) -> Offsets {
        Offsets {
            metadata_max_bytes: self.small(&groups::OFFSET_METADATA_MAX_BYTES),
            retention_ms: self.time(&groups::OFFSETS_RETENTION_MINUTES).saturating_mul(60_000),
            retention_check_interval_ms: self.time(&groups::OFFSETS_RETENTION_CHECK_INTERVAL_MS),
            commit_timeout_ms: self.time(&groups::OFFSETS_COMMIT_TIMEOUT_MS),
        }
    }

    fn transactions(&self) -> Transactions {
        Transactions {
            producer_id_expiration_ms: self.time(&transactions::PRODUCER_ID_EXPIRATION_MS),
            transactional_id_expiration_ms: self.time(&transactions::TRANSACTIONAL_ID_EXPIRATION_MS),
            max_timeout_ms: self.time(&transactions::TRANSACTION_MAX_TIMEOUT_MS),
            abort_check_interval_ms: self
                .time(&transactions::TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS),
            expiry_check_interval_ms: self
                .time(&transactions::TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS),
        }
    }
}

#[cfg(test)]
#[path = "broker_config_tests.rs"]
mod tests;
