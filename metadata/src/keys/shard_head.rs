//! The head of a shard as of its floor.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `13`, shard 2, part 2 (see [`super::parts`]) | [`siltstone_log::ShardHead`], in parts | in the transaction that moves the floor | loads, at the same read version as the floor | for ever |

use bytes::Bytes;
use siltstone_log::ShardId;

use super::{Key, family};

/// The prefix of a shard's head.
pub fn prefix(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_HEAD).shard(shard).done()
}
