//! Small segments, kept here instead of in object storage.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `30`, hash 1, registration 16, number 8, part 2 (see [`super::parts`]) | the segment's bytes, in parts | in the transaction that appends its manifest | fetches | until the compactor has merged it |

use bytes::Bytes;
use siltstone_log::{SegmentId, mix64};

use super::{Key, family};

/// The prefix of a segment's parts. The hash keeps an agent's segments from being one sequential, never split range.
pub fn prefix(segment: SegmentId) -> Bytes {
    let hash = mix64(segment.number ^ segment.registration.0 as u64) as u8;
    Key::new(family::INLINE_SEGMENT)
        .raw(&[hash])
        .registration(segment.registration)
        .raw(&segment.number.to_be_bytes())
        .done()
}
