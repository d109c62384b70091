//! Settings of a compactor.

use std::time::Duration;

use siltstone_configs::Overrides;

use crate::compact::plan;

/// How a compactor works. Every limit is one of this process.
#[derive(Debug, Clone)]
pub struct CompactorSettings {
    /// Its zone; may be empty.
    pub zone: String,
    /// Between two looks at the shards.
    pub interval: Duration,
    /// How long a silent compactor is taken to be alive.
    pub lease: Duration,
    /// How merges are planned.
    pub merge: MergeRules,
    /// zstd's level for blocks that producers did not compress; none: blocks stay as they are.
    pub compression: Option<i32>,
    /// How long a segment that nothing refers to is kept: longer than any read may take.
    pub grace: Duration,
    /// Bytes a second that may be read and written, together.
    pub bandwidth: Option<u64>,
    /// Requests a second that may be sent to the object store.
    pub requests: Option<u32>,
    /// Bytes that compaction by key may take for its map of keys.
    pub key_map_bytes: usize,
    /// How compaction by key goes on.
    pub compact: CompactRules,
    /// Configs of brokers from the settings, which topics fall back to.
    pub configs: Overrides,
}

/// When partitions are compacted by key, and how, beside what their topics' configs say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactRules {
    /// When small dirty parts are compacted.
    pub plan: plan::Settings,
    /// Bytes of batches that are read and published at once.
    pub piece_bytes: usize,
    /// Between two looks at a partition in which something new has come in.
    pub look: Duration,
}

impl Default for CompactRules {
    fn default() -> Self {
        CompactRules { plan: plan::Settings::default(), piece_bytes: 16 << 20, look: Duration::from_secs(60) }
    }
}

/// When extents are merged, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MergeRules {
    /// Bytes of a segment that a merge makes.
    pub target_bytes: u64,
    /// Bytes of a block, before compression: what a reader must read and decompress at least.
    pub block_bytes: usize,
    /// What has so many stored bytes of a partition side by side in a segment stays as it is: a read gives enough of it.
    pub leave_bytes: u64,
    /// So many segments of one level make one of the next.
    pub fan_in: usize,
    /// What was flushed waits at most so long.
    pub wait: Duration,
    /// Bytes of inline segments that make a merge at once.
    pub inline_bytes: u64,
    /// So many flushed segments make a merge at once.
    pub flushed_segments: usize,
}

impl Default for MergeRules {
    fn default() -> Self {
        MergeRules {
            target_bytes: 64 << 20,
            block_bytes: 1 << 20,
            leave_bytes: 4 << 20,
            fan_in: 16,
            wait: Duration::from_secs(300),
            inline_bytes: 8 << 20,
            flushed_segments: 1000,
        }
    }
}

impl Default for CompactorSettings {
    fn default() -> Self {
        CompactorSettings {
            zone: String::new(),
            interval: Duration::from_secs(10),
            lease: Duration::from_secs(30),
            merge: MergeRules::default(),
            compression: Some(3),
            grace: Duration::from_secs(600),
            bandwidth: None,
            requests: None,
            key_map_bytes: 128 << 20,
            compact: CompactRules::default(),
            configs: Overrides::new(),
        }
    }
}
