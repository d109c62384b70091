//! Extents that belong to rows, in chunks.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `21`, shard 2, topic 16, partition 4, first offset 8 | [`siltstone_log::Extent`]s, in offset order | with the partition's row; replaced and cleared by the compactor | fetches of older offsets | until the log start has passed its last offset, or the topic is deleted |

use bytes::Bytes;
use siltstone_log::{PartitionId, ShardId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of the chunk that begins at offset `base`.
pub fn key(shard: ShardId, partition: PartitionId, base: i64) -> Bytes {
    Key::new(family::EXTENT_CHUNK).shard(shard).partition(partition).raw(&base.to_be_bytes()).done()
}

/// Chunks that begin at offsets `first..=last`. Offsets are never negative.
pub fn between(shard: ShardId, partition: PartitionId, first: i64, last: i64) -> KeyRange {
    KeyRange { begin: key(shard, partition, first), end: KeyRange::key(key(shard, partition, last)).end }
}

/// All chunks of a topic in a shard.
pub fn of_topic(shard: ShardId, topic: TopicId) -> KeyRange {
    KeyRange::prefix(Key::new(family::EXTENT_CHUNK).shard(shard).raw(&topic.0.to_be_bytes()).done())
}

/// All of a shard's.
pub fn of_shard(shard: ShardId) -> KeyRange {
    KeyRange::prefix(Key::new(family::EXTENT_CHUNK).shard(shard).done())
}

/// Which partition a chunk is of, and its first offset; `None` if the key is none of these.
pub fn parse(key: &[u8]) -> Option<(PartitionId, i64)> {
    let (id, base) = key.strip_prefix(&[family::EXTENT_CHUNK])?.get(2..)?.split_at_checked(20)?;
    let (topic, index) = id.split_at_checked(16)?;
    let topic = TopicId(u128::from_be_bytes(topic.try_into().ok()?));
    let index = u32::from_be_bytes(index.try_into().ok()?);
    Some((PartitionId { topic, index }, i64::from_be_bytes(base.try_into().ok()?)))
}
