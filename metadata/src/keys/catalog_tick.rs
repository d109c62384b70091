//! Changes with every commit to the catalog: what its followers watch.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `44` | u64 little-endian, counted up | with every catalog transaction | watches | for ever |

use bytes::Bytes;
use siltstone_store::Mutation;

use super::{Key, family};

/// The key.
pub fn key() -> Bytes {
    Key::new(family::CATALOG_TICK).done()
}

/// Changes it.
pub fn tick() -> Mutation {
    Mutation::Add { key: key(), delta: 1 }
}
