//! Offsets that transactions have yet to commit.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `64`, group, producer id i64, topic 16, partition u32 | [`siltstone_log::OffsetRow`] | TxnOffsetCommit | the end of the transaction; OffsetFetch that wants stable offsets | until the transaction ends, or the group is deleted |

use bytes::Bytes;
use siltstone_log::PartitionId;
use siltstone_store::KeyRange;

pub use super::group_offset::parse;
use super::{Key, family};

/// The key of one pending offset.
pub fn key(group: &str, producer: i64, partition: PartitionId) -> Bytes {
    Key::new(family::GROUP_PENDING).text(group).raw(&producer.to_be_bytes()).partition(partition).done()
}

/// All pending offsets of a producer in a group.
pub fn of_producer(group: &str, producer: i64) -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_PENDING).text(group).raw(&producer.to_be_bytes()).done())
}

/// All pending offsets of a group.
pub fn of(group: &str) -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_PENDING).text(group).done())
}
