//! The shard logs: entries in the order of their commits.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `10`, shard 2, stamp 10, index 2 | [`siltstone_log::Entry`] | agents and catalog transactions, blind, at versionstamped keys | followers and loaders, in pages | until the floor has passed it |

use bytes::Bytes;
use siltstone_log::{Position, ShardId};
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

const PREFIX: usize = 3;

/// Appends `entry` as number `index` of this commit's entries in the shard.
pub fn append(shard: ShardId, index: u16, entry: impl Into<Bytes>) -> Mutation {
    Mutation::SetVersionstampedKey {
        prefix: Key::new(family::SHARD_LOG).shard(shard).done(),
        suffix: Bytes::copy_from_slice(&index.to_be_bytes()),
        value: entry.into(),
    }
}

/// Entries behind `position`.
pub fn after(shard: ShardId, position: Position) -> KeyRange {
    let all = KeyRange::prefix(Key::new(family::SHARD_LOG).shard(shard).done());
    let last = Key::new(family::SHARD_LOG).shard(shard).raw(&position.0).done();
    KeyRange { begin: KeyRange::key(last).end, end: all.end }
}

/// Entries up to `position`, with it.
pub fn up_to(shard: ShardId, position: Position) -> KeyRange {
    let all = KeyRange::prefix(Key::new(family::SHARD_LOG).shard(shard).done());
    KeyRange { begin: all.begin, end: after(shard, position).begin }
}

/// The position that a key stands for.
pub fn position(key: &[u8]) -> Option<Position> {
    key.get(PREFIX..).and_then(|rest| rest.try_into().ok()).map(Position)
}
