//! Walking records without building them: over a slice, or over a stream that is being decompressed.
//!
//! Guarantees that a walk reads each byte once, allocates nothing by what the bytes say, and never goes past a record's
//! declared end or the caller's cap. [`crate::validate`] and [`crate::RecordIter`] share it, so they can't disagree.

use std::io::{ErrorKind, Read};

use crate::Compression;

/// What is wrong with the records of a batch whose header is in order.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// The bytes end before the last record does.
    #[error("the records end too early")]
    Ended,
    /// A variable-length number that doesn't fit its type.
    #[error("a number in a record is too long")]
    Varint,
    /// A length that is negative where it may not be, or goes past the end of its record.
    #[error("a length of {0} does not fit the record it is in")]
    Length(i32),
    /// A record that is longer or shorter than its parts.
    #[error("a record declares {declared} bytes, its parts take {read}")]
    Size {
        /// What its length field says.
        declared: u64,
        /// What its parts came to when that was noticed.
        read: u64,
    },
    /// A header count that is negative or more than the record can hold.
    #[error("a record declares {0} headers")]
    HeaderCount(i32),
    /// Base timestamp and delta go beyond 64 bits.
    #[error("a record's timestamp is out of range")]
    Timestamp,
    /// A negative offset delta.
    #[error("a record has offset delta {0}")]
    OffsetDelta(i32),
    /// A header count below zero in the batch.
    #[error("the batch declares {0} records")]
    Count(i32),
    /// Bytes after the last record.
    #[error("bytes are left after the last record")]
    Remaining,
    /// No codec has this number.
    #[error("no codec has number {0}")]
    Codec(u8),
    /// The decompressor found the bytes to be broken.
    #[error("{codec:?} can't be decompressed: {why}")]
    Decompress {
        /// The codec.
        codec: Compression,
        /// What its decompressor says.
        why: String,
    },
    /// More than the caller's cap after decompression.
    #[error("more than {max} bytes after decompression")]
    TooLarge {
        /// The cap, in bytes.
        max: usize,
    },
}

/// Where records are read from.
pub(crate) trait Source {
    fn byte(&mut self) -> Result<u8, RecordsError>;
    fn skip(&mut self, n: u64) -> Result<(), RecordsError>;
    fn at_end(&mut self) -> Result<bool, RecordsError>;
    /// Bytes read so far.
    fn position(&self) -> u64;
}

/// Records in memory.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SliceSource<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> SliceSource<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], RecordsError> {
        let end = self.at.checked_add(n).ok_or(RecordsError::Ended)?;
        let taken = self.bytes.get(self.at..end).ok_or(RecordsError::Ended)?;
        self.at = end;
        Ok(taken)
    }

    /// The bytes between two positions that were read.
    pub(crate) fn between(&self, from: u64, to: u64) -> &'a [u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }
}

impl Source for SliceSource<'_> {
    #[inline]
    fn byte(&mut self) -> Result<u8, RecordsError> {
        let byte = *self.bytes.get(self.at).ok_or(RecordsError::Ended)?;
        self.at += 1;
        Ok(byte)
    }

    #[inline]
    fn skip(&mut self, n: u64) -> Result<(), RecordsError> {
        if n > (self.bytes.len() - self.at) as u64 {
            return Err(RecordsError::Ended);
        }
        self.at += n as usize;
        Ok(())
    }

    #[inline]
    fn at_end(&mut self) -> Result<bool, RecordsError> {
        Ok(self.at == self.bytes.len())
    }

    #[inline]
    fn position(&self) -> u64 {
        self.at as u64
    }
}

/// Records behind a decompressor, seen through a window of fixed size.
pub(crate) struct StreamSource<'a, R> {
    reader: R,
    codec: Compression,
    window: &'a mut [u8],
    at: usize,
    len: usize,
    /// Bytes that went through the window before what is in it now.
    before: u64,
    cap: usize,
    ended: bool,
}

impl<'a, R: Read> StreamSource<'a, R> {
    /// `cap` bounds the bytes read in all, which bounds the work that a bomb can cause.
    pub(crate) fn new(reader: R, codec: Compression, window: &'a mut [u8], cap: usize) -> Self {
        Self { reader, codec, window, at: 0, len: 0, before: 0, cap, ended: false }
    }

    /// Fills the emptied window again; false at the end of the stream.
    fn refill(&mut self) -> Result<bool, RecordsError> {
        self.before += self.len as u64;
        (self.at, self.len) = (0, 0);
        if self.ended {
            return Ok(false);
        }
        self.len = read_some(&mut self.reader, self.window, self.codec)?;
        self.ended = self.len == 0;
        if self.before + self.len as u64 > self.cap as u64 {
            return Err(RecordsError::TooLarge { max: self.cap });
        }
        Ok(!self.ended)
    }
}

