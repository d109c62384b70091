//! What is in the cache and what has to go: a synchronous value without clock or chance.
//!
//! Least recently used goes first, but what nobody has read yet is passed over once: it was fetched for a reader who is on the way, while what was read
//! may be of no more use to anybody. A log's newest bytes are its most wanted ones, so nothing new is turned away in favour of
//! what was often read before. Guarantees, after every call: entries and reservations together are within the limit.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::SegmentId;

/// What an entry costs beside its bytes: two map nodes and the pieces' handles. Charged, so that many small blocks are bounded too.
const ENTRY_COST: u64 = 256;
const PIECE_COST: u64 = 32;

/// The pieces of a page or block.
pub(super) type Pieces = Arc<[Bytes]>;

/// What of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// Page by number, as stored.
    Page(u64),
    /// Block by its offset in the segment, decompressed.
    Block(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub segment: SegmentId,
    pub part: Part,
}

impl Key {
    /// All keys of a segment.
    pub(super) fn of(segment: SegmentId) -> std::ops::RangeInclusive<Self> {
        Self { segment, part: Part::Page(0) }..=Self { segment, part: Part::Block(u64::MAX) }
    }
}

#[derive(Debug)]
struct Entry {
    pieces: Pieces,
    cost: u64,
    /// Its place in `order`.
    used: u64,
    /// Read ahead, and not asked for since.
    unread: bool,
    /// It was passed over once.
    spared: bool,
}

#[derive(Debug)]
pub(super) struct Lru {
    limit: u64,
    entries: BTreeMap<Key, Entry>,
    /// Keys by last use.
    order: BTreeMap<u64, Key>,
    uses: u64,
    /// Cost of entries.
    held: u64,
    /// Bytes that are being fetched.
    reserved: u64,
    /// Cost of entries that nobody has asked for yet.
    unread: u64,
    evicted: u64,
}

impl Lru {
    pub(super) fn new(limit: u64) -> Self {
        Self {
            limit,
            entries: BTreeMap::new(),
            order: BTreeMap::new(),
            uses: 0,
            held: 0,
            reserved: 0,
            unread: 0,
            evicted: 0,
        }
    }

    /// Bytes held and reserved; never above the limit.
    pub(super) fn total(&self) -> u64 {
        self.held + self.reserved
    }

    pub(super) fn unread(&self) -> u64 {
        self.unread
    }

    /// How many entries were evicted since the last call.
    pub(super) fn take_evicted(&mut self) -> u64 {
        std::mem::take(&mut self.evicted)
    }

    pub(super) fn contains(&self, key: &Key) -> bool {
        self.entries.contains_key(key)
    }

    /// An entry's pieces; it counts as used now.
    pub(super) fn get(&mut self, key: &Key) -> Option<Pieces> {
        let entry = self.entries.get_mut(key)?;
        self.order.remove(&entry.used);
        self.uses += 1;
        entry.used = self.uses;
        self.order.insert(entry.used, *key);
        if std::mem::take(&mut entry.unread) {
            self.unread -= entry.cost;
        }
        Some(Arc::clone(&entry.pieces))
    }

    /// Sets bytes aside, evicting what has to go. Answers how many: less than asked for only if all reservations together
    /// would be above the limit.
    pub(super) fn reserve(&mut self, bytes: u64) -> u64 {
        let bytes = bytes.min(self.limit - self.reserved);
        self.make_room(bytes);
        self.reserved += bytes;
        bytes
    }

