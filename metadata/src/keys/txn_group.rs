//! Groups whose offsets the transaction that is open will commit.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `73`, producer id i64, group, UTF-8 | nothing | AddOffsetsToTxn and TxnOffsetCommit, in commits that read the transactional id's row | the end of the transaction, which commits or drops the group's pending offsets; TxnOffsetCommit of clients that must have added their groups | until the transaction ends |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one group.
pub fn key(producer: i64, group: &str) -> Bytes {
    Key::new(family::TXN_GROUP).raw(&producer.to_be_bytes()).raw(group.as_bytes()).done()
}

/// All groups of a producer's open transaction.
pub fn of(producer: i64) -> KeyRange {
    KeyRange::prefix(Key::new(family::TXN_GROUP).raw(&producer.to_be_bytes()).done())
}

/// The group of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<&str> {
    let (head, group) = key.split_at_checked(9)?;
    if head[0] == family::TXN_GROUP { std::str::from_utf8(group).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_back_from_keys() {
        for group in ["", "a", "a\0b", "ä"] {
            let key = key(-1, group);
            assert_eq!(parse(&key), Some(group));
            assert!(key >= of(-1).begin && key < of(-1).end);
        }
        assert_eq!(parse(&key(1, "")[1..]), None);
    }
}
