//! What a topic takes from producers, and how it writes it.

use crate::definition::{Definition, same};
use crate::kind::Kind;
use crate::reasons::{DURABLE, LZ4_LEVEL};
use crate::rule::Rule;

/// `max.message.bytes`.
pub(crate) const MAX_MESSAGE_BYTES: Definition = Definition::new(Kind::Int, "max.message.bytes", "1048588")
    .rule(Rule::AtLeast(0))
    .or(&[same("message.max.bytes")])
    .doc("The largest batch that is taken, in bytes, as it is stored (after compression).");

/// `message.timestamp.type`.
pub(crate) const MESSAGE_TIMESTAMP_TYPE: Definition =
    Definition::new(Kind::String, "message.timestamp.type", "CreateTime")
        .rule(Rule::OneOf(&["CreateTime", "LogAppendTime"]))
        .or(&[same("log.message.timestamp.type")])
        .doc(
            "Whose time a record carries: its producer's (CreateTime), or that of its arrival \
             (LogAppendTime).",
        );

/// `message.timestamp.before.max.ms`.
pub(crate) const MESSAGE_TIMESTAMP_BEFORE_MAX_MS: Definition =
    Definition::new(Kind::Long, "message.timestamp.before.max.ms", "9223372036854775807")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.message.timestamp.before.max.ms")])
        .doc(
            "How far a producer's timestamp may lie behind the agent's clock, in milliseconds; \
             ignored with LogAppendTime.",
        );

/// `message.timestamp.after.max.ms`.
pub(crate) const MESSAGE_TIMESTAMP_AFTER_MAX_MS: Definition =
    Definition::new(Kind::Long, "message.timestamp.after.max.ms", "3600000")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.message.timestamp.after.max.ms")])
        .doc(
            "How far a producer's timestamp may lie ahead of the agent's clock, in milliseconds; \
             ignored with LogAppendTime.",
        );

/// `compression.type`.
pub(crate) const COMPRESSION_TYPE: Definition = Definition::new(Kind::String, "compression.type", "producer")
    .rule(Rule::OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]))
    .or(&[same("compression.type")])
    .doc(
        "How batches are compressed when they are stored: as the producer sent them \
         (\"producer\"), not at all, or with one codec.",
    );

/// `compression.gzip.level`.
pub(crate) const COMPRESSION_GZIP_LEVEL: Definition =
    Definition::new(Kind::Int, "compression.gzip.level", "-1")
        .rule(Rule::BetweenOr(1, 9, -1))
        .or(&[same("compression.gzip.level")])
        .doc(
            "The level when compression.type is gzip and a batch is compressed anew; -1 is the \
             library's own choice.",
        );

/// `compression.zstd.level`.
pub(crate) const COMPRESSION_ZSTD_LEVEL: Definition =
    Definition::new(Kind::Int, "compression.zstd.level", "3")
        .rule(Rule::Between(-131_072, 22))
        .or(&[same("compression.zstd.level")])
        .doc("The level when compression.type is zstd and a batch is compressed anew.");

/// `siltstone.write`.
pub(crate) const SILTSTONE_WRITE: Definition = Definition::new(Kind::String, "siltstone.write", "auto")
    .rule(Rule::OneOf(&["auto", "inline", "object"]))
    .doc(
        "Where small flushes go: \"inline\" into the metadata store (milliseconds, no PUT), \
         \"object\" into object storage, \"auto\" by size. Siltstone's own.",
    );

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    MAX_MESSAGE_BYTES,
    MESSAGE_TIMESTAMP_TYPE,
    MESSAGE_TIMESTAMP_BEFORE_MAX_MS,
    MESSAGE_TIMESTAMP_AFTER_MAX_MS,
    COMPRESSION_TYPE,
    COMPRESSION_GZIP_LEVEL,
    Definition::new(Kind::Int, "compression.lz4.level", "9")
        .rule(Rule::Between(1, 17))
        .or(&[same("compression.lz4.level")])
        .no_effect(LZ4_LEVEL)
        .doc("The level when compression.type is lz4."),
    COMPRESSION_ZSTD_LEVEL,
    Definition::new(Kind::Int, "min.insync.replicas", "1")
        .rule(Rule::AtLeast(1))
        .or(&[same("min.insync.replicas")])
        .no_effect(DURABLE)
        .doc("How many replicas must have a batch before it is acknowledged with acks=all."),
    SILTSTONE_WRITE,
];
