//! Record batches as bytes: a rope of slices, so that a response carries them without a copy.

use bytes::{Bytes, BytesMut};
use std::fmt;

/// The value of a `records` field: bytes in one or more chunks, which stay where they are.
///
/// Decoding gives one chunk, a slice of the message. A response is given as many chunks as it likes. Equality is that of
/// the bytes, however they are cut.
#[derive(Clone, Default)]
pub struct Records {
    first: Bytes,
    rest: Vec<Bytes>,
    len: usize,
}

impl Records {
    /// No bytes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a chunk; an empty one is left out.
    pub fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.len += chunk.len();
        if self.first.is_empty() {
            self.first = chunk;
        } else {
            self.rest.push(chunk);
        }
    }

    /// The length of all chunks, in bytes.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The chunks in order, none of them empty.
    pub fn chunks(&self) -> impl Iterator<Item = &Bytes> {
        std::iter::once(&self.first).filter(|first| !first.is_empty()).chain(&self.rest)
    }

    /// All bytes in one piece: free for a single chunk, which is what decoding gives, else a copy.
    pub fn into_bytes(self) -> Bytes {
        if self.rest.is_empty() {
            return self.first;
        }
        let mut whole = BytesMut::with_capacity(self.len);
        self.chunks().for_each(|chunk| whole.extend_from_slice(chunk));
        whole.freeze()
    }
}

impl From<Bytes> for Records {
    fn from(chunk: Bytes) -> Self {
        Self { len: chunk.len(), first: chunk, rest: Vec::new() }
    }
}

impl FromIterator<Bytes> for Records {
    fn from_iter<I: IntoIterator<Item = Bytes>>(chunks: I) -> Self {
        let mut records = Self::new();
        chunks.into_iter().for_each(|chunk| records.push(chunk));
        records
    }
}

impl Extend<Bytes> for Records {
    fn extend<I: IntoIterator<Item = Bytes>>(&mut self, chunks: I) {
        chunks.into_iter().for_each(|chunk| self.push(chunk));
    }
}

impl PartialEq for Records {
    fn eq(&self, other: &Self) -> bool {
        let bytes = |records: &'_ Self| records.clone().into_bytes();
        self.len == other.len && bytes(self) == bytes(other)
    }
}

impl Eq for Records {}

impl fmt::Debug for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Records({} bytes in {} chunks)", self.len, self.chunks().count())
    }
}
