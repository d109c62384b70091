//! The reading side: a cursor over a message's bytes that refuses whatever does not fit.
//!
//! Guaranteed for any input: no read goes past the end, nothing is allocated before its size was checked
//! against the bytes that remain, and the memory of all arrays and strings of a message stays within [`Limits`].

use super::{Limits, Tags, Wire};
use crate::error::{DecodeError, DecodeFault};
use bytes::Bytes;

/// The longest string that Kafka's own code takes, in bytes.
pub(super) const MAX_STRING: usize = i16::MAX as usize;

/// A cursor over the bytes of one message.
#[derive(Debug)]
pub struct Decoder<'a> {
    bytes: &'a Bytes,
    pub(super) pos: usize,
    pub(super) end: usize,
    version: i16,
    flexible: bool,
    message: &'static str,
    field: &'static str,
    limit: usize,
    memory: usize,
}

impl<'a> Decoder<'a> {
    /// A cursor at the start of `bytes`; `message` names them in errors.
    pub fn new(
        bytes: &'a Bytes,
        message: &'static str,
        version: i16,
        flexible: bool,
        limits: Limits,
    ) -> Self {
        let limit = limits.memory;
        Self { bytes, pos: 0, end: bytes.len(), version, flexible, message, field: "", limit, memory: limit }
    }

    /// The version that is read.
    #[inline]
    pub fn version(&self) -> i16 {
        self.version
    }

    /// Whether the version is flexible: compact lengths and tagged fields.
    #[inline]
    pub fn flexible(&self) -> bool {
        self.flexible
    }

    /// Says which field comes next, for errors.
    #[inline]
    pub fn at(&mut self, field: &'static str) {
        self.field = field;
    }

    /// The offset of the next byte.
    pub fn position(&self) -> usize {
        self.pos
    }

    /// Bytes left, within the tagged field that is being read if there is one.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.end - self.pos
    }

    /// An error at the present place.
    #[cold]
    pub fn fail(&self, fault: DecodeFault) -> DecodeError {
        DecodeError::new(self.message, self.version, self.field, self.pos, fault)
    }

    /// The error for a null that the version does not allow.
    #[cold]
    pub fn null(&self) -> DecodeError {
        self.fail(DecodeFault::Null)
    }

    /// An error if bytes are left.
    pub fn finish(&mut self) -> Result<(), DecodeError> {
        match self.remaining() {
            0 => Ok(()),
            left => {
                self.field = "";
                Err(self.fail(DecodeFault::Trailing(left)))
            }
        }
    }

    /// The next `N` bytes.
    #[inline]
    pub(crate) fn fixed<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        match self.bytes.get(self.pos..self.end).and_then(|rest| rest.first_chunk::<N>()) {
            Some(chunk) => {
                self.pos += N;
                Ok(*chunk)
            }
            None => Err(self.truncated(N)),
        }
    }

    #[cold]
    pub(super) fn truncated(&self, needed: usize) -> DecodeError {
        self.fail(DecodeFault::Truncated { needed, remaining: self.remaining() })
    }

    /// Steps over `len` bytes and gives them.
    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        match self.bytes.get(self.pos..self.end).and_then(|rest| rest.get(..len)) {
            Some(taken) => {
                self.pos += len;
                Ok(taken)
            }
            None => Err(self.truncated(len)),
        }
    }

    /// The next `len` bytes as a slice that shares the input's memory.
    pub(super) fn slice(&mut self, len: usize) -> Result<Bytes, DecodeError> {
        let taken = self.take(len)?;
        Ok(self.bytes.slice_ref(taken))
    }

    /// An unsigned varint of at most 32 bits.
    pub fn varint(&mut self) -> Result<u32, DecodeError> {
        let [first] = self.fixed()?;
        if first < 0x80 {
            return Ok(u32::from(first));
        }
        let mut value = u32::from(first & 0x7f);
        for shift in [7, 14, 21, 28] {
            let [byte] = self.fixed()?;
            if shift == 28 && byte > 0x0f {
                break;
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(self.fail(DecodeFault::Varint))
    }

    /// A length or count that is an unsigned varint plus one if flexible, else given by `plain`. None is null.
    #[inline]
    fn length(
        &mut self,
        plain: fn(&mut Self) -> Result<i32, DecodeError>,
    ) -> Result<Option<usize>, DecodeError> {
        if self.flexible {
            return Ok(self.varint()?.checked_sub(1).map(|len| len as usize));
        }
        match plain(self)? {
            -1 => Ok(None),
            len => match usize::try_from(len) {
                Ok(len) => Ok(Some(len)),
                Err(_) => Err(self.fail(DecodeFault::NegativeLength(len))),
            },
        }
    }

    /// The length of `bytes` or `records`.
    pub(super) fn bytes_length(&mut self) -> Result<Option<usize>, DecodeError> {
        self.length(Self::plain_int32)
    }

    /// The length of a string.
    pub(super) fn string_length(&mut self) -> Result<Option<usize>, DecodeError> {
        self.length(Self::plain_int16)
    }

    fn plain_int32(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(i32::from_be_bytes)
    }

    fn plain_int16(&mut self) -> Result<i32, DecodeError> {
        self.fixed().map(|bytes| i32::from(i16::from_be_bytes(bytes)))
    }

    /// The count of an array of `T`, checked against the remaining bytes and charged to the memory limit.
    pub(super) fn count<T: Wire>(&mut self) -> Result<Option<usize>, DecodeError> {
        let Some(count) = self.length(Self::plain_int32)? else { return Ok(None) };
        let min_size = T::min_size(self.version, self.flexible).max(1);
        let remaining = self.remaining();
        if count > remaining / min_size {
            return Err(self.fail(DecodeFault::TooManyElements { count, min_size, remaining }));
        }
        self.charge(count.saturating_mul(size_of::<T>()))?;
        Ok(Some(count))
    }

    fn charge(&mut self, bytes: usize) -> Result<(), DecodeError> {
        match self.memory.checked_sub(bytes) {
            Some(left) => self.memory = left,
            None => return Err(self.fail(DecodeFault::Memory(self.limit))),
        }
        Ok(())
    }

    /// A string of `len` bytes.
    pub(super) fn string(&mut self, len: usize) -> Result<String, DecodeError> {
        if len > MAX_STRING {
            return Err(self.fail(DecodeFault::StringTooLong(len)));
        }
        let taken = self.take(len)?;
        self.charge(len)?;
        match std::str::from_utf8(taken) {
            Ok(text) => Ok(text.to_owned()),
            Err(_) => Err(self.fail(DecodeFault::Utf8)),
        }
    }

    /// A nullable string with an int16 length in every version.
    pub fn legacy_string(&mut self, into: &mut Option<String>) -> Result<(), DecodeError> {
        let flexible = std::mem::replace(&mut self.flexible, false);
        let result = into.read(self);
        self.flexible = flexible;
        result
    }

    /// Starts on the tagged fields that end a struct; there are none if the version isn't flexible.
    pub fn tags(&mut self) -> Result<Tags, DecodeError> {
        let left = if self.flexible { self.varint()? } else { 0 };
        Ok(Tags::new(left))
    }

    /// Steps over the tagged fields of a struct that knows none.
    #[inline]
    pub fn skip_tags(&mut self) -> Result<(), DecodeError> {
        if !self.flexible {
            return Ok(());
        }
        let mut tags = self.tags()?;
        while tags.next(self)?.is_some() {
            tags.skip(self)?;
        }
        Ok(())
    }
}
