//! Registrations that have ended, and whose objects have not been looked through for what they left over.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `37`, registration 16 | stamp 10 of the end | whoever ends the registration | reclaim, which lists the objects under that name and deletes those that were never published | until that was done, and done again after the time of grace |

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

/// The key of one registration.
pub fn key(registration: RegistrationId) -> Bytes {
    Key::new(family::ENDED_REGISTRATION).registration(registration).done()
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::ENDED_REGISTRATION).done())
}

/// Notes the end of a registration.
pub fn set(registration: RegistrationId) -> Mutation {
    Mutation::SetVersionstampedValue { key: key(registration), prefix: Bytes::new(), suffix: Bytes::new() }
}

/// Which registration a key is of; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<RegistrationId> {
    let id = key.strip_prefix(&[family::ENDED_REGISTRATION])?;
    Some(RegistrationId(u128::from_be_bytes(id.try_into().ok()?)))
}
