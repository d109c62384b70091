//! How much of a segment a shard's extent chunks refer to.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `32`, shard 2, registration 16, number 8 | u64 little-endian: extents × 2^40 + their stored bytes | whoever writes or clears extent chunks, blind, in transactions that read what they replace | reclaim, which deletes a segment of which nobody uses anything; fsck | until the segment is reclaimed |

use bytes::Bytes;
use siltstone_log::{Extent, SegmentId, ShardId};
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

/// One extent counts so much, beside its bytes: segments are far smaller, and so are the sums of what one shard uses of one.
const EXTENT: u64 = 1 << 40;

/// The key of a shard's use of a segment.
pub fn key(shard: ShardId, segment: SegmentId) -> Bytes {
    Key::new(family::SEGMENT_USE).shard(shard).segment(segment).done()
}

/// A shard's uses of the segments `first..=last`.
pub fn between(shard: ShardId, first: SegmentId, last: SegmentId) -> KeyRange {
    KeyRange { begin: key(shard, first), end: KeyRange::key(key(shard, last)).end }
}

/// All of a shard's.
pub fn of_shard(shard: ShardId) -> KeyRange {
    KeyRange::prefix(Key::new(family::SEGMENT_USE).shard(shard).done())
}

/// Which segment a key is about; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<SegmentId> {
    super::parse_segment(key.strip_prefix(&[family::SEGMENT_USE])?.get(2..)?)
}

/// What one extent counts.
pub fn weight(extent: &Extent) -> u64 {
    EXTENT.wrapping_add(extent.stored_bytes())
}

/// Adds `delta`, which may be the two's complement of something to be taken off.
pub fn add(shard: ShardId, segment: SegmentId, delta: u64) -> Mutation {
    Mutation::Add { key: key(shard, segment), delta }
}

/// A value: how many extents, and their stored bytes. `None` if it is none.
pub fn decode(value: &[u8]) -> Option<(u64, u64)> {
    let value = u64::from_le_bytes(value.try_into().ok()?);
    Some((value / EXTENT, value % EXTENT))
}
