//! Blocks as they are stored: in one zstd frame where that pays, and their batches again.

use bytes::Bytes;
use zstd::zstd_safe::zstd_sys::ZSTD_EndDirective::{self, ZSTD_e_continue, ZSTD_e_end};
use zstd::zstd_safe::{CCtx, CParameter, InBuffer, OutBuffer, ResetDirective, compress_bound};

use crate::Encoding;

/// Smaller blocks are left as they are.
pub const LEAST_PACKED: usize = 4 << 10;
/// Larger blocks are packed on trial first: so much of their beginning.
const SAMPLE_BYTES: usize = 32 << 10;
/// Up to this size a trial costs too much of what it may save.
const TRIED_WHOLE: usize = 4 * SAMPLE_BYTES;

/// Makes zstd frames of blocks, one after the other.
pub struct Packer {
    context: CCtx<'static>,
    room: Vec<u8>,
}

impl Packer {
    /// At this level of zstd's; negative ones are the fast ones. `None` without memory for it.
    pub fn new(level: i32) -> Option<Self> {
        let mut context = CCtx::try_create()?;
        context.set_parameter(CParameter::CompressionLevel(level)).ok()?;
        Some(Packer { context, room: Vec::new() })
    }

    /// The block of these bytes in one frame, if that pays: if it, or a sample of a large one, shrinks to 70 %.
    pub fn pack<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]> + Clone) -> Option<Bytes> {
        let length = chunks.clone().map(<[u8]>::len).sum::<usize>();
        if length < LEAST_PACKED {
            return None;
        }
        let tried = if length > TRIED_WHOLE { SAMPLE_BYTES } else { length };
        let mut packed = self.frame(first(chunks.clone(), tried), tried)?;
        if packed * 10 > tried * 7 {
            return None;
        }
        if tried < length {
            packed = self.frame(chunks, length)?;
        }
        // A copy of its own size: the room is larger, and would stay in a page cache with it, uncounted.
        (packed < length).then(|| Bytes::copy_from_slice(&self.room[..packed]))
    }

    /// Makes a frame of these `length` bytes in the room; how long it is.
    fn frame<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]>, length: usize) -> Option<usize> {
        self.context.reset(ResetDirective::SessionOnly).ok()?;
        self.context.set_pledged_src_size(Some(length as u64)).ok()?;
        self.room.clear();
        self.room.reserve(compress_bound(length));
        let mut out = OutBuffer::around(&mut self.room);
        let mut left = length;
        for chunk in chunks {
            left -= chunk.len();
            // Said with the last bytes, so that a block of one chunk is packed from where it lies.
            let end = if left == 0 { ZSTD_e_end } else { ZSTD_e_continue };
            feed(&mut self.context, &mut out, chunk, end)?;
            if left == 0 {
                break;
            }
        }
        Some(out.pos())
    }
}

/// Packs all of a chunk. `None`: zstd's error, or no room, which is enough for any input.
fn feed(
    context: &mut CCtx<'static>,
    out: &mut OutBuffer<'_, Vec<u8>>,
    chunk: &[u8],
    end: ZSTD_EndDirective,
) -> Option<()> {
    let mut from = InBuffer::around(chunk);
    loop {
        let before = (from.pos(), out.pos());
        let left = context.compress_stream2(out, &mut from, end).ok()?;
        if from.pos() == chunk.len() && (left == 0 || end == ZSTD_e_continue) {
            return Some(());
        }
        if (from.pos(), out.pos()) == before {
            return None;
        }
    }
}

/// The first `length` bytes of these.
fn first<'a>(chunks: impl Iterator<Item = &'a [u8]>, length: usize) -> impl Iterator<Item = &'a [u8]> {
    chunks.scan(length, |left, chunk| {
        let part = &chunk[..chunk.len().min(*left)];
        *left -= part.len();
        Some(part)
    })
}

/// Why a block's batches can't be had from what is stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnpackError {
    /// Not a zstd frame, or one of more bytes than it should have.
    #[error("can't be decompressed: {0}")]
    Frame(String),
    /// Another length than its place says.
    #[error("has {found} bytes, not {expected}")]
    Length {
        /// Bytes that were found.
        found: usize,
        /// Bytes that its place says.
        expected: u32,
    },
}

