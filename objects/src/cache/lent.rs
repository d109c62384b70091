//! Pages that another agent keeps, and that are here for a short time: those who came first go first, however often they are read.
//!
//! Readers take a page piece by piece, so that it has to stay for a while; but what its owner has too is not worth the room of what nobody has.
//! Guarantees: what is listed has no more bytes than the limit, but for the last one. Only says what has to go; a synchronous value.

use std::collections::VecDeque;
use std::sync::{Arc, Weak};

use bytes::Bytes;

use super::lru::{Key, Pieces};

#[derive(Debug)]
struct Page {
    key: Key,
    /// Tells whether what is kept under the key is still this.
    pieces: Weak<[Bytes]>,
    bytes: u64,
}

/// The pages, in the order in which they came.
#[derive(Debug)]
pub(super) struct Lent {
    limit: u64,
    pages: VecDeque<Page>,
    bytes: u64,
}

impl Lent {
    pub(super) fn new(limit: u64) -> Self {
        Lent { limit, pages: VecDeque::new(), bytes: 0 }
    }

    /// Takes a page in.
    pub(super) fn add(&mut self, key: Key, pieces: &Pieces) {
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.bytes += bytes;
        self.pages.push_back(Page { key, pieces: Arc::downgrade(pieces), bytes });
    }

    /// The next page that has to go. Those that went by themselves are forgotten on the way.
    pub(super) fn surplus(&mut self) -> Option<(Key, Pieces)> {
        loop {
            let first = self.pages.front()?;
            let there = first.pieces.upgrade();
            if there.is_some() && (self.bytes <= self.limit || self.pages.len() == 1) {
                return None;
            }
            let Page { key, bytes, .. } = self.pages.pop_front()?;
            self.bytes -= bytes;
            if let Some(pieces) = there {
                return Some((key, pieces));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{RegistrationId, SegmentId};

    use super::super::lru::Part;
    use super::*;

    fn page(number: u64) -> (Key, Pieces) {
        let segment = SegmentId { registration: RegistrationId(1), number: 1 };
        (Key { segment, part: Part::Page(number) }, vec![Bytes::from(vec![0; 100])].into())
    }

    #[test]
    fn the_first_to_come_is_the_first_to_go() {
        let mut lent = Lent::new(250);
        let pages: Vec<_> = (0..4).map(page).collect();
        pages.iter().for_each(|(key, pieces)| lent.add(*key, pieces));
        let gone = std::iter::from_fn(|| lent.surplus());
        assert_eq!(gone.map(|(key, _)| key).collect::<Vec<_>>(), [pages[0].0, pages[1].0]);
        assert_eq!(lent.bytes, 200);
    }

    #[test]
    fn what_has_gone_by_itself_takes_no_room() {
        let mut lent = Lent::new(250);
        let mut pages: Vec<_> = (0..4).map(page).collect();
        pages.iter().for_each(|(key, pieces)| lent.add(*key, pieces));
        pages.drain(..2);
        assert_eq!(lent.surplus(), None);
        assert_eq!((lent.bytes, lent.pages.len()), (200, 2));
        let mut large = Lent::new(50);
        let (key, pieces) = page(9);
        large.add(key, &pieces);
        assert_eq!(large.surplus(), None, "one is always there");
    }
}
