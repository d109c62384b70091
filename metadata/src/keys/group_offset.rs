//! Committed offsets.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `63`, group, topic 16, partition u32 | [`siltstone_log::OffsetRow`] | the group's coordinator; the end of a transaction | OffsetFetch, on any agent | until it is deleted, expires, or its group or topic is |

use bytes::Bytes;
use siltstone_log::{PartitionId, TopicId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one offset.
pub fn key(group: &str, partition: PartitionId) -> Bytes {
    Key::new(family::GROUP_OFFSET).text(group).partition(partition).done()
}

/// All offsets of a group.
pub fn of(group: &str) -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_OFFSET).text(group).done())
}

/// The partition of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<PartitionId> {
    let (_, end) = key.split_at_checked(key.len().checked_sub(20)?)?;
    let (topic, index) = end.split_at(16);
    Some(PartitionId {
        topic: TopicId(u128::from_be_bytes(topic.try_into().ok()?)),
        index: u32::from_be_bytes(index.try_into().ok()?),
    })
}
