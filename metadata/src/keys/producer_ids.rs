//! The producer ids that are given out next.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `46` | u64 big-endian: all ids below are given out | agents that take a block of ids, in a transaction that reads it | the same; checkpoint holders, for an `Expire` | for ever |

use bytes::Bytes;

use super::{Key, family};

/// The key.
pub fn key() -> Bytes {
    Key::new(family::PRODUCER_IDS).done()
}

/// Reads the value; `None` if it is none.
pub fn decode(value: Option<&[u8]>) -> Option<u64> {
    value.map_or(Some(0), |bytes| bytes.try_into().ok().map(u64::from_be_bytes))
}
