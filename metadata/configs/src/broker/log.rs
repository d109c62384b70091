//! Defaults for topics under their broker-level names, and the cleaner.

use crate::definition::{Definition, Scope, times};
use crate::kind::Kind;
use crate::reasons::{CLEANER, COMPACTOR, LIMIT, LZ4_LEVEL};
use crate::rule::Rule;

/// `log.cleanup.policy`.
pub(crate) const LOG_CLEANUP_POLICY: Definition = Definition::new(Kind::List, "log.cleanup.policy", "delete")
    .rule(Rule::ItemsOf(&["compact", "delete"]))
    .scope(Scope::ClusterWide)
    .doc("The default of cleanup.policy.");

/// `log.retention.ms`.
pub(crate) const LOG_RETENTION_MS: Definition = Definition::unset(Kind::Long, "log.retention.ms")
    .rule(Rule::UnlimitedOr(1))
    .scope(Scope::ClusterWide)
    .or(&[times("log.retention.minutes", 60_000), times("log.retention.hours", 3_600_000)])
    .doc("The default of retention.ms; before log.retention.minutes and log.retention.hours.");

/// `log.retention.minutes`.
pub(crate) const LOG_RETENTION_MINUTES: Definition = Definition::unset(Kind::Int, "log.retention.minutes")
    .rule(Rule::UnlimitedOr(1))
    .scope(Scope::ReadOnly)
    .or(&[times("log.retention.hours", 60)])
    .doc("The default of retention.ms in minutes, if log.retention.ms is not set.");

/// `log.retention.hours`.
pub(crate) const LOG_RETENTION_HOURS: Definition = Definition::new(Kind::Int, "log.retention.hours", "168")
    .rule(Rule::UnlimitedOr(1))
    .scope(Scope::ReadOnly)
    .doc(
        "The default of retention.ms in hours, if neither log.retention.ms nor \
         log.retention.minutes is set.",
    );

/// `log.retention.bytes`.
pub(crate) const LOG_RETENTION_BYTES: Definition = Definition::new(Kind::Long, "log.retention.bytes", "-1")
    .scope(Scope::ClusterWide)
    .doc("The default of retention.bytes.");

/// `message.max.bytes`.
pub(crate) const MESSAGE_MAX_BYTES: Definition = Definition::new(Kind::Int, "message.max.bytes", "1048588")
    .rule(Rule::AtLeast(0))
    .scope(Scope::ClusterWide)
    .doc("The default of max.message.bytes.");

/// `log.message.timestamp.type`.
pub(crate) const LOG_MESSAGE_TIMESTAMP_TYPE: Definition =
    Definition::new(Kind::String, "log.message.timestamp.type", "CreateTime")
        .rule(Rule::OneOf(&["CreateTime", "LogAppendTime"]))
        .scope(Scope::ClusterWide)
        .doc("The default of message.timestamp.type.");

