//! Batches over shared bytes, and finding them in a run of bytes that holds several.
//!
//! Guarantees that a [`Batch`] has its whole length at hand and is of magic 2. Does not check the CRC or the records.

use std::iter::FusedIterator;
use std::ops::Deref;

use bytes::Bytes;

use crate::header::{CRC_FROM, HEADER_LEN, Header, LENGTH_END, MAGIC, MAGIC_AT};

/// Why bytes are no batch. Positions count from the start of the bytes given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes end within a batch.
    #[error("the batch at byte {at} needs {need} bytes, {have} are left")]
    Truncated {
        /// Where the batch begins.
        at: usize,
        /// Bytes it needs, as far as that is known.
        need: usize,
        /// Bytes there are.
        have: usize,
    },
    /// The length field is negative or less than a header needs.
    #[error("the batch at byte {at} says its length is {length}")]
    Length {
        /// Where the batch begins.
        at: usize,
        /// What its length field says.
        length: i32,
    },
    /// Not this format: 0 and 1 are Kafka's old ones, others are none.
    #[error("the batch at byte {at} has magic {magic}, not 2")]
    Magic {
        /// Where the batch begins.
        at: usize,
        /// What its magic byte says.
        magic: i8,
    },
}

/// One batch: its header, parsed, and its bytes, shared. Dereferences to the header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    header: Header,
    bytes: Bytes,
}

impl Batch {
    /// The batch at the start of `bytes`; what follows it is left out.
    pub fn parse(bytes: &Bytes) -> Result<Self, FrameError> {
        Self::parse_at(bytes, 0)
    }

    fn parse_at(bytes: &Bytes, at: usize) -> Result<Self, FrameError> {
        let rest = bytes.get(at..).unwrap_or_default();
        let have = rest.len();
        // Magic first: an old format's message may be shorter than our header and deserves its own answer.
        let magic = *rest.get(MAGIC_AT).ok_or(FrameError::Truncated { at, need: HEADER_LEN, have })?;
        if magic as i8 != MAGIC {
            return Err(FrameError::Magic { at, magic: magic as i8 });
        }
        let head = rest.first_chunk().ok_or(FrameError::Truncated { at, need: HEADER_LEN, have })?;
        let header = Header::parse(head);
        let need = header.total_len().ok_or(FrameError::Length { at, length: header.length })?;
        if need > have {
            return Err(FrameError::Truncated { at, need, have });
        }
        Ok(Self { header, bytes: bytes.slice(at..at + need) })
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The header's bytes.
    pub fn header_bytes(&self) -> [u8; HEADER_LEN] {
        let mut out = [0; HEADER_LEN];
        out.copy_from_slice(&self.bytes[..HEADER_LEN]);
        out
    }

    /// All bytes of the batch.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes after the header: the records, compressed or not.
    pub fn body(&self) -> Bytes {
        self.bytes.slice(HEADER_LEN..)
    }

    /// Bytes of the whole batch, header included.
    pub fn total_len(&self) -> usize {
        self.header.length as usize + LENGTH_END
    }

    /// Whether the CRC matches the bytes that it covers.
    pub fn crc_is_valid(&self) -> bool {
        self.computed_crc() == self.header.crc
    }

    pub(crate) fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[CRC_FROM..])
    }
}

impl Deref for Batch {
    type Target = Header;

    fn deref(&self) -> &Header {
        &self.header
    }
}

/// The batches that lie back to back in `bytes`. After an error there is nothing more.
pub fn batches(bytes: Bytes) -> Batches {
    Batches { bytes, at: 0 }
}

/// Iterator of [`batches`].
#[derive(Debug, Clone)]
pub struct Batches {
    bytes: Bytes,
    at: usize,
}

impl Batches {
    /// Where the next batch begins, in bytes from the start.
    pub fn position(&self) -> usize {
        self.at
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, FrameError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.at >= self.bytes.len() {
            return None;
        }
        let batch = Batch::parse_at(&self.bytes, self.at);
        self.at = match &batch {
            Ok(batch) => self.at + batch.total_len(),
            Err(_) => self.bytes.len(),
        };
        Some(batch)
    }
}

impl FusedIterator for Batches {}
