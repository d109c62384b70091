//! Small segments, kept here instead of in object storage.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `30`, hash 1, registration 16, number 8, part 2 (see [`super::parts`]) | the segment's bytes, in parts | in the transaction that appends its manifest | fetches | until the compactor has merged it |

use bytes::Bytes;
use siltstone_log::{SegmentId, mix64};
use siltstone_store::KeyRange;

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

/// All parts of all segments; those of one follow each other.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::INLINE_SEGMENT).done())
}

/// Which segment a part is of; `None` if the key is none of these.
pub fn parse(key: &[u8]) -> Option<SegmentId> {
    let (segment, _part) = key.strip_prefix(&[family::INLINE_SEGMENT])?.get(1..)?.split_at_checked(24)?;
    super::parse_segment(segment)
}

#[cfg(test)]
mod tests {
    use siltstone_log::RegistrationId;

    use super::*;

    #[test]
    fn a_part_s_key_tells_its_segment() {
        let segment = SegmentId { registration: RegistrationId(7 << 100 | 3), number: 9 };
        let part = [&prefix(segment)[..], &[0, 4]].concat();
        assert_eq!(parse(&part), Some(segment));
        assert!(all().contains(&part) && parse(&part[1..]).is_none() && parse(&part[..20]).is_none());
    }
}
