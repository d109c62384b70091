//! Groups: what their members have in common.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `61`, group | [`siltstone_log::GroupHeadRow`] | the group's coordinator, at each new generation or epoch | coordinators when they load; ListGroups; in the read set of commits of offsets | until the group is deleted or expires |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family, parse_text};

/// The key of a group.
pub fn key(group: &str) -> Bytes {
    Key::new(family::GROUP_HEAD).text(group).done()
}

/// All groups.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_HEAD).done())
}

/// The group of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<String> {
    parse_text(key.get(1..)?).map(|(group, _)| group)
}
