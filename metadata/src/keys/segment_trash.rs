//! Segments that nothing refers to any more, until they are deleted.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `33`, stamp 10, registration 16, number 8 | inline u8, length u64 | reclaim, in the transaction that clears the segment's row and uses | reclaim, which deletes the segment after a time of grace, and then this | until the segment is deleted |

use bytes::Bytes;
use siltstone_log::SegmentId;
use siltstone_store::{KeyRange, Mutation, Stamp};

use super::{Key, family};

/// All of it, the oldest first.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::SEGMENT_TRASH).done())
}

/// Puts a segment there.
pub fn put(segment: SegmentId, inline: bool, length: u64) -> Mutation {
    let mut value = vec![u8::from(inline)];
    value.extend_from_slice(&length.to_be_bytes());
    Mutation::SetVersionstampedKey {
        prefix: Key::new(family::SEGMENT_TRASH).done(),
        suffix: Key(Vec::new()).segment(segment).done(),
        value: value.into(),
    }
}

/// When a segment became trash, and which one it is; `None` if the key is none of these.
pub fn parse(key: &[u8]) -> Option<(Stamp, SegmentId)> {
    let (stamp, segment) = key.strip_prefix(&[family::SEGMENT_TRASH])?.split_at_checked(Stamp::LEN)?;
    Some((Stamp(stamp.try_into().ok()?), super::parse_segment(segment)?))
}

/// Whether it is inline, and its length; `None` if the value is none.
pub fn decode(value: &[u8]) -> Option<(bool, u64)> {
    let (inline, length) = value.split_first()?;
    Some((*inline != 0, u64::from_be_bytes(length.try_into().ok()?)))
}

/// A key as it is stored, for whoever clears it.
pub fn key(stamp: Stamp, segment: SegmentId) -> Bytes {
    Key::new(family::SEGMENT_TRASH).raw(&stamp.0).segment(segment).done()
}
