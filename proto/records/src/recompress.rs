//! The same records under another codec, for topics whose `compression.type` is not their producers'.
//!
//! Guarantees that records, offsets, timestamps and flags stay what they are, and that memory stays within the new
//! batch's limit: records stream from one codec to the other.

use std::io::{self, ErrorKind, Read, Write};

use bytes::Bytes;

use crate::Batch;
use crate::codec::{self, CappedVec, Compression, Encoder, Scratch, WINDOW_LEN};
use crate::header::{CRC_FROM, HEADER_LEN, LENGTH_END};
use crate::walk::{RecordsError, read_some};

/// Why a batch could not be recompressed. The batch is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecompressError {
    /// Its records can't be read; can't happen to a batch that was validated with the same cap.
    #[error(transparent)]
    Records(#[from] RecordsError),
    /// The new batch would be larger than this: RECORD_TOO_LARGE, as Kafka checks the size again.
    #[error("the batch has more than {max} bytes when compressed as the topic wants")]
    TooLarge {
        /// Bytes allowed.
        max: usize,
    },
    /// The compressor failed, for lack of memory. Worth trying again later.
    #[error("can't compress: {0}")]
    Compress(String),
}

/// What bounds a recompression.
#[derive(Debug, Clone, Copy)]
pub struct RecompressLimits {
    /// Bytes that the records may have uncompressed.
    pub max_decompressed: usize,
    /// Bytes that the new batch may have, header included; at most `i32::MAX` whatever this says.
    pub max_message_bytes: usize,
}

/// `batch` with its records under `codec`, and length, attributes and CRC to match. `level` is the codec's own (its
/// default if `None`). If the codec is the batch's already, that is the batch itself, uncopied.
pub fn recompress(
    batch: &Batch,
    codec: Compression,
    level: Option<i32>,
    limits: RecompressLimits,
    scratch: &mut Scratch,
) -> Result<Bytes, RecompressError> {
    let from = batch.attributes.compression().map_err(RecordsError::Codec)?;
    if from == codec {
        return Ok(batch.bytes().clone());
    }
    let max = limits.max_message_bytes.min(i32::MAX as usize);
    let failed = |e: io::Error| match e.kind() {
        ErrorKind::FileTooLarge => RecompressError::TooLarge { max },
        _ => RecompressError::Compress(e.to_string()),
    };
    let head = batch.header_bytes().to_vec();
    let body = &batch.bytes()[HEADER_LEN..];
    let (mut reader, context) = codec::reader_and_context(from, body, limits.max_decompressed, scratch)?;
    let mut encoder = Encoder::new(codec, level, None, CappedVec::new(head, max), context).map_err(failed)?;
    pump(&mut reader, from, limits.max_decompressed, |piece| encoder.write_all(piece).map_err(failed))?;
    let out = encoder.finish().map_err(failed)?.into_inner();
    drop(reader);
    scratch.shrink();
    Ok(sealed(batch, codec, out))
}

fn pump(
    reader: &mut impl Read,
    codec: Compression,
    max: usize,
    mut write: impl FnMut(&[u8]) -> Result<(), RecompressError>,
) -> Result<(), RecompressError> {
    let mut window = vec![0; WINDOW_LEN];
    let mut total = 0;
    loop {
        let read = read_some(reader, &mut window, codec)?;
        if read == 0 {
            return Ok(());
        }
        total += read;
        if total > max {
            return Err(RecordsError::TooLarge { max }.into());
        }
        write(&window[..read])?;
    }
}

/// Writes the header over the first bytes of `out`, once the rest is there.
fn sealed(batch: &Batch, codec: Compression, mut out: Vec<u8>) -> Bytes {
    let mut header = *batch.header();
    header.attributes = header.attributes.with_compression(codec);
    seal(&mut header, &mut out);
    out.into()
}

/// Sets the length and CRC of `header` by `batch`, whose first 61 bytes it then becomes.
pub(crate) fn seal(header: &mut crate::Header, batch: &mut [u8]) {
    header.length = (batch.len() - LENGTH_END) as i32;
    batch[..HEADER_LEN].copy_from_slice(&header.to_bytes());
    header.crc = crc32c::crc32c(&batch[CRC_FROM..]);
    batch[17..CRC_FROM].copy_from_slice(&header.crc.to_be_bytes());
}
