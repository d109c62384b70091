//! Members of groups.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `62`, group, member, part u16 | [`siltstone_log::ClassicMemberRow`] or [`siltstone_log::ConsumerMemberRow`], by the kind of the group's head, in parts | the group's coordinator | coordinators when they load; transactional commits of offsets | while the member is in the group |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family, parse_text};

/// What the parts of a member's row begin with.
pub fn prefix(group: &str, member: &str) -> Bytes {
    Key::new(family::GROUP_MEMBER).text(group).text(member).done()
}

/// All members of a group.
pub fn of(group: &str) -> KeyRange {
    KeyRange::prefix(Key::new(family::GROUP_MEMBER).text(group).done())
}

/// The member of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<String> {
    let (_, rest) = parse_text(key.get(1..)?)?;
    parse_text(rest).map(|(member, _)| member)
}
