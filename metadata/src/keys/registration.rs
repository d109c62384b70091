//! Agents that run, or have not been declared dead yet.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `02`, registration 16 | [`siltstone_log::RegistrationRow`] | the agent at its start; deleted by whoever ends it | everyone, for the list of agents; in the read set of every append of the agent | until the registration is ended |

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one registration.
pub fn key(registration: RegistrationId) -> Bytes {
    Key::new(family::REGISTRATION).registration(registration).done()
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::REGISTRATION).done())
}
