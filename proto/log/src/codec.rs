//! Reading and writing the primitives that all our formats are made of.
//!
//! Numbers are big-endian or LEB128 varints of at most ten bytes; signed ones are zigzag-encoded. A count is checked against the
//! bytes that are left before anything is allocated for it.

use crate::{MAX_PARTITIONS, PartitionId, RegistrationId, SegmentId, TopicId};

/// Bytes that are not in the format that they should be in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// The bytes end before the field does.
    #[error("{what}: the bytes end at {at}")]
    Short {
        /// The field.
        what: &'static str,
        /// Where it began, bytes from the start.
        at: usize,
    },
    /// The field holds what it can't.
    #[error("{what} at byte {at} is not valid")]
    Invalid {
        /// The field.
        what: &'static str,
        /// Where it ended, bytes from the start.
        at: usize,
    },
    /// Written by a version that this one doesn't know.
    #[error("{what} has version {version}, which this program doesn't know")]
    UnknownVersion {
        /// The format.
        what: &'static str,
        /// Its version.
        version: u32,
    },
    /// The checksum says that the bytes have changed.
    #[error("{what}: checksum mismatch")]
    Checksum {
        /// The format.
        what: &'static str,
    },
}

/// Reads primitives from a slice.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Reader { bytes, at: 0 }
    }

    pub(crate) fn remaining(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(crate) fn take(&mut self, len: usize, what: &'static str) -> Result<&'a [u8], FormatError> {
        let end = self.at.checked_add(len).filter(|end| *end <= self.bytes.len());
        let Some(end) = end else { return Err(FormatError::Short { what, at: self.at }) };
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], FormatError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N, what)?);
        Ok(array)
    }

    pub(crate) fn u8(&mut self, what: &'static str) -> Result<u8, FormatError> {
        Ok(self.array::<1>(what)?[0])
    }

    pub(crate) fn u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        self.array(what).map(u32::from_be_bytes)
    }

    pub(crate) fn u64(&mut self, what: &'static str) -> Result<u64, FormatError> {
        self.array(what).map(u64::from_be_bytes)
    }

    pub(crate) fn u128(&mut self, what: &'static str) -> Result<u128, FormatError> {
        self.array(what).map(u128::from_be_bytes)
    }

    pub(crate) fn varint(&mut self, what: &'static str) -> Result<u64, FormatError> {
        let mut value = 0u64;
        for shift in (0..70).step_by(7) {
            let byte = self.u8(what)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                break;
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.invalid(what))
    }

    pub(crate) fn varint_u32(&mut self, what: &'static str) -> Result<u32, FormatError> {
        let value = self.varint(what)?;
        u32::try_from(value).map_err(|_| self.invalid(what))
    }

    pub(crate) fn zigzag(&mut self, what: &'static str) -> Result<i64, FormatError> {
        let raw = self.varint(what)?;
        Ok((raw >> 1) as i64 ^ -((raw & 1) as i64))
    }

    /// A count of things that take at least `least` bytes each.
    pub(crate) fn count(&mut self, least: usize, what: &'static str) -> Result<usize, FormatError> {
        let count = self.varint(what)?;
        let most = self.remaining() / least.max(1);
        usize::try_from(count).ok().filter(|count| *count <= most).ok_or_else(|| self.invalid(what))
    }

    pub(crate) fn string(&mut self, what: &'static str) -> Result<String, FormatError> {
        let len = self.count(1, what)?;
        let bytes = self.take(len, what)?.to_vec();
        String::from_utf8(bytes).map_err(|_| self.invalid(what))
    }

    /// A number of partitions.
    pub(crate) fn partitions(&mut self, what: &'static str) -> Result<u32, FormatError> {
        let value = self.varint_u32(what)?;
        if value <= MAX_PARTITIONS { Ok(value) } else { Err(self.invalid(what)) }
    }

    pub(crate) fn topic(&mut self) -> Result<TopicId, FormatError> {
        self.u128("topic id").map(TopicId)
    }

    pub(crate) fn partition(&mut self) -> Result<PartitionId, FormatError> {
        Ok(PartitionId { topic: self.topic()?, index: self.varint_u32("partition")? })
    }

    pub(crate) fn registration(&mut self) -> Result<RegistrationId, FormatError> {
        self.u128("registration").map(RegistrationId)
    }

    pub(crate) fn segment(&mut self) -> Result<SegmentId, FormatError> {
        Ok(SegmentId { registration: self.registration()?, number: self.varint("segment number")? })
    }

    pub(crate) fn invalid(&self, what: &'static str) -> FormatError {
        FormatError::Invalid { what, at: self.at }
    }

    /// Reads the version byte and refuses those that are not in `known`.
    pub(crate) fn version(
        &mut self,
        what: &'static str,
        known: std::ops::RangeInclusive<u8>,
    ) -> Result<u8, FormatError> {
        let version = self.u8(what)?;
        if known.contains(&version) {
            return Ok(version);
        }
        Err(FormatError::UnknownVersion { what, version: u32::from(version) })
    }

    /// Nothing may be left.
    pub(crate) fn end(&self, what: &'static str) -> Result<(), FormatError> {
        if self.remaining() == 0 { Ok(()) } else { Err(self.invalid(what)) }
    }
}

/// Appends primitives to a vector.
pub(crate) trait Write {
    fn u8(&mut self, value: u8);
    fn bytes(&mut self, value: &[u8]);

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.u8(value as u8 | 0x80);
            value >>= 7;
        }
        self.u8(value as u8);
    }

    fn zigzag(&mut self, value: i64) {
        self.varint(((value << 1) ^ (value >> 63)) as u64);
    }

    fn string(&mut self, value: &str) {
        self.varint(value.len() as u64);
        self.bytes(value.as_bytes());
    }

    fn partition(&mut self, value: PartitionId) {
        self.bytes(&value.topic.0.to_be_bytes());
        self.varint(u64::from(value.index));
    }

    fn segment(&mut self, value: SegmentId) {
        self.bytes(&value.registration.0.to_be_bytes());
        self.varint(value.number);
    }
}

impl Write for Vec<u8> {
    fn u8(&mut self, value: u8) {
        self.push(value);
    }

    fn bytes(&mut self, value: &[u8]) {
        self.extend_from_slice(value);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_round_trip(unsigned: u64, signed: i64) {
            let mut out = Vec::new();
            out.varint(unsigned);
            out.zigzag(signed);
            let mut reader = Reader::new(&out);
            prop_assert_eq!(reader.varint("a").unwrap(), unsigned);
            prop_assert_eq!(reader.zigzag("b").unwrap(), signed);
            prop_assert!(reader.end("all").is_ok());
        }
    }

    #[test]
    fn overlong_varints_and_lying_counts_are_refused() {
        assert!(Reader::new(&[0xff; 11]).varint("v").is_err());
        assert!(Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint("v").is_err());
        assert!(Reader::new(&[5, 0, 0]).count(1, "c").is_err());
        assert_eq!(Reader::new(&[2, 0, 0]).count(1, "c").unwrap(), 2);
        assert!(Reader::new(&[2, 0, 0]).count(2, "c").is_err());
    }
}
