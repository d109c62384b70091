//! The writing side: one growing buffer, and long records beside it as slices of their own.

use super::Wire;
use super::decoder::MAX_STRING;
use crate::error::{EncodeError, EncodeFault};
use crate::frame::Frame;
use bytes::Bytes;

/// Chunks of records from this size on are spliced in; smaller ones are copied, which is cheaper than another
/// entry in a vectored write, and lets go of the page that they come from.
const SPLICE_MIN: usize = 1024;

/// Where a message is written to.
#[derive(Debug)]
pub struct Writer {
    buf: Vec<u8>,
    /// Chunks with the offset in `buf` before which they belong.
    splices: Vec<(usize, Bytes)>,
    spliced: usize,
    version: i16,
    flexible: bool,
    message: &'static str,
    field: &'static str,
    #[cfg(feature = "testing")]
    pub(crate) lengths: Vec<crate::testing::LengthAt>,
}

impl Writer {
    /// An empty writer; `message` names the message in errors.
    pub fn new(message: &'static str, version: i16, flexible: bool) -> Self {
        Self {
            buf: Vec::with_capacity(128),
            splices: Vec::new(),
            spliced: 0,
            version,
            flexible,
            message,
            field: "",
            #[cfg(feature = "testing")]
            lengths: Vec::new(),
        }
    }

    /// Goes on with another message, as from a header to its body.
    pub(crate) fn begin(&mut self, message: &'static str, version: i16, flexible: bool) {
        (self.message, self.version, self.flexible, self.field) = (message, version, flexible, "");
    }

    /// The version that is written.
    #[inline]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether the version is flexible.
    #[inline]
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Says which field comes next, for errors.
    #[inline]
    pub fn at(&mut self, field: &'static str) {
        self.field = field;
    }

    /// Bytes written so far, spliced ones included.
    pub fn len(&self) -> usize {
        self.buf.len() + self.spliced
    }

    /// Whether nothing was written yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An error at the present place.
    #[cold]
    pub fn fail(&self, fault: EncodeFault) -> EncodeError {
        EncodeError::new(self.message, self.version, self.field, self.len(), fault)
    }

    /// The error for a null that the version does not allow.
    #[cold]
    pub fn null(&self) -> EncodeError {
        self.fail(EncodeFault::Null)
    }

    /// The error for a field that is set and can't be carried.
    #[cold]
    pub fn not_in_version(&self) -> EncodeError {
        self.fail(EncodeFault::NotInVersion)
    }

    /// Appends bytes as they are.
    #[inline]
    pub(super) fn put(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Appends a chunk of records: spliced in if it is long, else copied.
    pub(super) fn splice(&mut self, chunk: &Bytes) {
        if chunk.len() < SPLICE_MIN {
            self.put(chunk);
        } else {
            self.spliced += chunk.len();
            self.splices.push((self.buf.len(), chunk.clone()));
        }
    }

    /// An unsigned varint.
    #[inline]
    pub fn varint(&mut self, mut value: u32) {
        while value >= 0x80 {
            self.buf.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.buf.push(value as u8);
    }

    /// The count of an array, or the length of `bytes` or `records`; none is null.
    pub(super) fn length(&mut self, len: Option<usize>) -> Result<(), EncodeError> {
        let value = match len {
            None => -1,
            Some(len) => i32::try_from(len).map_err(|_| self.fail(EncodeFault::TooLarge(len)))?,
        };
        #[cfg(feature = "testing")]
        self.note_length(4);
        if self.flexible {
            self.varint(value.wrapping_add(1) as u32)
        } else {
            self.put(&value.to_be_bytes())
        }
        Ok(())
    }

    /// A string; none is null.
    pub(super) fn string(&mut self, text: Option<&str>) -> Result<(), EncodeError> {
        #[cfg(feature = "testing")]
        self.note_length(2);
        let Some(text) = text else {
            if self.flexible {
                self.varint(0)
            } else {
                self.put(&(-1_i16).to_be_bytes())
            }
            return Ok(());
        };
        if text.len() > MAX_STRING {
            return Err(self.fail(EncodeFault::StringTooLong(text.len())));
        }
        let len = text.len() as u16;
        if self.flexible {
            self.varint(u32::from(len) + 1)
        } else {
            self.put(&len.to_be_bytes())
        }
        self.put(text.as_bytes());
        Ok(())
    }

    /// A nullable string with an int16 length in every version.
    pub fn legacy_string(&mut self, text: Option<&str>) -> Result<(), EncodeError> {
        let flexible = std::mem::replace(&mut self.flexible, false);
        let result = self.string(text);
        self.flexible = flexible;
        result
    }

    /// The count of tagged fields that follow; nothing if the version isn't flexible.
    #[inline]
    pub fn tag_count(&mut self, count: u32) {
        if self.flexible {
            #[cfg(feature = "testing")]
            self.note_length(0);
            self.varint(count);
        }
    }

    /// A tagged field: tag, size, value. Values of tagged fields hold no records, so nothing of them is spliced.
    pub fn tagged<T: Wire>(&mut self, tag: u32, value: &T) -> Result<(), EncodeError> {
        self.varint(tag);
        let start = self.buf.len();
        value.write(self)?;
        let len = self.buf.len() - start;
        let size = u32::try_from(len).map_err(|_| self.fail(EncodeFault::TooLarge(len)))?;
        self.varint(size);
        let shift = self.buf.len() - start - len;
        self.buf[start..].rotate_right(shift);
        #[cfg(feature = "testing")]
        self.note_tag_size(start, shift);
        Ok(())
    }

    /// Keeps four bytes at the start for the size of the frame.
    pub(crate) fn reserve_size(&mut self) {
        self.put(&[0; 4]);
    }

    /// Fills in the size at the start.
    pub(crate) fn fill_size(&mut self) -> Result<(), EncodeError> {
        let len = self.len().saturating_sub(4);
        let size = i32::try_from(len).map_err(|_| self.fail(EncodeFault::TooLarge(len)))?;
        if let Some(head) = self.buf.first_chunk_mut::<4>() {
            *head = size.to_be_bytes();
        }
        Ok(())
    }

    /// What was written, as chunks.
    pub fn finish(self) -> Frame {
        let len = self.len();
        let mut plain = Bytes::from(self.buf);
        let mut chunks = Vec::with_capacity(self.splices.len() * 2 + 1);
        let mut cut = 0;
        for (at, chunk) in self.splices {
            if at > cut {
                chunks.push(plain.split_to(at - cut));
                cut = at;
            }
            chunks.push(chunk);
        }
        if !plain.is_empty() {
            chunks.push(plain);
        }
        Frame::new(chunks, len)
    }
}

#[cfg(feature = "testing")]
impl Writer {
    fn note_length(&mut self, width: usize) {
        let compact = self.flexible;
        self.lengths.push(crate::testing::LengthAt { offset: self.buf.len(), width, compact });
    }

    fn note_tag_size(&mut self, start: usize, shift: usize) {
        self.lengths.iter_mut().filter(|at| at.offset >= start).for_each(|at| at.offset += shift);
        self.lengths.push(crate::testing::LengthAt { offset: start, width: 0, compact: true });
    }
}
