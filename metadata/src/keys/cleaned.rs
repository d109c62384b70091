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

/// All of a shard's.
pub fn of_shard(shard: ShardId) -> KeyRange {
    KeyRange::prefix(Key::new(family::CLEANED).shard(shard).done())
}

/// Which partition a key is of; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<PartitionId> {
    let (topic, index) = key.strip_prefix(&[family::CLEANED])?.get(2..)?.split_at_checked(16)?;
    let topic = TopicId(u128::from_be_bytes(topic.try_into().ok()?));
    Some(PartitionId { topic, index: u32::from_be_bytes(index.try_into().ok()?) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_tells_its_partition() {
        let partition = PartitionId { topic: TopicId(7 << 100 | 3), index: 9 };
        let key = key(ShardId(5), partition);
        assert_eq!(parse(&key), Some(partition));
        assert!(of_shard(ShardId(5)).contains(&key) && !of_shard(ShardId(6)).contains(&key));
        assert!(parse(&key[1..]).is_none() && parse(&key[..20]).is_none());
    }
}
