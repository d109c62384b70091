//! Rows: the folded state of partitions.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `20`, shard 2, topic 16, partition 4, part 2 (see [`super::parts`]) | [`siltstone_log::PartitionRow`], in parts | the holder of the shard's checkpoint lease | loads, at the same read version as the floor | until a checkpoint finds the topic deleted |

use bytes::Bytes;
use siltstone_log::{PartitionId, ShardId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The prefix of a partition's row.
pub fn prefix(shard: ShardId, partition: PartitionId) -> Bytes {
    Key::new(family::PARTITION_ROW).shard(shard).partition(partition).done()
}

/// All rows of a topic in a shard.
pub fn of_topic(shard: ShardId, topic: TopicId) -> KeyRange {
    KeyRange::prefix(Key::new(family::PARTITION_ROW).shard(shard).raw(&topic.0.to_be_bytes()).done())
}
