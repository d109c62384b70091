//! The catalog's log: its changes in order, so that agents needn't read all topics again.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `43`, stamp 10, index 2 | [`siltstone_log::CatalogEntry`] | catalog transactions, at versionstamped keys | every agent's catalog follower | until the catalog's floor has passed it |

use bytes::Bytes;
use siltstone_log::Position;
use siltstone_store::{KeyRange, Mutation};

use super::{Key, family};

/// Appends `entry` as number `index` of this commit's.
pub fn append(index: u16, entry: impl Into<Bytes>) -> Mutation {
    Mutation::SetVersionstampedKey {
        prefix: Key::new(family::CATALOG_LOG).done(),
        suffix: Bytes::copy_from_slice(&index.to_be_bytes()),
        value: entry.into(),
    }
}

/// Entries behind `position`.
pub fn after(position: Position) -> KeyRange {
    let all = KeyRange::prefix(Key::new(family::CATALOG_LOG).done());
    let last = Key::new(family::CATALOG_LOG).raw(&position.0).done();
    KeyRange { begin: KeyRange::key(last).end, end: all.end }
}

/// Entries up to `position`, with it.
pub fn up_to(position: Position) -> KeyRange {
    let all = KeyRange::prefix(Key::new(family::CATALOG_LOG).done());
    KeyRange { begin: all.begin, end: after(position).begin }
}

/// The position that a key stands for.
pub fn position(key: &[u8]) -> Option<Position> {
    key.get(1..).and_then(|rest| rest.try_into().ok()).map(Position)
}
