//! Segments that are referred to, for whoever reclaims them.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `31`, registration 16, number 8 | version u8 (1), inline u8, length u64, bitmap of the shards that may refer to it | in the transaction that appends its manifest, blind | reclaim and fsck | until the segment is deleted |

use bytes::Bytes;
use siltstone_log::{SegmentId, SegmentPlace, ShardId};
use siltstone_store::Mutation;

use super::{Key, family};

/// The key of one segment.
pub fn key(segment: SegmentId) -> Bytes {
    Key::new(family::SEGMENT_ROW).registration(segment.registration).raw(&segment.number.to_be_bytes()).done()
}

/// Writes the row of a segment that has blocks in `used` of the cluster's `shards`.
pub fn set(place: &SegmentPlace, used: impl Iterator<Item = ShardId>, shards: u16) -> Mutation {
    let mut value = vec![1, u8::from(place.inline)];
    value.extend_from_slice(&place.length.to_be_bytes());
    let bitmap = value.len();
    value.resize(bitmap + usize::from(shards).div_ceil(8), 0);
    for shard in used {
        if let Some(byte) = value.get_mut(bitmap + usize::from(shard.0 / 8)) {
            *byte |= 1 << (shard.0 % 8);
        }
    }
    Mutation::Set { key: key(place.id), value: value.into() }
}
