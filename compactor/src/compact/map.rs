//! The newest offset of each key, in memory of a fixed size.
//!
//! A slot takes 16 bytes, whatever the key: 88 bits of a keyed hash and the offset, 40 bits, relative to the first one that is looked at. Two keys of
//! the same hash would count as one, and the older one's value would be lost. With 88 bits that happens to one pair among a billion keys with a
//! chance of 2 in a billion, and nobody can bring it about: the hash is SipHash-2-4 with a seed that is drawn for each map and told to nobody.
//! (Kafka's map takes 24 bytes a key and an unkeyed MD5.)
//!
//! Guarantees that it never grows, says when it is full, and forgets nothing. Pure: the seed is an argument.

use std::hash::Hasher;

use siltstone_metadata::bugs::{self, Bug};
use siphasher::sip128::{Hasher128, SipHasher24};

/// Bytes of a slot.
pub const SLOT_BYTES: usize = 16;
const OFFSET_BITS: u32 = 40;
/// Offsets that a map can tell apart. The highest value stays unused: 0 says that a slot is empty.
const SPAN: i64 = (1 << OFFSET_BITS) - 1;

/// A key or an offset that the map has no room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full;

/// A bounded map from keys to offsets.
pub struct OffsetMap {
    slots: Vec<u128>,
    used: usize,
    most: usize,
    base: i64,
    hasher: SipHasher24,
}

impl std::fmt::Debug for OffsetMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { used, most, base, .. } = self;
        f.debug_struct("OffsetMap").field("used", used).field("most", most).field("base", base).finish()
    }
}

impl OffsetMap {
    /// A map of at most `bytes` (room for one key at least), and no more than `keys` need, for offsets from `base` on.
    pub fn new(bytes: usize, keys: u64, base: i64, seed: [u64; 2]) -> Self {
        let wanted = usize::try_from(keys).unwrap_or(usize::MAX);
        // An eighth stays free, so that a search ends soon: after 33 slots on average, which lie side by side, in a map that is full.
        let enough = wanted.saturating_add(wanted / 7).saturating_add(1);
        let slots = enough.min(bytes / SLOT_BYTES).max(2);
        let most = (slots - slots / 8).min(slots - 1);
        let hasher = SipHasher24::new_with_keys(seed[0], seed[1]);
        OffsetMap { slots: vec![0; slots], used: 0, most, base, hasher }
    }

    /// Keys that it holds.
    pub fn len(&self) -> usize {
        self.used
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.used == 0
    }

    /// Keys that it has room for.
    pub fn capacity(&self) -> usize {
        self.most
    }

    /// Bytes of memory that it takes.
    pub fn bytes(&self) -> usize {
        self.slots.len() * SLOT_BYTES
    }

    /// Notes that `key` has a record at `offset`. Offsets of a key must not fall; none may lie before the map's base.
    ///
    /// # Errors
    /// There is no room: for a new key, or for an offset so far from the base. The map is as it was.
    pub fn put(&mut self, key: &[u8], offset: i64) -> Result<(), Full> {
        let relative = offset.checked_sub(self.base).filter(|at| (0..SPAN).contains(at)).ok_or(Full)?;
        let hash = self.hash(key);
        let at = self.find(hash);
        if self.slots[at] == 0 {
            if self.used == self.most {
                if bugs::on(Bug::KeysForgotten) {
                    return Ok(());
                }
                return Err(Full);
            }
            self.used += 1;
        }
        self.slots[at] = hash << OFFSET_BITS | (relative as u128 + 1);
        Ok(())
    }

    /// The newest offset of `key`, if the map knows one.
    pub fn newest(&self, key: &[u8]) -> Option<i64> {
        if self.used == 0 {
            return None;
        }
        match self.slots[self.find(self.hash(key))] {
            0 => None,
            slot => Some(self.base + (slot & SPAN as u128) as i64 - 1),
        }
    }

    /// 88 bits.
    fn hash(&self, key: &[u8]) -> u128 {
        let mut hasher = self.hasher;
        hasher.write(key);
        let bits = if bugs::on(Bug::KeysCollide) { 4 } else { 128 - OFFSET_BITS };
        hasher.finish128().as_u128() >> (128 - bits)
    }

    /// Where this hash is, or the empty slot where it would be. There is always one: the map never fills up.
    fn find(&self, hash: u128) -> usize {
        // The hash's highest 64 bits, as a fraction of all slots.
        let mut at = (((hash >> 24) * self.slots.len() as u128) >> 64) as usize;
        loop {
            let slot = self.slots[at];
            if slot == 0 || slot >> OFFSET_BITS == hash {
                return at;
            }
            at += 1;
            if at == self.slots.len() {
                at = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    const SEED: [u64; 2] = [1, 2];

    proptest! {
        #[test]
        fn it_is_a_map_as_long_as_there_is_room(
            puts in vec((0..200u32, 0..9i64), 0..400), slots in 2..160usize, base in 0..1i64 << 60, seed: [u64; 2],
        ) {
            let mut map = OffsetMap::new(slots * SLOT_BYTES, u64::MAX, base, seed);
            prop_assert!(map.bytes() <= slots * SLOT_BYTES);
            let (mut model, mut offset) = (BTreeMap::new(), base);
            for (key, step) in puts {
                let known = model.contains_key(&key);
                let put = map.put(&key.to_be_bytes(), offset);
                prop_assert_eq!(put.is_err(), !known && model.len() == map.capacity());
                if put.is_ok() {
                    model.insert(key, offset);
                }
                offset += step;
            }
            prop_assert_eq!(map.len(), model.len());
            for key in 0..200u32 {
                prop_assert_eq!(map.newest(&key.to_be_bytes()), model.get(&key).copied());
            }
        }
    }

    #[test]
    fn it_takes_no_more_than_the_keys_need_and_always_one() {
        let small = OffsetMap::new(1 << 30, 100, 0, SEED);
        assert!(small.capacity() >= 100 && small.bytes() < 2000, "{small:?}");
        let mut least = OffsetMap::new(0, 1 << 40, 7, SEED);
        assert_eq!(least.put(b"a", 7), Ok(()));
        assert_eq!(least.put(b"b", 8), Err(Full));
        assert_eq!(least.put(b"a", 9), Ok(()));
        assert_eq!((least.newest(b"a"), least.newest(b"b")), (Some(9), None));
        let ten_million = OffsetMap::new(usize::MAX, 10_000_000, 0, SEED);
        assert!(ten_million.capacity() >= 10_000_000 && ten_million.bytes() < 184_000_000);
    }

    #[test]
    fn offsets_beyond_its_span_are_refused() {
        let mut map = OffsetMap::new(1 << 10, 10, 5, SEED);
        let last = 5 + (1 << 40) - 2;
        assert_eq!(map.put(b"a", last), Ok(()));
        assert_eq!(map.newest(b"a"), Some(last));
        assert_eq!(map.put(b"a", last + 1), Err(Full));
        assert_eq!(map.put(b"a", 4), Err(Full));
    }
}
