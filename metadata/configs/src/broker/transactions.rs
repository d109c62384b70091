//! Producer ids and transactions.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{INTERNAL_TOPICS, TWO_PHASE, VERIFY};
use crate::rule::Rule;

/// `producer.id.expiration.ms`.
pub(crate) const PRODUCER_ID_EXPIRATION_MS: Definition =
    Definition::new(Kind::Int, "producer.id.expiration.ms", "86400000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .doc("After how many milliseconds without use a partition forgets a producer id.");

/// `transactional.id.expiration.ms`.
pub(crate) const TRANSACTIONAL_ID_EXPIRATION_MS: Definition =
    Definition::new(Kind::Int, "transactional.id.expiration.ms", "604800000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("After how many milliseconds without use a transactional id is forgotten.");

/// `transaction.max.timeout.ms`.
pub(crate) const TRANSACTION_MAX_TIMEOUT_MS: Definition =
    Definition::new(Kind::Int, "transaction.max.timeout.ms", "900000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("The longest transaction timeout that a producer may ask for, in milliseconds.");

/// `transaction.abort.timed.out.transaction.cleanup.interval.ms`.
pub(crate) const TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS: Definition =
    Definition::new(Kind::Int, "transaction.abort.timed.out.transaction.cleanup.interval.ms", "10000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How often transactions that have timed out are looked for, in milliseconds.");

/// `transaction.remove.expired.transaction.cleanup.interval.ms`.
pub(crate) const TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS: Definition =
    Definition::new(Kind::Int, "transaction.remove.expired.transaction.cleanup.interval.ms", "3600000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How often expired transactional ids are looked for, in milliseconds.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    PRODUCER_ID_EXPIRATION_MS,
    TRANSACTIONAL_ID_EXPIRATION_MS,
    TRANSACTION_MAX_TIMEOUT_MS,
    TRANSACTION_ABORT_TIMED_OUT_TRANSACTION_CLEANUP_INTERVAL_MS,
    TRANSACTION_REMOVE_EXPIRED_TRANSACTION_CLEANUP_INTERVAL_MS,
    Definition::new(Kind::Boolean, "transaction.partition.verification.enable", "true")
        .scope(Scope::ClusterWide)
        .refused(VERIFY)
        .doc("Whether a partition checks that a transaction is open before it takes its batches."),
    Definition::new(Kind::Boolean, "transaction.two.phase.commit.enable", "false")
        .scope(Scope::ReadOnly)
        .refused(TWO_PHASE)
        .doc("Whether a transaction may be prepared and left to an outside coordinator."),
    Definition::new(Kind::Int, "transaction.state.log.load.buffer.size", "5242880")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("How much of the transactions topic is read at once."),
    Definition::new(Kind::Int, "transaction.state.log.min.isr", "2")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The min.insync.replicas of the transactions topic."),
    Definition::new(Kind::Int, "transaction.state.log.num.partitions", "50")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("How many partitions the transactions topic has."),
    Definition::new(Kind::Short, "transaction.state.log.replication.factor", "3")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The replication factor of the transactions topic."),
    Definition::new(Kind::Int, "transaction.state.log.segment.bytes", "104857600")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TOPICS)
        .doc("The file size of the transactions topic."),
];
