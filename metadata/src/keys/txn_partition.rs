//! Partitions that have a part in the transaction that is open.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `72`, producer id i64, topic 16, partition u32 | nothing | flushes of transactional batches and AddPartitionsToTxn, blind, in commits that read the transactional id's row | the end of the transaction, which appends to their shards; flushes for clients that must have added their partitions | until the transaction ends |

use bytes::Bytes;
use siltstone_log::PartitionId;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one partition.
pub fn key(producer: i64, partition: PartitionId) -> Bytes {
    Key::new(family::TXN_PARTITION).raw(&producer.to_be_bytes()).partition(partition).done()
}

/// All partitions of a producer's open transaction.
pub fn of(producer: i64) -> KeyRange {
    KeyRange::prefix(Key::new(family::TXN_PARTITION).raw(&producer.to_be_bytes()).done())
}

/// The partition of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<PartitionId> {
    if key.len() == 29 && key[0] == family::TXN_PARTITION { super::group_offset::parse(key) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::TopicId;

    #[test]
    fn partitions_are_read_back_from_keys() {
        let partition = PartitionId { topic: TopicId(1 << 100), index: 70_000 };
        let key = key(5, partition);
        assert_eq!(parse(&key), Some(partition));
        assert!(key >= of(5).begin && key < of(5).end && key < of(6).begin);
        assert_eq!(parse(&key[1..]), None);
    }
}