/// One read that isn't interrupted, its error in our words.
pub(crate) fn read_some(
    reader: &mut impl Read,
    into: &mut [u8],
    codec: Compression,
) -> Result<usize, RecordsError> {
    loop {
        match reader.read(into) {
            Ok(n) => return Ok(n),
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(RecordsError::Decompress { codec, why: e.to_string() }),
        }
    }
}

impl<R: Read> Source for StreamSource<'_, R> {
    #[inline]
    fn byte(&mut self) -> Result<u8, RecordsError> {
        if self.at == self.len && !self.refill()? {
            return Err(RecordsError::Ended);
        }
        let byte = self.window[self.at];
        self.at += 1;
        Ok(byte)
    }

    fn skip(&mut self, mut n: u64) -> Result<(), RecordsError> {
        loop {
            let here = (self.len - self.at) as u64;
            if n <= here {
                self.at += n as usize;
                return Ok(());
            }
            n -= here;
            if !self.refill()? {
                return Err(RecordsError::Ended);
            }
        }
    }

    fn at_end(&mut self) -> Result<bool, RecordsError> {
        Ok(self.at == self.len && !self.refill()?)
    }

    fn position(&self) -> u64 {
        self.before + self.at as u64
    }
}

/// A zigzag number of at most 5 bytes.
#[inline]
pub(crate) fn varint(source: &mut impl Source) -> Result<i32, RecordsError> {
    let first = source.byte()?;
    let mut value = u32::from(first & 0x7f);
    if first & 0x80 != 0 {
        value |= varint_rest(source, 28)? as u32;
    }
    Ok((value >> 1) as i32 ^ -((value & 1) as i32))
}

/// A zigzag number of at most 10 bytes.
#[inline]
pub(crate) fn varlong(source: &mut impl Source) -> Result<i64, RecordsError> {
    let first = source.byte()?;
    let mut value = u64::from(first & 0x7f);
    if first & 0x80 != 0 {
        value |= varint_rest(source, 63)?;
    }
    Ok((value >> 1) as i64 ^ -((value & 1) as i64))
}

/// The bytes after the first. The byte at shift `last` must be the last one and may only hold bits that the type has:
/// Kafka's reader drops the others, but nobody writes them, and two readings of one number are one too many.
#[inline]
fn varint_rest(source: &mut impl Source, last: u32) -> Result<u64, RecordsError> {
    let room = if last == 28 { 0x0f } else { 0x01 };
    let mut value = 0;
    let mut shift = 7;
    loop {
        let byte = source.byte()?;
        if shift == last && byte > room {
            return Err(RecordsError::Varint);
        }
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
        shift += 7;
    }
}

/// What a walk over one record yields. Positions are the source's.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Walked {
    pub attributes: i8,
    pub timestamp_delta: i64,
    pub offset_delta: i32,
    /// From and to; `None` is null.
    pub key: Option<(u64, u64)>,
    pub value: Option<(u64, u64)>,
    pub header_count: u32,
    pub headers: (u64, u64),
}

/// Reads one record, checking every length in it.
#[inline]
pub(crate) fn record<S: Source>(source: &mut S) -> Result<Walked, RecordsError> {
    let declared = varint(source)?;
    if declared < 0 {
        return Err(RecordsError::Length(declared));
    }
    let start = source.position();
    let end = start + declared as u64;
    let attributes = source.byte()? as i8;
    let timestamp_delta = varlong(source)?;
    let offset_delta = varint(source)?;
    let key = nullable(source, end)?;
    let value = nullable(source, end)?;
    let count = varint(source)?;
    let from = source.position();
    headers(source, count, end)?;
    let to = source.position();
    if to != end {
        return Err(RecordsError::Size { declared: declared as u64, read: to - start });
    }
    let header_count = count as u32;
    Ok(Walked { attributes, timestamp_delta, offset_delta, key, value, header_count, headers: (from, to) })
}

#[inline]
fn headers<S: Source>(source: &mut S, count: i32, end: u64) -> Result<(), RecordsError> {
    // A header takes two bytes at least, so a count that lies is found here, not after two billion turns.
    if count < 0 || count as u64 * 2 > end.saturating_sub(source.position()) {
        return Err(RecordsError::HeaderCount(count));
    }
    for _ in 0..count {
        if nullable(source, end)?.is_none() {
            return Err(RecordsError::Length(-1));
        }
        nullable(source, end)?;
    }
    Ok(())
}

/// A length and that many bytes; -1 is null.
#[inline]
fn nullable<S: Source>(source: &mut S, end: u64) -> Result<Option<(u64, u64)>, RecordsError> {
    let len = varint(source)?;
    if len == -1 {
        return Ok(None);
    }
    let from = source.position();
    if len < 0 || len as u64 > end.saturating_sub(from) {
        return Err(RecordsError::Length(len));
    }
    source.skip(len as u64)?;
    Ok(Some((from, from + len as u64)))
}
