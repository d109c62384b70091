//! Changes with every commit that appends to a shard: what followers watch.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `11`, shard 2 | u64 little-endian, counted up | with every append, blind | watches | for ever |

use bytes::Bytes;
use siltstone_log::ShardId;
use siltstone_store::Mutation;

use super::{Key, family};

/// The key of a shard's tick.
pub fn key(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_TICK).shard(shard).done()
}

/// Changes it.
pub fn tick(shard: ShardId) -> Mutation {
    Mutation::Add { key: key(shard), delta: 1 }
}
