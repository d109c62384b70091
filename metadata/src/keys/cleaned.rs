//! How far partitions are compacted by key.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `34`, shard 2, topic 16, partition 4 | [`siltstone_log::CleanedRow`] | the compactor, with each piece of a round and at its end, in a transaction that reads it | the compactor, to plan and to go on | until the topic is deleted |

use bytes::Bytes;
use siltstone_log::{PartitionId, ShardId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of a partition's row.
pub fn key(shard: ShardId, partition: PartitionId) -> Bytes {
    Key::new(family::CLEANED).shard(shard).partition(partition).done()
}

/// All rows of a topic in a shard.
pub fn of_topic(shard: ShardId, topic: TopicId) -> KeyRange {
    KeyRange::prefix(Key::new(family::CLEANED).shard(shard).raw(&topic.0.to_be_bytes()).done())
}
