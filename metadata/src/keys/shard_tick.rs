//! Changes with every commit that appends to a shard, and never comes back to a former value: what followers watch, and know quiet shards by.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `11`, shard 2 | u64 little-endian, counted up | with every append, blind | watches; followers, of all their shards together | for ever |

use bytes::Bytes;
use siltstone_log::ShardId;
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

/// The key of a shard's tick.
pub fn key(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_TICK).shard(shard).done()
}

/// Those of the shards from `first` to `last`.
pub fn between(first: ShardId, last: ShardId) -> KeyRange {
    KeyRange { begin: key(first), end: KeyRange::key(key(last)).end }
}

/// Changes it.
pub fn tick(shard: ShardId) -> Mutation {
    Mutation::Add { key: key(shard), delta: 1 }
}
