//! Segments that are referred to, for whoever reclaims them.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `31`, registration 16, number 8 | [`siltstone_log::SegmentRow`] | in the transaction that appends its manifest, blind; the compactor, before it publishes extents and after | reclaim and fsck | until nothing refers to the segment |

use bytes::Bytes;
use siltstone_log::{RegistrationId, SegmentId, SegmentPlace, SegmentRow, ShardId, ShardSet};
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

/// The key of one segment.
pub fn key(segment: SegmentId) -> Bytes {
    Key::new(family::SEGMENT_ROW).segment(segment).done()
}

/// All of them.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::SEGMENT_ROW).done())
}

/// Those of one writer.
pub fn of(registration: RegistrationId) -> KeyRange {
    KeyRange::prefix(Key::new(family::SEGMENT_ROW).registration(registration).done())
}

/// Which segment a key is of; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<SegmentId> {
    super::parse_segment(key.strip_prefix(&[family::SEGMENT_ROW])?)
}

/// Writes the row of a segment, with the commit's own stamp.
pub fn set(segment: SegmentId, row: &SegmentRow) -> Mutation {
    let (prefix, suffix) = row.around_stamp();
    Mutation::SetVersionstampedValue { key: key(segment), prefix: prefix.into(), suffix: suffix.into() }
}

/// Writes the row of a segment that has blocks in `used` of the cluster's `shards`, in the commit that publishes it.
pub fn published(place: &SegmentPlace, used: impl IntoIterator<Item = ShardId>, shards: u16) -> Mutation {
    let shards = ShardSet::of(used, shards);
    let (inline, length) = (place.inline, place.length);
    let row = SegmentRow { inline, writing: false, merged: false, length, stamp: None, shards };
    set(place.id, &row)
}
