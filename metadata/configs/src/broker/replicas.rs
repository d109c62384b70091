//! Copying between brokers, which agents do not do.

use crate::definition::{Definition, Scope};
use crate::kind::Kind;
use crate::reasons::{FILES, JAVA, REPLICAS};
use crate::rule::Rule;

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    Definition::new(Kind::Int, "num.replica.fetchers", "1")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(REPLICAS)
        .doc("How many threads copy from each other broker."),
    Definition::unset(Kind::Int, "num.replica.alter.log.dirs.threads")
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("How many threads move replicas between directories."),
    Definition::new(Kind::Int, "replica.fetch.backoff.ms", "1000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How long a follower waits after a failed fetch."),
    Definition::new(Kind::Int, "replica.fetch.max.bytes", "1048576")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How much a follower fetches of one partition."),
    Definition::new(Kind::Int, "replica.fetch.min.bytes", "1")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How much a follower waits for."),
    Definition::new(Kind::Int, "replica.fetch.response.max.bytes", "10485760")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How much a follower fetches at once."),
    Definition::new(Kind::Int, "replica.fetch.wait.max.ms", "500")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How long a follower's fetch waits."),
    Definition::new(Kind::Long, "replica.high.watermark.checkpoint.interval.ms", "5000")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How often high watermarks are written to disk."),
    Definition::new(Kind::Long, "replica.lag.time.max.ms", "30000")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How far a follower may lag before it leaves the in-sync replicas."),
    Definition::new(Kind::Int, "replica.socket.receive.buffer.bytes", "65536")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("The receive buffer of a follower's socket."),
    Definition::new(Kind::Int, "replica.socket.timeout.ms", "30000")
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How long a follower waits for an answer."),
    Definition::unset(Kind::String, "replica.selector.class")
        .scope(Scope::ReadOnly)
        .refused(JAVA)
        .doc("A Java class that chooses the replica from which a consumer reads."),
    Definition::new(Kind::Int, "replication.quota.window.num", "11")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How many windows replication quotas are averaged over."),
    Definition::new(Kind::Int, "replication.quota.window.size.seconds", "1")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(REPLICAS)
        .doc("How long a window of replication quotas is."),
    Definition::new(Kind::Long, "leader.replication.throttled.rate", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .unlisted()
        .no_effect(REPLICAS)
        .doc("How many bytes a second a leader sends for throttled replicas."),
    Definition::new(Kind::Long, "follower.replication.throttled.rate", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .unlisted()
        .no_effect(REPLICAS)
        .doc("How many bytes a second a follower fetches for throttled replicas."),
    Definition::new(Kind::Long, "replica.alter.log.dirs.io.max.bytes.per.second", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .unlisted()
        .no_effect(FILES)
        .doc("How many bytes a second moving between directories may use."),
];
