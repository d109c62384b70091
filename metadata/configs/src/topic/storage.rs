//! Configs about files, replicas and tiers, which agents do not have.

use crate::definition::{Definition, same, times};
use crate::kind::Kind;
use crate::reasons::{DURABLE, INDEXES, REPLICAS, SEGMENTS, TIERING};
use crate::rule::Rule;

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    Definition::new(Kind::Long, "flush.messages", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .or(&[same("log.flush.interval.messages")])
        .no_effect(DURABLE)
        .doc("After how many records a log is synced to disk."),
    Definition::new(Kind::Long, "flush.ms", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.flush.interval.ms"), same("log.flush.scheduler.interval.ms")])
        .no_effect(DURABLE)
        .doc("After how many milliseconds a log is synced to disk."),
    Definition::new(Kind::Int, "segment.bytes", "1073741824")
        .rule(Rule::AtLeast(1_048_576))
        .or(&[same("log.segment.bytes")])
        .no_effect(SEGMENTS)
        .doc("The size of a log file, in bytes."),
    Definition::new(Kind::Long, "segment.ms", "604800000")
        .rule(Rule::AtLeast(1))
        .or(&[same("log.roll.ms"), times("log.roll.hours", 3_600_000)])
        .no_effect(SEGMENTS)
        .doc("After how many milliseconds a new log file is begun."),
    Definition::new(Kind::Long, "segment.jitter.ms", "0")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.roll.jitter.ms"), times("log.roll.jitter.hours", 3_600_000)])
        .no_effect(SEGMENTS)
        .doc("By how much segment.ms is varied at random, in milliseconds."),
    Definition::new(Kind::Int, "segment.index.bytes", "10485760")
        .rule(Rule::AtLeast(4))
        .or(&[same("log.index.size.max.bytes")])
        .no_effect(INDEXES)
        .doc("The size of a log file's index, in bytes."),
    Definition::new(Kind::Int, "index.interval.bytes", "4096")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.index.interval.bytes")])
        .no_effect(INDEXES)
        .doc("How many bytes of log lie between two entries of its index."),
    Definition::new(Kind::Boolean, "preallocate", "false")
        .or(&[same("log.preallocate")])
        .no_effect(SEGMENTS)
        .doc("Whether log files are allocated whole when they are begun."),
    Definition::new(Kind::List, "leader.replication.throttled.replicas", "")
        .rule(Rule::ThrottledReplicas)
        .no_effect(REPLICAS)
        .doc("The replicas, as partition:broker, whose leaders limit replication; \"*\" is all."),
    Definition::new(Kind::List, "follower.replication.throttled.replicas", "")
        .rule(Rule::ThrottledReplicas)
        .no_effect(REPLICAS)
        .doc("The replicas, as partition:broker, whose followers limit replication; \"*\" is all."),
    Definition::new(Kind::Boolean, "unclean.leader.election.enable", "false")
        .or(&[same("unclean.leader.election.enable")])
        .no_effect(REPLICAS)
        .doc("Whether a replica that lacks records may become leader when no other is left."),
    Definition::new(Kind::Boolean, "remote.storage.enable", "false")
        .refused(TIERING)
        .doc("Whether log files are copied to remote storage."),
    Definition::new(Kind::Boolean, "remote.log.copy.disable", "false")
        .refused(TIERING)
        .doc("Whether copying to remote storage is stopped while what is there stays readable."),
    Definition::new(Kind::Boolean, "remote.log.delete.on.disable", "false")
        .refused(TIERING)
        .doc("Whether remote data is deleted when remote storage is switched off for the topic."),
];
