//! Where in FoundationDB's key space a store's keys are.

use bytes::Bytes;

use crate::KeyRange;

/// Keys below one prefix.
#[derive(Debug, Clone)]
pub(super) struct Space {
    prefix: Bytes,
    /// The first key behind all keys of the store.
    end: Bytes,
}

impl Space {
    pub(super) fn new(prefix: &str) -> Self {
        let prefix = Bytes::copy_from_slice(prefix.as_bytes());
        // Text has no byte 0xff: what follows the last key is the prefix and that byte, which no key of ours begins with.
        let end = [&prefix[..], &[0xff]].concat().into();
        Space { prefix, end }
    }

    /// A key as it is in the database.
    pub(super) fn key(&self, key: &[u8]) -> Vec<u8> {
        [&self.prefix[..], key].concat()
    }

    /// A range as it is in the database, cut to where keys may be; nothing if no key can be in it.
    pub(super) fn range(&self, range: &KeyRange) -> Option<(Vec<u8>, Vec<u8>)> {
        let begin = self.key(&range.begin);
        let end = self.key(&range.end).min(self.end.to_vec());
        (begin < end).then_some((begin, end))
    }

    /// A range that is the store's own, and in which no key is ever.
    pub(super) fn nowhere(&self) -> (Vec<u8>, Vec<u8>) {
        (self.end.to_vec(), [&self.end[..], &[0]].concat())
    }

    /// Bytes of the prefix.
    pub(super) fn len(&self) -> usize {
        self.prefix.len()
    }

    /// A key of the database, as the store's callers know it.
    pub(super) fn stripped(&self, key: &[u8]) -> Bytes {
        Bytes::copy_from_slice(key.get(self.prefix.len()..).unwrap_or_default())
    }

    /// The parameter of an operation that puts a stamp between `prefix` and `suffix`: their bytes, room for the stamp, and where that is.
    pub(super) fn stamped(prefix: &[u8], suffix: &[u8]) -> Vec<u8> {
        let place = u32::try_from(prefix.len()).unwrap_or(u32::MAX);
        [prefix, &[0; crate::Stamp::LEN], suffix, &place.to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_end_where_keys_end() {
        let space = Space::new("p/");
        let all = KeyRange::new(&b""[..], &b"\xff\xff"[..]);
        assert_eq!(space.range(&all), Some((b"p/".to_vec(), b"p/\xff".to_vec())));
        assert_eq!(
            space.range(&KeyRange::new(&b"a"[..], &b"b"[..])),
            Some((b"p/a".to_vec(), b"p/b".to_vec()))
        );
        assert_eq!(space.range(&KeyRange::new(&b"b"[..], &b"b"[..])), None);
        assert_eq!(space.range(&KeyRange::new(&b"\xff"[..], &b"\xff\xff"[..])), None);
        assert_eq!(space.stripped(&space.key(b"k")), &b"k"[..]);
    }

    #[test]
    fn a_stamp_s_place_counts_from_the_key_s_begin() {
        let told = Space::stamped(b"p/log", b"7");
        assert_eq!(told.len(), 5 + 10 + 1 + 4);
        assert_eq!(told[16..], 5_u32.to_le_bytes());
    }
}
