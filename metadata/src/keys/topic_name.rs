//! Topics by name: the truth about them.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `40`, name | [`siltstone_log::TopicRow`] | catalog transactions, which read what they replace | every start; catalog transactions | until the topic is deleted |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one topic.
pub fn key(name: &str) -> Bytes {
    Key::new(family::TOPIC_NAME).raw(name.as_bytes()).done()
}

/// All topics.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::TOPIC_NAME).done())
}
