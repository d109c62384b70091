//! Consumer groups and their offsets.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{INTERNAL_TOPICS, PROTOCOLS, THREADS};
use crate::rule::Rule;

/// `group.initial.rebalance.delay.ms`.
pub(crate) const GROUP_INITIAL_REBALANCE_DELAY_MS: Definition =
    Definition::new(Kind::Int, "group.initial.rebalance.delay.ms", "3000").scope(Scope::ReadOnly).doc(
        "How long a new classic group waits for more members before its first rebalance, in \
         milliseconds.",
    );

/// `group.min.session.timeout.ms`.
pub(crate) const GROUP_MIN_SESSION_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "group.min.session.timeout.ms", "6000")
        .scope(Scope::ReadOnly)
        .doc("The shortest session timeout that a classic member may ask for, in milliseconds.");

/// `group.max.session.timeout.ms`.
pub(crate) const GROUP_MAX_SESSION_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "group.max.session.timeout.ms", "1800000")
        .scope(Scope::ReadOnly)
        .doc("The longest session timeout that a classic member may ask for, in milliseconds.");

/// `group.max.size`.
pub(crate) const GROUP_MAX_SIZE: Definition = Definition::new(Kind::Int, "group.max.size", "2147483647")
    .rule(Rule::AtLeast(1))
    .scope(Scope::ReadOnly)
    .doc("How many members a classic group may have.");

/// `group.consumer.assignors`.
pub(crate) const GROUP_CONSUMER_ASSIGNORS: Definition =
    Definition::new(Kind::List, "group.consumer.assignors", "uniform,range")
        .scope(Scope::ReadOnly)
        .doc("The server-side assignors of consumer groups, the default first.");

/// `group.consumer.heartbeat.interval.ms`.
pub(crate) const GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.heartbeat.interval.ms", "5000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How often members of a consumer group send heartbeats, in milliseconds.");

/// `group.consumer.min.heartbeat.interval.ms`.
pub(crate) const GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.min.heartbeat.interval.ms", "5000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The shortest heartbeat interval that a group may set, in milliseconds.");

/// `group.consumer.max.heartbeat.interval.ms`.
pub(crate) const GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.max.heartbeat.interval.ms", "15000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The longest heartbeat interval that a group may set, in milliseconds.");

/// `group.consumer.session.timeout.ms`.
pub(crate) const GROUP_CONSUMER_SESSION_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.session.timeout.ms", "45000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc(
            "After how many milliseconds without heartbeat a member of a consumer group is \
             removed.",
        );

/// `group.consumer.min.session.timeout.ms`.
pub(crate) const GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.min.session.timeout.ms", "45000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The shortest session timeout that a group may set, in milliseconds.");

/// `group.consumer.max.session.timeout.ms`.
pub(crate) const GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "group.consumer.max.session.timeout.ms", "60000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The longest session timeout that a group may set, in milliseconds.");

/// `group.consumer.max.size`.
pub(crate) const GROUP_CONSUMER_MAX_SIZE: Definition =
    Definition::new(Kind::Int, "group.consumer.max.size", "2147483647")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How many members a consumer group may have.");

/// `group.consumer.migration.policy`.
pub(crate) const GROUP_CONSUMER_MIGRATION_POLICY: Definition =
    Definition::new(Kind::String, "group.consumer.migration.policy", "bidirectional")
        .rule(Rule::OneOfAnyCase(&["DISABLED", "DOWNGRADE", "UPGRADE", "BIDIRECTIONAL"]))
        .scope(Scope::ReadOnly)
        .doc("Whether groups change between the classic and the consumer protocol while they run.");

/// `offset.metadata.max.bytes`.
pub(crate) const OFFSET_METADATA_MAX_BYTES: Definition =
    Definition::new(Kind::Int, "offset.metadata.max.bytes", "4096")
        .scope(Scope::ReadOnly)
        .doc("The longest note that may go with a committed offset, in bytes.");

/// `offsets.retention.minutes`.
pub(crate) const OFFSETS_RETENTION_MINUTES: Definition =
    Definition::new(Kind::Int, "offsets.retention.minutes", "10080")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How long offsets of a group without members are kept, in minutes.");

/// `offsets.retention.check.interval.ms`.
pub(crate) const OFFSETS_RETENTION_CHECK_INTERVAL_MS: Definition =
    Definition::new(Kind::Long, "offsets.retention.check.interval.ms", "600000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How often expired offsets are looked for, in milliseconds.");

/// `offsets.commit.timeout.ms`.
pub(crate) const OFFSETS_COMMIT_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "offsets.commit.timeout.ms", "5000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How long a commit of offsets may take, in milliseconds.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    Definition::new(Kind::List, "group.coordinator.rebalance.protocols", "classic,consumer,streams")
        .rule(Rule::ItemsOf(&["consumer", "classic", "share", "streams"]))
        .scope(Scope::ReadOnly)
        .refused(PROTOCOLS)
        .doc("The group protocols on offer."),
    Definition::new(Kind::Int, "group.coordinator.threads", "4")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(THREADS)
        .doc("How many threads serve groups."),
    Definition::new(Kind::Int, "group.coordinator.append.linger.ms", "-1")
        .rule(Rule::AtLeast(-1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("How long group changes wait to be written together."),
    GROUP_INITIAL_REBALANCE_DELAY_MS,
    GROUP_MIN_SESSION_TIMEOUT_MS,
    GROUP_MAX_SESSION_TIMEOUT_MS,
    GROUP_MAX_SIZE,
    GROUP_CONSUMER_ASSIGNORS,
    GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS,
    GROUP_CONSUMER_MIN_HEARTBEAT_INTERVAL_MS,
    GROUP_CONSUMER_MAX_HEARTBEAT_INTERVAL_MS,
    GROUP_CONSUMER_SESSION_TIMEOUT_MS,
    GROUP_CONSUMER_MIN_SESSION_TIMEOUT_MS,
    GROUP_CONSUMER_MAX_SESSION_TIMEOUT_MS,
    GROUP_CONSUMER_MAX_SIZE,
    GROUP_CONSUMER_MIGRATION_POLICY,
    OFFSET_METADATA_MAX_BYTES,
    OFFSETS_RETENTION_MINUTES,
    OFFSETS_RETENTION_CHECK_INTERVAL_MS,
    OFFSETS_COMMIT_TIMEOUT_MS,
    Definition::new(Kind::Int, "offsets.load.buffer.size", "5242880")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("How much of the offsets topic is read at once."),
    Definition::new(Kind::Int, "offsets.topic.compression.codec", "0")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The codec of the offsets topic."),
    Definition::new(Kind::Int, "offsets.topic.num.partitions", "50")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("How many partitions the offsets topic has."),
    Definition::new(Kind::Short, "offsets.topic.replication.factor", "3")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The replication factor of the offsets topic."),
    Definition::new(Kind::Int, "offsets.topic.segment.bytes", "104857600")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The file size of the offsets topic."),
];
