//! An answer: chunks in order, each with its checksum.

use bytes::{Bytes, BytesMut};

use crate::{CHUNK_BYTES, Chunk};

/// The bytes of an answer, cut into chunks; shares the memory of `pieces`. The checksums are counted as the chunks are taken.
pub fn chunks<P>(pieces: P) -> impl Iterator<Item = Chunk>
where
    P: IntoIterator<Item = Bytes>,
{
    pieces.into_iter().flat_map(cut).map(|data| Chunk { checksum: crc32c::crc32c(&data), data })
}

fn cut(piece: Bytes) -> impl Iterator<Item = Bytes> {
    let mut rest = piece;
    std::iter::from_fn(move || {
        let next = rest.split_to(rest.len().min(CHUNK_BYTES));
        (!next.is_empty()).then_some(next)
    })
}

/// What is wrong with an answer. Whoever sent it is not to be asked again for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Fewer bytes than were asked for.
    #[error("{came} bytes came instead of {wanted}")]
    Short {
        /// How many came.
        came: usize,
        /// How many were asked for.
        wanted: usize,
    },
    /// More than that.
    #[error("more bytes came than {wanted}")]
    Long {
        /// How many were asked for.
        wanted: usize,
    },
    /// A chunk without bytes: they could come for ever.
    #[error("an empty chunk")]
    Empty,
    /// A chunk is not what was sent.
    #[error("a chunk that begins at byte {at} has the checksum {found:08x}, not {stated:08x}")]
    Checksum {
        /// Where in the answer.
        at: usize,
        /// What it has.
        found: u32,
        /// What it should have.
        stated: u32,
    },
}

/// An answer being put together. Holds the bytes that were asked for and no more.
#[derive(Debug)]
pub struct Assembly {
    bytes: BytesMut,
    wanted: usize,
}

impl Assembly {
    /// Of so many bytes.
    pub fn new(wanted: usize) -> Self {
        Assembly { bytes: BytesMut::new(), wanted }
    }

    /// Takes the next chunk. They are copied into one piece of memory that has no room for more than the answer: what came with them is let go.
    ///
    /// # Errors
    /// See [`BadAnswer`].
    pub fn take(&mut self, chunk: &Chunk) -> Result<(), BadAnswer> {
        let (at, stated, found) = (self.bytes.len(), chunk.checksum, crc32c::crc32c(&chunk.data));
        if chunk.data.is_empty() {
            return Err(BadAnswer::Empty);
        }
        if found != stated {
            return Err(BadAnswer::Checksum { at, found, stated });
        }
        if chunk.data.len() > self.wanted - at {
            return Err(BadAnswer::Long { wanted: self.wanted });
        }
        if at == 0 {
            self.bytes.reserve(self.wanted);
        }
        self.bytes.extend_from_slice(&chunk.data);
        Ok(())
    }

    /// The answer, once its stream has ended.
    ///
    /// # Errors
    /// [`BadAnswer::Short`].
    pub fn done(self) -> Result<Bytes, BadAnswer> {
        let (came, wanted) = (self.bytes.len(), self.wanted);
        if came == wanted { Ok(self.bytes.freeze()) } else { Err(BadAnswer::Short { came, wanted }) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn assemble(wanted: usize, chunks: impl IntoIterator<Item = Chunk>) -> Result<Bytes, BadAnswer> {
        let mut assembly = Assembly::new(wanted);
        chunks.into_iter().try_for_each(|chunk| assembly.take(&chunk))?;
        assembly.done()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn what_is_cut_is_put_together(lengths in prop::collection::vec(0usize..700_000, 0..5), seed: u8) {
            let pieces: Vec<Bytes> = lengths
                .iter()
                .map(|length| (0..*length).map(|at| (at / 251) as u8 ^ at as u8 ^ seed).collect())
                .collect();
            let whole = pieces.concat();
            prop_assert!(chunks(pieces.clone()).all(|chunk| chunk.data.len() <= CHUNK_BYTES));
            prop_assert_eq!(assemble(whole.len(), chunks(pieces.clone())).unwrap(), whole.clone());
            prop_assert!(assemble(whole.len() + 1, chunks(pieces.clone())).is_err());
            if !whole.is_empty() {
                prop_assert!(assemble(whole.len() - 1, chunks(pieces)).is_err());
            }
        }
    }

    #[test]
    fn what_was_changed_on_the_way_is_refused() {
        let chunk = chunks([Bytes::from_static(b"some bytes")]).next().unwrap();
        let other = Chunk { data: Bytes::from_static(b"some bytez"), ..chunk.clone() };
        assert!(matches!(assemble(10, [other]), Err(BadAnswer::Checksum { at: 0, .. })));
        assert_eq!(assemble(10, [Chunk::default()]), Err(BadAnswer::Empty));
        assert_eq!(assemble(20, [chunk.clone()]), Err(BadAnswer::Short { came: 10, wanted: 20 }));
        assert_eq!(assemble(15, [chunk.clone(), chunk]), Err(BadAnswer::Long { wanted: 15 }));
    }
}
