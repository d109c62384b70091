//! Values that may exceed what one key takes are written in parts: prefix, part 2.
//!
//! A value's parts are always written and cleared together, so that a snapshot sees all of one value.

use bytes::{Bytes, BytesMut};
use siltstone_store::{KeyRange, Mutation, RangeLimit, Snapshot, StoreError};

/// Bytes of a part: under the store's limit for values, with room to spare.
pub const PART_BYTES: usize = 90_000;
/// Most parts of a value: all of it fits one transaction.
pub const MAX_PARTS: usize = 100;

fn key(prefix: &[u8], part: u16) -> Bytes {
    let mut key = Vec::with_capacity(prefix.len() + 2);
    key.extend_from_slice(prefix);
    key.extend_from_slice(&part.to_be_bytes());
    key.into()
}

/// Adds the mutations that replace the value under `prefix`. Nothing is copied.
pub fn set(mutations: &mut Vec<Mutation>, prefix: &[u8], value: &Bytes) {
    mutations.push(Mutation::ClearRange { range: range(prefix) });
    set_new(mutations, prefix, value);
}

/// Adds the mutations that write a value under `prefix` where there was none.
pub fn set_new(mutations: &mut Vec<Mutation>, prefix: &[u8], value: &Bytes) {
    for (part, at) in (0..value.len().max(1)).step_by(PART_BYTES).enumerate() {
        let chunk = value.slice(at..value.len().min(at + PART_BYTES));
        mutations.push(Mutation::Set { key: key(prefix, part as u16), value: chunk });
    }
}

/// The keys of a value.
pub fn range(prefix: &[u8]) -> KeyRange {
    KeyRange { begin: key(prefix, 0), end: key(prefix, u16::MAX) }
}

/// Reads the value under `prefix`.
///
/// # Errors
/// As the snapshot's reads.
pub async fn get(snapshot: &dyn Snapshot, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
    let limit = RangeLimit { entries: MAX_PARTS, bytes: MAX_PARTS * 100_000, reverse: false };
    let mut page = snapshot.range(&range(prefix), limit).await?;
    if page.entries.len() <= 1 {
        return Ok(page.entries.pop().map(|(_, value)| value));
    }
    let mut whole = BytesMut::with_capacity(page.entries.iter().map(|(_, value)| value.len()).sum());
    page.entries.iter().for_each(|(_, value)| whole.extend_from_slice(value));
    Ok(Some(whole.freeze()))
}
