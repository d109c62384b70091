//! The configs of one topic as the agent and the compactor use them: typed, with every layer taken into account.

use crate::definition::Definition;
use crate::layers::{BrokerLayers, Overrides, topic_candidates};
use crate::topic::{cleaning, messages};
use crate::value::{Normalised, Value};

/// What happens to old records. Both may be false: then everything is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cleanup {
    /// Old records are deleted by age and size.
    pub delete: bool,
    /// Only the newest value of each key is kept.
    pub compact: bool,
}

/// How batches are compressed when they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent them.
    Producer,
    /// Not at all.
    Uncompressed,
    /// gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// Whose time a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's.
    CreateTime,
    /// That of the batch's arrival.
    LogAppendTime,
}

/// Where small flushes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteMode {
    /// By size.
    Auto,
    /// Into the metadata store.
    Inline,
    /// Into object storage.
    Object,
}

/// The honoured configs of a topic. Each field is the config of its name; times are milliseconds, sizes bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy`.
    pub cleanup: Cleanup,
    /// `retention.ms`; `None` is without limit.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`, per partition; `None` is without limit.
    pub retention_bytes: Option<u64>,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// `min.compaction.lag.ms`. May be greater than `max_compaction_lag_ms` if the two come from different layers: it wins then.
    pub min_compaction_lag_ms: u64,
    /// `max.compaction.lag.ms`.
    pub max_compaction_lag_ms: u64,
    /// `min.cleanable.dirty.ratio`, from 0 to 1.
    pub min_cleanable_dirty_ratio: f64,
    /// `max.message.bytes`: of a batch, as it is stored.
    pub max_message_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: u64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: u64,
    /// `compression.type`.
    pub compression: Compression,
    /// `compression.gzip.level`; `None` (-1) is the library's own choice.
    pub gzip_level: Option<u32>,
    /// `compression.zstd.level`.
    pub zstd_level: i32,
    /// `siltstone.write`.
    pub write: WriteMode,
}

impl TopicConfig {
    /// What holds for a topic with these overrides, on an agent with these layers. Never fails: what can't be read
    /// is passed over (see [`crate::unusable_topic`]).
    pub fn resolve(overrides: &Overrides, layers: BrokerLayers<'_>) -> TopicConfig {
        let view = View { overrides, layers };
        TopicConfig {
            cleanup: view.cleanup(),
            retention_ms: view.limit(&cleaning::RETENTION_MS),
            retention_bytes: view.limit(&cleaning::RETENTION_BYTES),
            delete_retention_ms: view.unsigned(&cleaning::DELETE_RETENTION_MS),
            min_compaction_lag_ms: view.unsigned(&cleaning::MIN_COMPACTION_LAG_MS),
            max_compaction_lag_ms: view.unsigned(&cleaning::MAX_COMPACTION_LAG_MS),
            min_cleanable_dirty_ratio: view.ratio(),
            max_message_bytes: u32::try_from(view.unsigned(&messages::MAX_MESSAGE_BYTES)).unwrap_or(u32::MAX),
            timestamp_type: view.timestamp_type(),
            timestamp_before_max_ms: view.unsigned(&messages::MESSAGE_TIMESTAMP_BEFORE_MAX_MS),
            timestamp_after_max_ms: view.unsigned(&messages::MESSAGE_TIMESTAMP_AFTER_MAX_MS),
            compression: view.compression(),
            gzip_level: u32::try_from(view.integer(&messages::COMPRESSION_GZIP_LEVEL)).ok(),
            zstd_level: i32::try_from(view.integer(&messages::COMPRESSION_ZSTD_LEVEL)).unwrap_or_default(),
            write: view.write(),
        }
    }
}

impl TopicConfig {
    /// The level for the codec that `compression` names; `None` where the codec has one only, or its own choice is wanted.
    pub fn compression_level(&self) -> Option<i32> {
        match self.compression {
            Compression::Gzip => self.gzip_level.and_then(|level| i32::try_from(level).ok()),
            Compression::Zstd => Some(self.zstd_level),
            Compression::Producer | Compression::Uncompressed | Compression::Snappy | Compression::Lz4 => {
                None
            }
        }
    }
}

impl Default for TopicConfig {
    /// Kafka's defaults.
    fn default() -> TopicConfig {
        TopicConfig::resolve(&Overrides::new(), BrokerLayers::none())
    }
}

/// Every config read here has a default of its kind (a test sees to it), so the fall-backs are never used.
struct View<'a> {
    overrides: &'a Overrides,
    layers: BrokerLayers<'a>,
}

impl View<'_> {
    fn value(&self, definition: &'static Definition) -> Option<Normalised> {
        topic_candidates(definition, self.overrides, self.layers).next().map(|winner| winner.converted())
    }

    fn integer(&self, definition: &'static Definition) -> i64 {
        self.value(definition).and_then(|value| value.integer()).unwrap_or_default()
    }

    fn unsigned(&self, definition: &'static Definition) -> u64 {
        u64::try_from(self.integer(definition)).unwrap_or_default()
    }

    fn limit(&self, definition: &'static Definition) -> Option<u64> {
        u64::try_from(self.integer(definition)).ok()
    }

    fn text(&self, definition: &'static Definition) -> String {
        self.value(definition).map(|value| value.text).unwrap_or_default()
    }

    fn cleanup(&self) -> Cleanup {
        let value = self.value(&cleaning::CLEANUP_POLICY);
        let has = |policy| {
            value.as_ref().and_then(Normalised::items).is_some_and(|i| i.iter().any(|p| p == policy))
        };
        Cleanup { delete: has("delete"), compact: has("compact") }
    }

    fn ratio(&self) -> f64 {
        match self.value(&cleaning::MIN_CLEANABLE_DIRTY_RATIO).map(|value| value.value) {
            Some(Value::Double(ratio)) => ratio,
            _ => 0.5,
        }
    }

    fn timestamp_type(&self) -> TimestampType {
        match self.text(&messages::MESSAGE_TIMESTAMP_TYPE).as_str() {
            "LogAppendTime" => TimestampType::LogAppendTime,
            _ => TimestampType::CreateTime,
        }
    }

    fn compression(&self) -> Compression {
        match self.text(&messages::COMPRESSION_TYPE).as_str() {
            "uncompressed" => Compression::Uncompressed,
            "gzip" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            "lz4" => Compression::Lz4,
            "zstd" => Compression::Zstd,
            _ => Compression::Producer,
        }
    }

    fn write(&self) -> WriteMode {
        match self.text(&messages::SILTSTONE_WRITE).as_str() {
            "inline" => WriteMode::Inline,
            "object" => WriteMode::Object,
            _ => WriteMode::Auto,
        }
    }
}

#[cfg(test)]
#[path = "topic_config_tests.rs"]
mod tests;
