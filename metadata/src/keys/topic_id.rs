//! Topics' names by id.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `41`, topic 16 | the name, UTF-8 | with [`super::topic_name`] | catalog transactions that are given an id | until the topic is deleted |

use bytes::Bytes;
use siltstone_log::TopicId;

use super::{Key, family};

/// The key of one topic.
pub fn key(topic: TopicId) -> Bytes {
    Key::new(family::TOPIC_ID).raw(&topic.0.to_be_bytes()).done()
}