impl Encoding {
    /// A block's batches, from all of what is stored of it. Takes as much memory as they have bytes.
    ///
    /// # Errors
    /// [`UnpackError`], if what is stored is something else.
    pub fn unpack(self, stored: Bytes) -> Result<Bytes, UnpackError> {
        let Encoding::Zstd { raw_length: expected } = self else { return Ok(stored) };
        let raw = zstd::bulk::decompress(&stored, expected as usize)
            .map_err(|error| UnpackError::Frame(error.to_string()))?;
        let found = raw.len();
        if found == expected as usize { Ok(raw.into()) } else { Err(UnpackError::Length { found, expected }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(length: usize) -> Vec<u8> {
        (0..length as u64).map(|n| (crate::mix64(n) >> 13) as u8).collect()
    }

    fn text(length: usize) -> Vec<u8> {
        b"the same words again and again, ".iter().copied().cycle().take(length).collect()
    }

    /// Packs these chunks and reads them back; the frame's length.
    fn packed(packer: &mut Packer, chunks: &[Vec<u8>]) -> Option<usize> {
        let frame = packer.pack(chunks.iter().map(Vec::as_slice))?;
        let whole = chunks.concat();
        let encoding = Encoding::Zstd { raw_length: whole.len() as u32 };
        assert_eq!(encoding.unpack(frame.clone()), Ok(whole.into()));
        Some(frame.len())
    }

    #[test]
    fn blocks_of_any_number_of_chunks_come_back_from_one_frame() {
        let mut packer = Packer::new(1).unwrap();
        for length in [LEAST_PACKED, 50_000, TRIED_WHOLE, TRIED_WHOLE + 1, 3 << 20] {
            for pieces in [1, 2, 7, 100] {
                let text = text(length);
                let chunks: Vec<_> = text.chunks(length.div_ceil(pieces)).map(<[u8]>::to_vec).collect();
                assert!(
                    packed(&mut packer, &chunks).is_some_and(|frame| frame < length / 10),
                    "{length} in {pieces}"
                );
                let gaps: Vec<_> = chunks.into_iter().flat_map(|chunk| [vec![], chunk, vec![]]).collect();
                assert!(packed(&mut packer, &gaps).is_some(), "{length} in {pieces} with gaps");
            }
        }
    }

    #[test]
    fn what_does_not_shrink_or_is_small_stays_as_it_is() {
        let mut packer = Packer::new(1).unwrap();
        for length in [LEAST_PACKED, 50_000, 1 << 20] {
            assert_eq!(packed(&mut packer, &[noise(length)]), None, "{length}");
            assert_eq!(packed(&mut packer, &[noise(length / 10 * 9), text(length / 10)]), None, "{length}");
        }
        assert_eq!(packed(&mut packer, &[text(LEAST_PACKED - 1)]), None);
        assert_eq!(packed(&mut packer, &[]), None);
        assert!(
            packed(&mut packer, &[text(SAMPLE_BYTES), noise(TRIED_WHOLE)]).is_some(),
            "by its sample, and it is smaller"
        );
        assert!(packed(&mut packer, &[noise(1000), text(LEAST_PACKED)]).is_some(), "after all the others");
    }

    #[test]
    fn what_is_stored_wrong_is_an_error_that_says_why() {
        let frame = Packer::new(1).unwrap().pack([text(10_000).as_slice()].into_iter()).unwrap();
        let unpack = |raw_length, stored: &Bytes| Encoding::Zstd { raw_length }.unpack(stored.clone());
        assert_eq!(unpack(10_001, &frame), Err(UnpackError::Length { found: 10_000, expected: 10_001 }));
        assert!(matches!(unpack(9_999, &frame), Err(UnpackError::Frame(_))));
        assert!(matches!(unpack(10_000, &frame.slice(1..)), Err(UnpackError::Frame(_))));
        assert_eq!(Encoding::Plain.unpack(frame.clone()), Ok(frame));
    }
}
