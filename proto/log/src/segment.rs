//! Segments: blocks, then a footer that indexes them (design, section 2).
//!
//! ```text
//! segment := block bytes… | footer | trailer
//! footer  := version u8 (1) | registration 16 | number varint | written at zigzag | blocks: count varint, block…
//! block   := topic 16 | partition varint | place (as in an entry) | CRC-32C of the stored bytes u32
//! trailer := footer length u32 | CRC-32C of the footer u32 | "SILT" 4
//! ```
//!
//! Readers find blocks by the manifests in the metadata; the footer lets a person, `siltstone inspect` and `fsck` read a segment
//! without them, and says where a damage lies. The blocks lie back to back from byte 0.

use crate::codec::{FormatError, Reader, Write};
use crate::entry::BlockPlace;
use crate::{PartitionId, SegmentId};

const VERSION: u8 = 1;
const MAGIC: &[u8; 4] = b"SILT";
/// Bytes of the trailer: the last of every segment.
pub const TRAILER_BYTES: usize = 12;
const LEAST_BLOCK: usize = 16 + 4 + 4;

/// The index of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Footer {
    /// Which segment it is: an object under a wrong name shows.
    pub id: SegmentId,
    /// The writer's clock, milliseconds since the Unix epoch.
    pub at: i64,
    /// In the segment's order.
    pub blocks: Vec<FooterBlock>,
}

/// One block in the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FooterBlock {
    /// Whose records.
    pub partition: PartitionId,
    /// Where.
    pub place: BlockPlace,
    /// CRC-32C of the bytes as stored.
    pub checksum: u32,
}

impl Footer {
    /// The footer's and the trailer's bytes, to be written behind the blocks.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.segment(self.id);
        out.zigzag(self.at);
        out.varint(self.blocks.len() as u64);
        for block in &self.blocks {
            out.partition(block.partition);
            block.place.write(&mut out);
            out.bytes(&block.checksum.to_be_bytes());
        }
        let (length, checksum) = (out.len() as u32, crc32c::crc32c(&out));
        out.bytes(&length.to_be_bytes());
        out.bytes(&checksum.to_be_bytes());
        out.bytes(MAGIC);
        out
    }

    /// How long footer and trailer are, from the segment's last [`TRAILER_BYTES`].
    ///
    /// # Errors
    /// If these bytes are no trailer.
    pub fn length(trailer: &[u8]) -> Result<usize, FormatError> {
        let mut reader = Reader::new(trailer);
        let length = reader.u32("footer length")? as usize;
        reader.u32("footer checksum")?;
        if reader.take(4, "segment magic")? != MAGIC {
            return Err(reader.invalid("segment magic"));
        }
        reader.end("trailer")?;
        Ok(length + TRAILER_BYTES)
    }

    /// Reads footer and trailer, as long as [`Footer::length`] said.
    ///
    /// # Errors
    /// If the bytes are not a footer, or have changed.
    pub fn decode(bytes: &[u8]) -> Result<Footer, FormatError> {
        let body = bytes
            .len()
            .checked_sub(TRAILER_BYTES)
            .ok_or(FormatError::Short { what: "segment footer", at: 0 })?;
        let (footer, trailer) = bytes.split_at(body);
        if Footer::length(trailer)? != bytes.len() {
            return Err(FormatError::Invalid { what: "footer length", at: body });
        }
        if Reader::new(&trailer[4..]).u32("footer checksum")? != crc32c::crc32c(footer) {
            return Err(FormatError::Checksum { what: "segment footer" });
        }
        let mut reader = Reader::new(footer);
        reader.version("segment", 1..=VERSION)?;
        let id = reader.segment()?;
        let at = reader.zigzag("time")?;
        let count = reader.count(LEAST_BLOCK, "blocks")?;
        let blocks = (0..count).map(|_| FooterBlock::read(&mut reader)).collect::<Result<_, _>>()?;
        reader.end("segment footer")?;
        Ok(Footer { id, at, blocks })
    }
}

impl FooterBlock {
    fn read(reader: &mut Reader<'_>) -> Result<FooterBlock, FormatError> {
        Ok(FooterBlock {
            partition: reader.partition()?,
            place: BlockPlace::read(reader)?,
            checksum: reader.u32("block checksum")?,
        })
    }
}
