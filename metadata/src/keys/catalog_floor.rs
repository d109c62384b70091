//! The catalog's floor: entries at or below it are cleared; a follower that is behind it reads all rows again.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `45` | position 12 | the holder of the catalog's lease | catalog followers, with every page | for ever |

use bytes::Bytes;

use super::{Key, family};

/// The key.
pub fn key() -> Bytes {
    Key::new(family::CATALOG_FLOOR).done()
}
