//! Reading tagged fields, which end every struct of a flexible version (KIP-482).

use super::{Decoder, Wire};
use crate::error::{DecodeError, DecodeFault};

/// The tagged fields at the end of a struct, one after the other.
#[derive(Debug)]
pub struct Tags {
    left: u32,
    size: usize,
}

impl Tags {
    pub(super) fn new(left: u32) -> Self {
        Self { left, size: 0 }
    }

    /// The next field's tag; its value is then read or skipped.
    pub fn next(&mut self, d: &mut Decoder<'_>) -> Result<Option<u32>, DecodeError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        let tag = d.varint()?;
        self.size = d.varint()? as usize;
        if self.size > d.remaining() {
            return Err(d.truncated(self.size));
        }
        Ok(Some(tag))
    }

    /// Steps over the value.
    pub fn skip(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
        d.take(self.size).map(|_| ())
    }

    /// Reads the value, which must be exactly as long as its size says. A tag that comes twice counts as it came last.
    pub fn read<T: Wire>(&mut self, value: &mut T, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *value = T::default();
        let outer = std::mem::replace(&mut d.end, d.pos + self.size);
        value.read(d)?;
        if d.remaining() != 0 {
            return Err(d.fail(DecodeFault::TagSize { size: self.size, left: d.remaining() }));
        }
        d.end = outer;
        Ok(())
    }
}
