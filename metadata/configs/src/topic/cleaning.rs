//! What is kept and for how long: deletion by age and size, compaction by key.

use crate::definition::{Definition, same, times};
use crate::kind::Kind;
use crate::reasons::{ONE_TIER, RECLAIM};
use crate::rule::Rule;

/// `cleanup.policy`.
pub(crate) const CLEANUP_POLICY: Definition = Definition::new(Kind::List, "cleanup.policy", "delete")
    .rule(Rule::ItemsOf(&["compact", "delete"]))
    .or(&[same("log.cleanup.policy")])
    .doc(
        "What happens to old records: \"delete\" removes them by age and size, \"compact\" keeps \
         the newest value of each key, both do both. An empty list keeps everything for ever.",
    );

/// `retention.ms`.
pub(crate) const RETENTION_MS: Definition = Definition::new(Kind::Long, "retention.ms", "604800000")
    .rule(Rule::AtLeast(-1))
    .or(&[
        same("log.retention.ms"),
        times("log.retention.minutes", 60_000),
        times("log.retention.hours", 3_600_000),
    ])
    .doc(
        "How long records are kept under the policy \"delete\", in milliseconds; -1 is without \
         limit.",
    );

/// `retention.bytes`.
pub(crate) const RETENTION_BYTES: Definition =
    Definition::new(Kind::Long, "retention.bytes", "-1").or(&[same("log.retention.bytes")]).doc(
        "How large a partition may grow under the policy \"delete\", in bytes of its batches; a \
         negative value is without limit.",
    );

/// `delete.retention.ms`.
pub(crate) const DELETE_RETENTION_MS: Definition =
    Definition::new(Kind::Long, "delete.retention.ms", "86400000")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.cleaner.delete.retention.ms")])
        .doc(
            "How long compaction keeps a tombstone (a key without a value), in milliseconds, so \
             that readers get to see it.",
        );

/// `min.compaction.lag.ms`.
pub(crate) const MIN_COMPACTION_LAG_MS: Definition =
    Definition::new(Kind::Long, "min.compaction.lag.ms", "0")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.cleaner.min.compaction.lag.ms")])
        .doc(
            "How old a record must be before compaction may drop it for a newer one of its key, \
             in milliseconds. At most max.compaction.lag.ms.",
        );

/// `max.compaction.lag.ms`.
pub(crate) const MAX_COMPACTION_LAG_MS: Definition =
    Definition::new(Kind::Long, "max.compaction.lag.ms", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .or(&[same("log.cleaner.max.compaction.lag.ms")])
        .doc(
            "How long a record may wait for compaction at most, in milliseconds. At least \
             min.compaction.lag.ms.",
        );

/// `min.cleanable.dirty.ratio`.
pub(crate) const MIN_CLEANABLE_DIRTY_RATIO: Definition =
    Definition::new(Kind::Double, "min.cleanable.dirty.ratio", "0.5")
        .rule(Rule::Range(0.0, 1.0))
        .or(&[same("log.cleaner.min.cleanable.ratio")])
        .doc("Compaction starts once this part of a partition's bytes has never been compacted.");

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    CLEANUP_POLICY,
    RETENTION_MS,
    RETENTION_BYTES,
    DELETE_RETENTION_MS,
    MIN_COMPACTION_LAG_MS,
    MAX_COMPACTION_LAG_MS,
    MIN_CLEANABLE_DIRTY_RATIO,
    Definition::new(Kind::Long, "file.delete.delay.ms", "60000")
        .rule(Rule::AtLeast(0))
        .or(&[same("log.segment.delete.delay.ms")])
        .no_effect(RECLAIM)
        .doc("How long a file stays after its data was dropped, in milliseconds."),
    Definition::new(Kind::Long, "local.retention.ms", "-2")
        .rule(Rule::AtLeast(-2))
        .or(&[same("log.local.retention.ms")])
        .no_effect(ONE_TIER)
        .doc(
            "How long data stays on a broker's disk once it is in remote storage, in \
             milliseconds; -2 is as long as retention.ms.",
        ),
    Definition::new(Kind::Long, "local.retention.bytes", "-2")
        .rule(Rule::AtLeast(-2))
        .or(&[same("log.local.retention.bytes")])
        .no_effect(ONE_TIER)
        .doc(
            "How much data stays on a broker's disk once it is in remote storage, in bytes; -2 is \
             as much as retention.bytes.",
        ),
];