    /// Gives a reservation back.
    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved -= bytes;
    }

    /// Puts pieces in, unless they are larger than all that could be evicted for them.
    pub(super) fn insert(&mut self, key: Key, pieces: Pieces, unread: bool) {
        let bytes: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let cost = bytes + ENTRY_COST + PIECE_COST * pieces.len() as u64;
        self.remove(&key);
        if cost > self.limit - self.reserved {
            return;
        }
        self.make_room(cost);
        self.uses += 1;
        self.order.insert(self.uses, key);
        self.entries.insert(key, Entry { pieces, cost, used: self.uses, unread, spared: false });
        self.held += cost;
        self.unread += if unread { cost } else { 0 };
    }

    pub(super) fn remove_segment(&mut self, segment: SegmentId) {
        let keys: Vec<Key> = self.entries.range(Key::of(segment)).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| _ = self.remove(key));
    }

    /// Removes an entry if it still has these pieces.
    pub(super) fn remove_same(&mut self, key: &Key, pieces: &Pieces) {
        if self.entries.get(key).is_some_and(|entry| Arc::ptr_eq(&entry.pieces, pieces)) {
            self.evicted += u64::from(self.remove(key));
        }
    }

    fn remove(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.remove(key) else { return false };
        self.order.remove(&entry.used);
        self.held -= entry.cost;
        self.unread -= if entry.unread { entry.cost } else { 0 };
        true
    }

    fn make_room(&mut self, bytes: u64) {
        while self.total() + bytes > self.limit {
            let Some((_, oldest)) = self.order.first_key_value() else { break };
            let oldest = *oldest;
            if !self.spare(&oldest) {
                self.evicted += u64::from(self.remove(&oldest));
            }
        }
    }

    /// Puts an entry that nobody has read at the end once. Whether it was.
    fn spare(&mut self, key: &Key) -> bool {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.unread && !entry.spared) else {
            return false;
        };
        entry.spared = true;
        self.uses += 1;
        self.order.remove(&entry.used);
        entry.used = self.uses;
        self.order.insert(entry.used, *key);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::{RegistrationId, mix64};

    fn key(number: u64, page: u64) -> Key {
        Key { segment: SegmentId { registration: RegistrationId(1), number }, part: Part::Page(page) }
    }

    fn pieces(bytes: usize) -> Pieces {
        vec![Bytes::from(vec![0u8; bytes])].into()
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let mut lru = Lru::new(3 * (1000 + ENTRY_COST + PIECE_COST));
        (0..3).for_each(|page| lru.insert(key(1, page), pieces(1000), false));
        assert!(lru.get(&key(1, 0)).is_some());
        lru.insert(key(1, 3), pieces(1000), false);
        let there: Vec<u64> = (0..4).filter(|page| lru.contains(&key(1, *page))).collect();
        assert_eq!(there, [0, 2, 3]);
        assert_eq!(lru.take_evicted(), 1);
    }

    #[test]
    fn what_nobody_has_read_is_passed_over_once() {
        let mut lru = Lru::new(3 * (1000 + ENTRY_COST + PIECE_COST));
        lru.insert(key(1, 0), pieces(1000), true);
        (1..5).for_each(|page| lru.insert(key(1, page), pieces(1000), false));
        let there = |lru: &Lru| (0..9).filter(|page| lru.contains(&key(1, *page))).collect::<Vec<u64>>();
        // It was the oldest when 3 came.
        assert_eq!(there(&lru), [0, 3, 4]);
        lru.insert(key(1, 5), pieces(1000), false);
        assert_eq!(there(&lru), [3, 4, 5], "not twice");
        assert_eq!(lru.unread(), 0);
    }

    #[test]
    fn nothing_exceeds_the_limit() {
        let limit = 10_000;
        let mut lru = Lru::new(limit);
        let mut reserved = Vec::new();
        for step in 0..20_000u64 {
            let chance = mix64(step);
            let size = (chance >> 8) % 6_000;
            match chance % 5 {
                0 => reserved.push(lru.reserve(size)),
                1 => reserved.pop().into_iter().for_each(|bytes| lru.release(bytes)),
                2 => lru.remove_segment(key(chance % 7, 0).segment),
                3 => _ = lru.get(&key(chance % 7, chance % 3)),
                _ => lru.insert(key(chance % 7, chance % 3), pieces(size as usize), chance.is_multiple_of(2)),
            }
            assert!(lru.total() <= limit && lru.unread() <= lru.held, "step {step}");
            assert_eq!(lru.entries.len(), lru.order.len());
            assert_eq!(lru.held, lru.entries.values().map(|entry| entry.cost).sum::<u64>());
        }
    }
}
