//! The floor of a shard: entries at or below it are in rows and may be cleared.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `12`, shard 2 | position 12; absent: nothing is in rows | the holder of the shard's checkpoint lease | every load and every page of the log, at the same read version | for ever |

use bytes::Bytes;
use siltstone_log::{Position, ShardId};
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of a shard's floor.
pub fn key(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_FLOOR).shard(shard).done()
}

/// Those of the shards from `first` to `last`.
pub fn between(first: ShardId, last: ShardId) -> KeyRange {
    KeyRange { begin: key(first), end: KeyRange::key(key(last)).end }
}

/// Reads the value; `None` if it is none.
pub fn decode(value: Option<&[u8]>) -> Option<Position> {
    value.map_or(Some(Position::ZERO), |bytes| bytes.try_into().ok().map(Position))
}
