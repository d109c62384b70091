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

/// All of a shard's.
pub fn of_shard(shard: ShardId) -> KeyRange {
    KeyRange::prefix(Key::new(family::PARTITION_ROW).shard(shard).done())
}

/// Which partition a part of a row is of; `None` if the key is none of these.
pub fn parse(key: &[u8]) -> Option<PartitionId> {
    let (topic, rest) = key.strip_prefix(&[family::PARTITION_ROW])?.get(2..)?.split_at_checked(16)?;
    let (index, _part) = rest.split_at_checked(4)?;
    let topic = TopicId(u128::from_be_bytes(topic.try_into().ok()?));
    Some(PartitionId { topic, index: u32::from_be_bytes(index.try_into().ok()?) })
}
