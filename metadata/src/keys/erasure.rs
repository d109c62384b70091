//! Erasures of keys, and what their receipts are made of.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `38`, erasure 16 (or nothing: the last request); `39`, erasure 16, kind 1, and: partition 4 (1: first offset kept, 2: records gone), segment 24 (3: an object), segment 24, segment 24 (4: what took its place) | [`siltstone_log::ErasureRow`]; stamp 10; offset i64, count u64 little-endian, [`siltstone_log::ErasedObject`], ms i64 | the transaction that asks for it; then reclaim's holder, and (2, 4) the compactors, in the transactions that put new extents in place | compactors; agents, for receipts | until somebody has it forgotten |

use bytes::Bytes;
use siltstone_log::{ErasureId, ErasureRow, SegmentId};
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

const UPTO: u8 = 1;
const COUNT: u8 = 2;
const OBJECT: u8 = 3;
const REPLACED: u8 = 4;
/// Bytes of a segment in a key.
const SEGMENT: usize = 24;

/// The key of an erasure's row.
pub fn key(erasure: ErasureId) -> Bytes {
    Key::new(family::ERASURE).raw(&erasure.0.to_be_bytes()).done()
}

/// The rows of all erasures, and with them [`last`].
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::ERASURE).done())
}

/// Which erasure a row's key is of; `None` if it is none of these.
pub fn parse(key: &[u8]) -> Option<ErasureId> {
    let id = key.strip_prefix(&[family::ERASURE])?;
    Some(ErasureId(u128::from_be_bytes(id.try_into().ok()?)))
}

/// Writes the row of an erasure in the commit that asks for it, with that commit's stamp.
pub fn ask(erasure: ErasureId, row: &ErasureRow) -> [Mutation; 2] {
    let (prefix, suffix) = row.around_stamp();
    let row =
        Mutation::SetVersionstampedValue { key: key(erasure), prefix: prefix.into(), suffix: suffix.into() };
    let (prefix, suffix) = (Bytes::new(), Bytes::new());
    [row, Mutation::SetVersionstampedValue { key: last(), prefix, suffix }]
}

/// Changes the row of an erasure.
pub fn set(erasure: ErasureId, row: &ErasureRow) -> Mutation {
    Mutation::Set { key: key(erasure), value: row.encode().into() }
}

/// The key that changes with every request: whoever rewrites data reads it, so that nothing lands that was begun before the last one.
pub fn last() -> Bytes {
    Key::new(family::ERASURE).done()
}

fn detail(erasure: ErasureId, kind: u8) -> Key {
    Key::new(family::ERASURE_DETAIL).raw(&erasure.0.to_be_bytes()).raw(&[kind])
}

/// All details of an erasure.
pub fn details(erasure: ErasureId) -> KeyRange {
    KeyRange::prefix(Key::new(family::ERASURE_DETAIL).raw(&erasure.0.to_be_bytes()).done())
}

/// Says up to which offset a partition's records are meant.
pub fn set_upto(erasure: ErasureId, partition: u32, upto: i64) -> Mutation {
    let key = detail(erasure, UPTO).raw(&partition.to_be_bytes()).done();
    Mutation::Set { key, value: Bytes::copy_from_slice(&upto.to_be_bytes()) }
}

/// All that [`set_upto`] wrote.
pub fn uptos(erasure: ErasureId) -> KeyRange {
    KeyRange::prefix(detail(erasure, UPTO).done())
}

/// A partition, and up to which offset its records are meant; `None` if the entry is none of these.
pub fn parse_upto(key: &[u8], value: &[u8]) -> Option<(u32, i64)> {
    Some((partition(key, UPTO)?, i64::from_be_bytes(value.try_into().ok()?)))
}

/// Counts records of a partition that are gone from what can be read.
pub fn count(erasure: ErasureId, partition: u32, records: u64) -> Mutation {
    Mutation::Add { key: detail(erasure, COUNT).raw(&partition.to_be_bytes()).done(), delta: records }
}

