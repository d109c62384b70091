//! A registration's pulse: it changes as long as the agent lives.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `03`, registration 16 | u64 little-endian, counted up | the agent, in a transaction that reads its registration, several times per lease time | challengers, who watch it stay the same for the lease time; an agent that drains, which waits until all have looked | as the registration |

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of one registration's beat.
pub fn key(registration: RegistrationId) -> Bytes {
    Key::new(family::BEAT).registration(registration).done()
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::BEAT).done())
}
