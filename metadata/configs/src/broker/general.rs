//! Who the agent is and where it listens, and what a topic gets when it is created without saying.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{CONTROLLERS, DRAIN, DURABLE, INTERNAL_TRAFFIC, JAVA, REPLICAS};
use crate::rule::Rule;

/// `node.id`.
pub(crate) const NODE_ID: Definition = Definition::unset(Kind::Int, "node.id")
    .rule(Rule::AtLeast(0))
    .scope(Scope::ReadOnly)
    .doc("The number under which clients know this agent.");

/// `broker.id`.
pub(crate) const BROKER_ID: Definition =
    Definition::new(Kind::Int, "broker.id", "-1").scope(Scope::ReadOnly).doc("An older name of node.id.");

/// `broker.rack`.
pub(crate) const BROKER_RACK: Definition = Definition::unset(Kind::String, "broker.rack")
    .scope(Scope::ReadOnly)
    .doc("The agent's zone, compared with a consumer's client.rack.");

/// `listeners`.
pub(crate) const LISTENERS: Definition = Definition::new(Kind::List, "listeners", "PLAINTEXT://:9092")
    .scope(Scope::ReadOnly)
    .doc("The addresses on which the agent listens.");

/// `advertised.listeners`.
pub(crate) const ADVERTISED_LISTENERS: Definition = Definition::unset(Kind::List, "advertised.listeners")
    .scope(Scope::ReadOnly)
    .doc("The addresses that clients are told to connect to.");

/// `listener.security.protocol.map`.
pub(crate) const LISTENER_SECURITY_PROTOCOL_MAP: Definition = Definition::new(
    Kind::String,
    "listener.security.protocol.map",
    "SASL_SSL:SASL_SSL,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT",
)
.scope(Scope::ReadOnly)
.doc("Which security protocol each listener speaks.");

/// `auto.create.topics.enable`.
pub(crate) const AUTO_CREATE_TOPICS_ENABLE: Definition =
    Definition::new(Kind::Boolean, "auto.create.topics.enable", "true").scope(Scope::ReadOnly).doc(
        "Whether a topic is created when a client that allows it asks for a topic which is \
         not there.",
    );

/// `num.partitions`.
pub(crate) const NUM_PARTITIONS: Definition = Definition::new(Kind::Int, "num.partitions", "1")
    .rule(Rule::AtLeast(1))
    .scope(Scope::ReadOnly)
    .doc("How many partitions a topic gets when nobody says.");

/// `default.replication.factor`.
pub(crate) const DEFAULT_REPLICATION_FACTOR: Definition =
    Definition::new(Kind::Int, "default.replication.factor", "1").scope(Scope::ReadOnly).doc(
        "The replication factor that a topic is given when nobody says. It is kept and \
         reported; how often data is stored is the object store's matter.",
    );

/// `delete.topic.enable`.
pub(crate) const DELETE_TOPIC_ENABLE: Definition =
    Definition::new(Kind::Boolean, "delete.topic.enable", "true")
        .scope(Scope::ReadOnly)
        .doc("Whether topics may be deleted.");

/// `max.request.partition.size.limit`.
pub(crate) const MAX_REQUEST_PARTITION_SIZE_LIMIT: Definition =
    Definition::new(Kind::Int, "max.request.partition.size.limit", "2000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .doc("How many partitions one DescribeTopicPartitions answer may hold.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    NODE_ID,
    BROKER_ID,
    BROKER_RACK,
    Definition::unset(Kind::List, "process.roles")
        .rule(Rule::ItemsOf(&["broker", "controller"]))
        .scope(Scope::ReadOnly)
        .no_effect(CONTROLLERS)
        .doc("Whether a process is a broker, a controller or both."),
    LISTENERS,
    ADVERTISED_LISTENERS,
    LISTENER_SECURITY_PROTOCOL_MAP,
    Definition::unset(Kind::String, "inter.broker.listener.name")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("The listener over which brokers talk to each other."),
    Definition::new(Kind::String, "security.inter.broker.protocol", "PLAINTEXT")
        .rule(Rule::OneOf(&["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]))
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("The security protocol which brokers use among themselves."),
    Definition::unset(Kind::List, "early.start.listeners")
        .scope(Scope::ReadOnly)
        .no_effect(INTERNAL_TRAFFIC)
        .doc("Listeners that open before authorization is ready."),
    Definition::unset(Kind::List, "controller.listener.names")
        .scope(Scope::ReadOnly)
        .no_effect(CONTROLLERS)
        .doc("The listeners that controllers use."),
    Definition::new(Kind::List, "controller.quorum.voters", "")
        .scope(Scope::ReadOnly)
        .no_effect(CONTROLLERS)
        .doc("The controllers that vote."),
    Definition::new(Kind::List, "controller.quorum.bootstrap.servers", "")
        .scope(Scope::ReadOnly)
        .no_effect(CONTROLLERS)
        .doc("Where the controllers are found."),
    AUTO_CREATE_TOPICS_ENABLE,
    NUM_PARTITIONS,
    DEFAULT_REPLICATION_FACTOR,
    DELETE_TOPIC_ENABLE,
    Definition::new(Kind::Int, "min.insync.replicas", "1")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(DURABLE)
        .doc("How many replicas must have a batch before it is acknowledged with acks=all."),
    Definition::new(Kind::Boolean, "unclean.leader.election.enable", "false")
        .scope(Scope::ClusterWide)
        .no_effect(REPLICAS)
        .doc("Whether a replica that lacks records may become leader when no other is left."),
    Definition::new(Kind::Boolean, "auto.leader.rebalance.enable", "true")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("Whether leadership returns to preferred replicas by itself."),
    Definition::new(Kind::Long, "leader.imbalance.check.interval.seconds", "300")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How often leaders are compared with preferred replicas."),
    Definition::new(Kind::Boolean, "controlled.shutdown.enable", "true")
        .scope(Scope::ReadOnly)
        .no_effect(DRAIN)
        .doc("Whether a broker hands on its leaderships before it ends."),
    Definition::unset(Kind::Class, "create.topic.policy.class.name")
        .scope(Scope::ReadOnly)
        .refused(JAVA)
        .doc("A Java class that judges new topics."),
    Definition::unset(Kind::Class, "alter.config.policy.class.name")
        .scope(Scope::ReadOnly)
        .refused(JAVA)
        .doc("A Java class that judges config changes."),
    MAX_REQUEST_PARTITION_SIZE_LIMIT,
];
