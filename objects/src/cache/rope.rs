//! Bytes in several pieces, handed on without copying.

use std::ops::Range;

use bytes::{Bytes, BytesMut};

/// Bytes in order, in pieces that share memory with the cache. Dropping it lets that memory go.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rope {
    pieces: Vec<Bytes>,
    len: u64,
}

impl Rope {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The pieces in order, none of them empty.
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The pieces themselves, for vectored output.
    pub fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    /// Appends a piece, without copying.
    pub fn push(&mut self, piece: Bytes) {
        if !piece.is_empty() {
            self.len += piece.len() as u64;
            self.pieces.push(piece);
        }
    }

    /// Bytes `range` of it, without copying. What lies beyond the end is left out.
    pub fn slice(&self, range: Range<u64>) -> Self {
        let mut part = Self::new();
        part.push_range(&self.pieces, range);
        part
    }

    /// All bytes in one piece: as they are if there is only one, else copied.
    pub fn to_bytes(&self) -> Bytes {
        match &self.pieces[..] {
            [] => Bytes::new(),
            [one] => one.clone(),
            many => {
                let mut whole = BytesMut::with_capacity(many.iter().map(Bytes::len).sum());
                many.iter().for_each(|piece| whole.extend_from_slice(piece));
                whole.freeze()
            }
        }
    }

    /// Copies it if it is shorter than `limit` bytes, so that a slow consumer with a small slice does not keep whole pages in
    /// memory. Longer ropes stay as they are: what they keep is of the order of what they use.
    pub fn detach_small(self, limit: u64) -> Self {
        if self.len >= limit || self.is_empty() {
            return self;
        }
        let mut copy = BytesMut::with_capacity(self.pieces.iter().map(Bytes::len).sum());
        self.pieces.iter().for_each(|piece| copy.extend_from_slice(piece));
        Self::from(copy.freeze())
    }

    /// Appends bytes `range` of `pieces`, counted from the first one's start.
    pub(super) fn push_range(&mut self, pieces: &[Bytes], range: Range<u64>) {
        let mut at = 0u64;
        for piece in pieces {
            let end = at + piece.len() as u64;
            let (from, to) = (range.start.max(at), range.end.min(end));
            if from < to {
                self.push(piece.slice((from - at) as usize..(to - at) as usize));
            }
            if end >= range.end {
                break;
            }
            at = end;
        }
    }
}

impl From<Bytes> for Rope {
    fn from(piece: Bytes) -> Self {
        let mut rope = Self::new();
        rope.push(piece);
        rope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rope(pieces: &[&'static str]) -> Rope {
        let mut rope = Rope::new();
        pieces.iter().for_each(|piece| rope.push(Bytes::from_static(piece.as_bytes())));
        rope
    }

    #[test]
    fn slices_are_those_of_the_whole() {
        let whole = rope(&["abc", "", "d", "efgh"]);
        assert_eq!((whole.len(), whole.pieces().len()), (8, 3));
        for from in 0..=8u64 {
            for to in from..=8 {
                let slice = whole.slice(from..to);
                assert_eq!(slice.to_bytes(), b"abcdefgh"[from as usize..to as usize], "{from}..{to}");
            }
        }
        assert_eq!(whole.slice(6..100).to_bytes(), "gh");
    }

    #[test]
    fn only_small_ropes_are_copied() {
        let piece = Bytes::from(vec![7u8; 100]);
        let small = Rope::from(piece.slice(10..20)).detach_small(11);
        assert_eq!(small.to_bytes(), piece[10..20]);
        assert_ne!(small.pieces()[0].as_ptr(), piece[10..].as_ptr());
        let large = Rope::from(piece.slice(10..20)).detach_small(10);
        assert_eq!(large.pieces()[0].as_ptr(), piece[10..].as_ptr());
    }
}
