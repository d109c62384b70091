//! Topics that are deleted and whose extent chunks are still there.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `35`, shard 2, topic 16 | nothing | a checkpoint, when it clears the topic's rows | the shard's compactor, which clears the chunks and gives up what they use | until that is done |

use bytes::Bytes;
use siltstone_log::{ShardId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one topic.
pub fn key(shard: ShardId, topic: TopicId) -> Bytes {
    Key::new(family::CONDEMNED_TOPIC).shard(shard).raw(&topic.0.to_be_bytes()).done()
}

/// All of a shard's.
pub fn of_shard(shard: ShardId) -> KeyRange {
    KeyRange::prefix(Key::new(family::CONDEMNED_TOPIC).shard(shard).done())
}

/// Which topic a key is of; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<TopicId> {
    let topic = key.strip_prefix(&[family::CONDEMNED_TOPIC])?.get(2..)?;
    Some(TopicId(u128::from_be_bytes(topic.try_into().ok()?)))
}