/// `log.message.timestamp.before.max.ms`.
pub(crate) const LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS: Definition =
    Definition::new(Kind::Long, "log.message.timestamp.before.max.ms", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .doc("The default of message.timestamp.before.max.ms.");

/// `log.message.timestamp.after.max.ms`.
pub(crate) const LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS: Definition =
    Definition::new(Kind::Long, "log.message.timestamp.after.max.ms", "3600000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .doc("The default of message.timestamp.after.max.ms.");

/// `compression.type`.
pub(crate) const COMPRESSION_TYPE: Definition = Definition::new(Kind::String, "compression.type", "producer")
    .rule(Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
    .scope(Scope::ClusterWide)
    .doc("The default of compression.type.");

/// `compression.gzip.level`.
pub(crate) const COMPRESSION_GZIP_LEVEL: Definition =
    Definition::new(Kind::Int, "compression.gzip.level", "-1")
        .rule(Rule::BetweenOr(1, 9, -1))
        .scope(Scope::ClusterWide)
        .doc("The default of compression.gzip.level.");

/// `compression.zstd.level`.
pub(crate) const COMPRESSION_ZSTD_LEVEL: Definition =
    Definition::new(Kind::Int, "compression.zstd.level", "3")
        .rule(Rule::Between(-131_072, 22))
        .scope(Scope::ClusterWide)
        .doc("The default of compression.zstd.level.");

/// `log.cleaner.delete.retention.ms`.
pub(crate) const LOG_CLEANER_DELETE_RETENTION_MS: Definition =
    Definition::new(Kind::Long, "log.cleaner.delete.retention.ms", "86400000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .doc("The default of delete.retention.ms.");

/// `log.cleaner.min.compaction.lag.ms`.
pub(crate) const LOG_CLEANER_MIN_COMPACTION_LAG_MS: Definition =
    Definition::new(Kind::Long, "log.cleaner.min.compaction.lag.ms", "0")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .doc("The default of min.compaction.lag.ms.");

/// `log.cleaner.max.compaction.lag.ms`.
pub(crate) const LOG_CLEANER_MAX_COMPACTION_LAG_MS: Definition =
    Definition::new(Kind::Long, "log.cleaner.max.compaction.lag.ms", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .doc("The default of max.compaction.lag.ms.");

/// `log.cleaner.min.cleanable.ratio`.
pub(crate) const LOG_CLEANER_MIN_CLEANABLE_RATIO: Definition =
    Definition::new(Kind::Double, "log.cleaner.min.cleanable.ratio", "0.5")
        .rule(Rule::Range(0.0, 1.0))
        .scope(Scope::ClusterWide)
        .doc("The default of min.cleanable.dirty.ratio.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    LOG_CLEANUP_POLICY,
    LOG_RETENTION_MS,
    LOG_RETENTION_MINUTES,
    LOG_RETENTION_HOURS,
    LOG_RETENTION_BYTES,
    Definition::new(Kind::Long, "log.retention.check.interval.ms", "300000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(COMPACTOR)
        .doc("How often old log files are looked for."),
    MESSAGE_MAX_BYTES,
    LOG_MESSAGE_TIMESTAMP_TYPE,
    LOG_MESSAGE_TIMESTAMP_BEFORE_MAX_MS,
    LOG_MESSAGE_TIMESTAMP_AFTER_MAX_MS,
    COMPRESSION_TYPE,
    COMPRESSION_GZIP_LEVEL,
    Definition::new(Kind::Int, "compression.lz4.level", "9")
        .rule(Rule::Between(1, 17))
        .scope(Scope::ClusterWide)
        .no_effect(LZ4_LEVEL)
        .doc("The default of compression.lz4.level."),
    COMPRESSION_ZSTD_LEVEL,
    Definition::new(Kind::Boolean, "log.cleaner.enable", "true")
        .scope(Scope::ReadOnly)
        .refused(CLEANER)
        .doc("Whether topics are compacted at all."),
    LOG_CLEANER_DELETE_RETENTION_MS,
    LOG_CLEANER_MIN_COMPACTION_LAG_MS,
    LOG_CLEANER_MAX_COMPACTION_LAG_MS,
    LOG_CLEANER_MIN_CLEANABLE_RATIO,
    Definition::new(Kind::Long, "log.cleaner.backoff.ms", "15000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .no_effect(COMPACTOR)
        .doc("How long the cleaner sleeps when there is nothing to clean."),
    Definition::new(Kind::Long, "log.cleaner.dedupe.buffer.size", "134217728")
        .scope(Scope::ClusterWide)
        .no_effect(COMPACTOR)
        .doc("Memory for the keys of all cleaner threads."),
    Definition::new(Kind::Double, "log.cleaner.io.buffer.load.factor", "0.9")
        .scope(Scope::ClusterWide)
        .no_effect(COMPACTOR)
        .doc("How full the cleaner's key table may get."),
    Definition::new(Kind::Int, "log.cleaner.io.buffer.size", "524288")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .no_effect(COMPACTOR)
        .doc("Memory for the reads and writes of all cleaner threads."),
    Definition::new(Kind::Double, "log.cleaner.io.max.bytes.per.second", "1.7976931348623157E308")
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("How many bytes a second the cleaner may read and write."),
    Definition::new(Kind::Int, "log.cleaner.threads", "1")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .no_effect(COMPACTOR)
        .doc("How many threads clean."),
];
