//! Entries of a shard that an operator declared void (design, section 3).
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `14`, shard 2 | positions, 12 bytes each, ascending | an operator's command | followers with each page; a change makes them load anew | for ever |

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::{Position, ShardId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of a shard's voided entries.
pub fn key(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_VOIDS).shard(shard).done()
}

/// Those of the shards from `first` to `last`.
pub fn between(first: ShardId, last: ShardId) -> KeyRange {
    KeyRange { begin: key(first), end: KeyRange::key(key(last)).end }
}

/// Reads the value; `None` if it is none.
pub fn decode(value: Option<&[u8]>) -> Option<BTreeSet<Position>> {
    let value = value.unwrap_or_default();
    if !value.len().is_multiple_of(12) {
        return None;
    }
    Some(value.chunks_exact(12).filter_map(|at| at.try_into().ok().map(Position)).collect())
}

/// The value for these positions.
pub fn encode(positions: &BTreeSet<Position>) -> Bytes {
    positions.iter().flat_map(|position| position.0).collect::<Vec<u8>>().into()
}
