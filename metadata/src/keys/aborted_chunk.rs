//! Aborted transactions that belong to rows, in chunks.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `22`, shard 2, topic 16, partition 4, last offset of the first 8 | [`siltstone_log::Aborted`] transactions, in the order of their ends | with the partition's row | fetches with read_committed | until the log start has passed its last end, or the topic is deleted |

use bytes::Bytes;
use siltstone_log::{PartitionId, ShardId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of the chunk whose first transaction ended at offset `last`.
pub fn key(shard: ShardId, partition: PartitionId, last: i64) -> Bytes {
    Key::new(family::ABORTED_CHUNK).shard(shard).partition(partition).raw(&last.to_be_bytes()).done()
}

/// Chunks whose first transaction ended at offsets `first..=last`. Offsets are never negative.
pub fn between(shard: ShardId, partition: PartitionId, first: i64, last: i64) -> KeyRange {
    KeyRange { begin: key(shard, partition, first), end: KeyRange::key(key(shard, partition, last)).end }
}

/// All chunks of a topic in a shard.
pub fn of_topic(shard: ShardId, topic: TopicId) -> KeyRange {
    KeyRange::prefix(Key::new(family::ABORTED_CHUNK).shard(shard).raw(&topic.0.to_be_bytes()).done())
}
