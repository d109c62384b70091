//! `Wire` for the built-in types, for arrays, and for nullable values.

use super::{Decoder, Wire, Writer};
use crate::Records;
use crate::error::{DecodeError, EncodeError};
use bytes::Bytes;
use uuid::Uuid;

macro_rules! numbers {
    ($($type:ty)*) => {$(
        impl Wire for $type {
            #[inline]
            fn min_size(_: i16, _: bool) -> usize {
                size_of::<$type>()
            }

            #[inline]
            fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
                *self = <$type>::from_be_bytes(d.fixed()?);
                Ok(())
            }

            #[inline]
            fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
                w.put(&self.to_be_bytes());
                Ok(())
            }
        }
    )*};
}

numbers!(i8 i16 u16 i32 u32 i64 f64);

impl Wire for bool {
    fn min_size(_: i16, _: bool) -> usize {
        1
    }

    /// As Kafka reads it: any byte but 0 is true.
    fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
        let [byte] = d.fixed()?;
        *self = byte != 0;
        Ok(())
    }

    fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.put(&[u8::from(*self)]);
        Ok(())
    }
}

impl Wire for Uuid {
    fn min_size(_: i16, _: bool) -> usize {
        16
    }

    fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = Uuid::from_bytes(d.fixed()?);
        Ok(())
    }

    fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        w.put(self.as_bytes());
        Ok(())
    }
}

/// A type with a null of its own on the wire, so that `Option` of it is a field's type.
pub trait Nullable: Wire {
    /// Reads a value or null.
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError>;

    /// Writes a value or null.
    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError>;
}

impl<T: Nullable> Wire for Option<T> {
    fn min_size(_: i16, _: bool) -> usize {
        1
    }

    fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
        *self = T::read_nullable(d)?;
        Ok(())
    }

    fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
        T::write_nullable(self.as_ref(), w)
    }
}

/// Types whose length says null: reading and writing a present value is that of a nullable one.
macro_rules! with_null {
    ([$($param:ident)?] $type:ty, $short:expr) => {
        impl$(<$param: Wire>)? Wire for $type {
            fn min_size(_: i16, flexible: bool) -> usize {
                if flexible { 1 } else { $short }
            }

            fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError> {
                match Self::read_nullable(d)? {
                    Some(value) => *self = value,
                    None => return Err(d.null()),
                }
                Ok(())
            }

            fn write(&self, w: &mut Writer) -> Result<(), EncodeError> {
                Self::write_nullable(Some(self), w)
            }
        }
    };
}

with_null!([] String, 2);
with_null!([] Bytes, 4);
with_null!([] Records, 4);
with_null!([T] Vec<T>, 4);

impl Nullable for String {
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        match d.string_length()? {
            Some(len) => d.string(len).map(Some),
            None => Ok(None),
        }
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError> {
        w.string(value.map(String::as_str))
    }
}

impl Nullable for Bytes {
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        match d.bytes_length()? {
            Some(len) => d.slice(len).map(Some),
            None => Ok(None),
        }
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError> {
        w.length(value.map(Bytes::len))?;
        w.put(value.map_or(&[], |bytes| bytes));
        Ok(())
    }
}

impl Nullable for Records {
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        Ok(Bytes::read_nullable(d)?.map(Records::from))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError> {
        w.length(value.map(Records::len))?;
        value.into_iter().flat_map(Records::chunks).for_each(|chunk| w.splice(chunk));
        Ok(())
    }
}

impl<T: Wire> Nullable for Vec<T> {
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        let Some(count) = d.count::<T>()? else { return Ok(None) };
        let mut items = Vec::new();
        items.reserve_exact(count);
        items.resize_with(count, T::default);
        for item in &mut items {
            item.read(d)?;
        }
        Ok(Some(items))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError> {
        w.length(value.map(Vec::len))?;
        value.into_iter().flatten().try_for_each(|item| item.write(w))
    }
}

/// A generated struct that occurs as a nullable field: a byte before it says whether it is there.
pub trait NullableStruct: Wire {}

impl<T: NullableStruct> Nullable for T {
    fn read_nullable(d: &mut Decoder<'_>) -> Result<Option<Self>, DecodeError> {
        let [present] = d.fixed()?;
        if i8::from_be_bytes([present]) < 0 {
            return Ok(None);
        }
        let mut value = T::default();
        value.read(d)?;
        Ok(Some(value))
    }

    fn write_nullable(value: Option<&Self>, w: &mut Writer) -> Result<(), EncodeError> {
        let present: i8 = if value.is_some() { 1 } else { -1 };
        present.write(w)?;
        value.map_or(Ok(()), |value| value.write(w))
    }
}
