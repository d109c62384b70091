//! Configs of brokers that were set while running.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `42`, node id in decimal, or nothing for the default of all | configs ([`siltstone_log::encode_configs`]) | catalog transactions | every start | until they are unset |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one node's configs.
pub fn key(node: &str) -> Bytes {
    Key::new(family::BROKER_CONFIGS).raw(node.as_bytes()).done()
}

/// The node that a key is of.
pub fn node(key: &[u8]) -> Option<&str> {
    key.get(1..).and_then(|node| std::str::from_utf8(node).ok())
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::BROKER_CONFIGS).done())
}
