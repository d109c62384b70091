//! Log files, their indexes, and remote storage, which agents do not have.

use crate::definition::{Definition, Scope, same, times};
use crate::kind::Kind;
use crate::reasons::{DURABLE, FILES, INDEXES, LIMIT, ONE_TIER, RECLAIM, SEGMENTS, TIERING};
use crate::rule::Rule;

/// The configs of this file.
pub(super) static TABLE: &[Definition] = &[
    Definition::new(Kind::List, "log.dir", "/tmp/kafka-logs")
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("The directory of the log files, if log.dirs is not set."),
    Definition::unset(Kind::List, "log.dirs")
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("The directories of the log files."),
    Definition::new(Kind::Long, "log.dir.failure.timeout.ms", "30000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("How long a broker with a failed directory tries to tell the controller."),
    Definition::new(Kind::Long, "log.flush.interval.messages", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(DURABLE)
        .doc("The default of flush.messages."),
    Definition::unset(Kind::Long, "log.flush.interval.ms")
        .scope(Scope::ClusterWide)
        .or(&[same("log.flush.scheduler.interval.ms")])
        .no_effect(DURABLE)
        .doc("The default of flush.ms; before log.flush.scheduler.interval.ms."),
    Definition::new(Kind::Long, "log.flush.scheduler.interval.ms", "9223372036854775807")
        .scope(Scope::ReadOnly)
        .no_effect(DURABLE)
        .doc("How often logs that are due are synced to disk."),
    Definition::new(Kind::Int, "log.flush.offset.checkpoint.interval.ms", "60000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("How often recovery points are written."),
    Definition::new(Kind::Int, "log.flush.start.offset.checkpoint.interval.ms", "60000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(FILES)
        .doc("How often log start offsets are written."),
    Definition::new(Kind::Int, "log.index.interval.bytes", "4096")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .no_effect(INDEXES)
        .doc("The default of index.interval.bytes."),
    Definition::new(Kind::Int, "log.index.size.max.bytes", "10485760")
        .rule(Rule::AtLeast(4))
        .scope(Scope::ClusterWide)
        .no_effect(INDEXES)
        .doc("The default of segment.index.bytes."),
    Definition::new(Kind::Long, "log.local.retention.bytes", "-2")
        .rule(Rule::AtLeast(-2))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("The default of local.retention.bytes."),
    Definition::new(Kind::Long, "log.local.retention.ms", "-2")
        .rule(Rule::AtLeast(-2))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("The default of local.retention.ms."),
    Definition::new(Kind::Boolean, "log.preallocate", "false")
        .scope(Scope::ClusterWide)
        .no_effect(SEGMENTS)
        .doc("The default of preallocate."),
    Definition::unset(Kind::Long, "log.roll.ms")
        .scope(Scope::ClusterWide)
        .or(&[times("log.roll.hours", 3_600_000)])
        .no_effect(SEGMENTS)
        .doc("The default of segment.ms; before log.roll.hours."),
    Definition::new(Kind::Int, "log.roll.hours", "168")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ReadOnly)
        .no_effect(SEGMENTS)
        .doc("The default of segment.ms in hours, if log.roll.ms is not set."),
    Definition::unset(Kind::Long, "log.roll.jitter.ms")
        .scope(Scope::ClusterWide)
        .or(&[times("log.roll.jitter.hours", 3_600_000)])
        .no_effect(SEGMENTS)
        .doc("The default of segment.jitter.ms; before log.roll.jitter.hours."),
    Definition::new(Kind::Int, "log.roll.jitter.hours", "0")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ReadOnly)
        .no_effect(SEGMENTS)
        .doc("The default of segment.jitter.ms in hours, if log.roll.jitter.ms is not set."),
    Definition::new(Kind::Int, "log.segment.bytes", "1073741824")
        .rule(Rule::AtLeast(1_048_576))
        .scope(Scope::ClusterWide)
        .no_effect(SEGMENTS)
        .doc("The default of segment.bytes."),
    Definition::new(Kind::Long, "log.segment.delete.delay.ms", "60000")
        .rule(Rule::AtLeast(0))
        .scope(Scope::ClusterWide)
        .no_effect(RECLAIM)
        .doc("The default of file.delete.delay.ms."),
    Definition::new(Kind::Int, "num.recovery.threads.per.data.dir", "2")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(FILES)
        .doc("How many threads read log files at start."),
    Definition::new(Kind::Boolean, "remote.log.storage.system.enable", "false")
        .scope(Scope::ReadOnly)
        .refused(TIERING)
        .doc("Whether topics may have remote storage."),
    Definition::new(Kind::Int, "remote.fetch.max.wait.ms", "500")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How long a fetch waits for remote data."),
    Definition::new(Kind::Long, "remote.list.offsets.request.timeout.ms", "30000")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How long a look-up of offsets waits for remote storage."),
    Definition::new(Kind::Long, "remote.log.index.file.cache.total.size.bytes", "1073741824")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("Space for indexes fetched from remote storage."),
    Definition::new(Kind::Int, "remote.log.manager.copier.thread.pool.size", "10")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How many threads copy to remote storage."),
    Definition::new(Kind::Int, "remote.log.manager.expiration.thread.pool.size", "10")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How many threads delete from remote storage."),
    Definition::new(Kind::Int, "remote.log.manager.follower.thread.pool.size", "2")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How many threads follow remote storage."),
    Definition::new(Kind::Int, "remote.log.reader.threads", "10")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .no_effect(ONE_TIER)
        .doc("How many threads read from remote storage."),
    Definition::new(Kind::Long, "remote.log.manager.copy.max.bytes.per.second", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("How many bytes a second may be copied to remote storage."),
    Definition::new(Kind::Long, "remote.log.manager.fetch.max.bytes.per.second", "9223372036854775807")
        .rule(Rule::AtLeast(1))
        .scope(Scope::ClusterWide)
        .refused(LIMIT)
        .doc("How many bytes a second may be read from remote storage."),
];
