//! How an agent stands: how much of what is shared out it wants just now.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `04`, registration 16 | [`siltstone_log::Standing`]; absent: all of its share | the agent, in a transaction that reads its registration: while it warms up, and when it drains | everyone, with the list of agents; in nobody's read set, as clients are only sent by it | as the registration |

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one agent's standing.
pub fn key(registration: RegistrationId) -> Bytes {
    Key::new(family::STANDING).registration(registration).done()
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::STANDING).done())
}

/// Whose standing a key is; `None` if it is another key.
pub fn parse(key: &[u8]) -> Option<RegistrationId> {
    let id = key.strip_prefix(&[family::STANDING])?;
    Some(RegistrationId(u128::from_be_bytes(id.try_into().ok()?)))
}
