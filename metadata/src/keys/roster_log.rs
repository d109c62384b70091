//! Which registrations began, ended, or changed how they stand, in order, so that agents needn't read them all again.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `06`, stamp 10 | registration 16 | whoever changes the roster tick, in the same transaction | every agent that sees the tick changed; one that finds fewer of these than changes reads all registrations | the last hundred or so: cut when a registration begins |

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family, roster_tick};

/// Says that something about this registration has changed, and has all agents look.
pub fn changed(registration: RegistrationId) -> [Mutation; 2] {
    let log = Mutation::SetVersionstampedKey {
        prefix: Key::new(family::ROSTER_LOG).done(),
        suffix: Bytes::new(),
        value: Bytes::copy_from_slice(&registration.0.to_be_bytes()),
    };
    [roster_tick::tick(), log]
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::ROSTER_LOG).done())
}

/// Those behind the one with this key.
pub fn behind(key: Bytes) -> KeyRange {
    KeyRange { begin: KeyRange::key(key).end, end: all().end }
}

/// Those before the one with this key.
pub fn before(key: Bytes) -> KeyRange {
    KeyRange { begin: all().begin, end: key }
}

/// Which registration it is about.
pub fn decode(value: &[u8]) -> Option<RegistrationId> {
    value.try_into().ok().map(|bytes| RegistrationId(u128::from_be_bytes(bytes)))
}
