//! Transactional ids: all there is to know of one, and so what every step of a transaction conflicts on.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `70`, transactional id, UTF-8 | [`siltstone_log::TxnRow`] | InitProducerId; the begin and the end of a transaction; the sweeper | every step of a transaction, in its read set: flushes of transactional batches too | until it has not been used for `transactional.id.expiration.ms` |

use bytes::Bytes;
use siltstone_store::KeyRange;

use super::{Key, family};

/// The key of a transactional id.
pub fn key(id: &str) -> Bytes {
    Key::new(family::TXN).raw(id.as_bytes()).done()
}

/// All transactional ids, in the order of their bytes.
pub fn all() -> KeyRange {
    KeyRange::prefix(Key::new(family::TXN).done())
}

/// The transactional id of a key; `None` if it is no such key.
pub fn parse(key: &[u8]) -> Option<&str> {
    let (family, id) = key.split_first()?;
    if *family == family::TXN { std::str::from_utf8(id).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_back_from_keys() {
        for id in ["", "a", "a\0b", "ä"] {
            assert_eq!(parse(&key(id)), Some(id));
            assert!(key(id) >= all().begin && key(id) < all().end);
        }
        assert_eq!(parse(&[0x71, b'a']), None);
        assert_eq!(parse(&[]), None);
    }
}