/// All that [`count`] counted.
pub fn counts(erasure: ErasureId) -> KeyRange {
    KeyRange::prefix(detail(erasure, COUNT).done())
}

/// A partition, and how many of its records are gone; `None` if the entry is none of these.
pub fn parse_count(key: &[u8], value: &[u8]) -> Option<(u32, u64)> {
    Some((partition(key, COUNT)?, u64::from_le_bytes(value.try_into().ok()?)))
}

fn of_kind(key: &[u8], wanted: u8) -> Option<&[u8]> {
    let (kind, rest) = key.strip_prefix(&[family::ERASURE_DETAIL])?.get(16..)?.split_first()?;
    (*kind == wanted).then_some(rest)
}

fn partition(key: &[u8], kind: u8) -> Option<u32> {
    Some(u32::from_be_bytes(of_kind(key, kind)?.try_into().ok()?))
}

/// The key of an object that holds such records.
pub fn object(erasure: ErasureId, segment: SegmentId) -> Bytes {
    detail(erasure, OBJECT).segment(segment).done()
}

/// All of an erasure's objects.
pub fn objects(erasure: ErasureId) -> KeyRange {
    KeyRange::prefix(detail(erasure, OBJECT).done())
}

/// Which segment such a key is of; `None` if it is none of these.
pub fn parse_object(key: &[u8]) -> Option<SegmentId> {
    super::parse_segment(of_kind(key, OBJECT)?)
}

/// Says that extents in `new` took the place of some in `old`, at this time (milliseconds since the Unix epoch).
pub fn replaced(erasure: ErasureId, old: SegmentId, new: SegmentId, at: i64) -> Mutation {
    let key = detail(erasure, REPLACED).segment(old).segment(new).done();
    Mutation::Set { key, value: Bytes::copy_from_slice(&at.to_be_bytes()) }
}

/// All that [`replaced`] said of one object.
pub fn replacements(erasure: ErasureId, old: SegmentId) -> KeyRange {
    KeyRange::prefix(detail(erasure, REPLACED).segment(old).done())
}

/// What took an object's place, and when; `None` if the entry is none of these.
pub fn parse_replaced(key: &[u8], value: &[u8]) -> Option<(SegmentId, i64)> {
    let new = super::parse_segment(of_kind(key, REPLACED)?.get(SEGMENT..)?)?;
    Some((new, i64::from_be_bytes(value.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use siltstone_log::RegistrationId;

    use super::*;

    fn segment(number: u64) -> SegmentId {
        SegmentId { registration: RegistrationId(7 << 100), number }
    }

    fn entry(mutation: Mutation) -> (Bytes, Bytes) {
        match mutation {
            Mutation::Set { key, value } => (key, value),
            Mutation::Add { key, delta } => (key, Bytes::copy_from_slice(&delta.to_le_bytes())),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn keys_tell_what_they_are_of() {
        let id = ErasureId(5 << 90);
        assert_eq!(parse(&key(id)), Some(id));
        assert!(all().contains(&key(id)) && all().contains(&last()) && parse(&last()).is_none());
        let (at, value) = entry(set_upto(id, 9, 1 << 40));
        assert!(uptos(id).contains(&at) && details(id).contains(&at) && !counts(id).contains(&at));
        assert_eq!((parse_upto(&at, &value), parse_count(&at, &value)), (Some((9, 1 << 40)), None));
        let (at, value) = entry(count(id, 9, 3));
        assert_eq!((counts(id).contains(&at), parse_count(&at, &value)), (true, Some((9, 3))));
        let at = object(id, segment(3));
        assert_eq!((objects(id).contains(&at), parse_object(&at)), (true, Some(segment(3))));
        let (at, value) = entry(replaced(id, segment(3), segment(4), -5));
        assert!(replacements(id, segment(3)).contains(&at) && !replacements(id, segment(4)).contains(&at));
        assert_eq!((parse_replaced(&at, &value), parse_object(&at)), (Some((segment(4), -5)), None));
        assert!(!details(ErasureId(5)).contains(&at));
    }
}
