//! Changes when an agent comes, goes, or stands differently: what agents watch, so that all know soon.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `05` | u64 little-endian, counted up | whoever begins or ends a registration or changes a standing, blind; an agent that waits until all others have looked | watches, and rounds of membership | for ever |

use bytes::Bytes;
use siltstone_store::Mutation;

use super::{Key, family};

/// The key.
pub fn key() -> Bytes {
    Key::new(family::ROSTER_TICK).done()
}

/// Changes it.
pub fn tick() -> Mutation {
    Mutation::Add { key: key(), delta: 1 }
}
