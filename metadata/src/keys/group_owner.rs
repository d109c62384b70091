//! Coordinators: which agent may change a group.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `60`, group | registration 16 and a counter u64 of takeovers, as of a lease's owner | at takeover only | in the read set of every write of the coordinator; agents that look for groups without one | for ever |
//!
//! There is no beat: the coordinator's registration is its proof of life.

use bytes::Bytes;

use siltstone_store::KeyRange;

use super::{Key, family, parse_text};

/// The key of a group's coordinator.
pub fn key(group: &str) -> Bytes {
    Key::new(family::GROUP_OWNER).text(group).done()
}

/// All coordinators.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_OWNER).done())
}

/// The group of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<String> {
    parse_text(key.get(1..)?).map(|(group, _)| group)
}
