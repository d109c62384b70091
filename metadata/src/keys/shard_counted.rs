//! Says that the segments which a shard uses are counted.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `36`, shard 2 | nothing | the holder of the shard's checkpoint lease, once it has counted what the chunks refer to | the same, which counts first where this is absent; the compactor, which leaves such shards alone; fsck, which clears it to have a shard counted anew | for ever |

use bytes::Bytes;
use siltstone_log::ShardId;

use super::{Key, family};

/// The key of a shard.
pub fn key(shard: ShardId) -> Bytes {
    Key::new(family::SHARD_COUNTED).shard(shard).done()
}
