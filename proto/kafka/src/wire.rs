//! Reading and writing values as Kafka's protocol has them.
//!
//! [`Decoder`] and [`Writer`] carry what all fields of a message share (version, whether it is flexible,
//! the place for errors); [`Wire`] is implemented for every type that a field can have, by hand for
//! the built-in ones and by the generator for structs. A nullable field is an `Option`.

mod decoder;
mod limits;
mod message;
mod tags;
mod values;
mod writer;

pub use decoder::Decoder;
pub use limits::Limits;
pub use message::Message;
pub use tags::Tags;
pub use values::{Nullable, NullableStruct};
pub use writer::Writer;

use crate::error::{DecodeError, EncodeError};

/// A type that a field can have.
pub trait Wire: Default {
    /// The fewest bytes that a value takes in this version, at least 1 for anything that stands in an array.
    fn min_size(version: i16, flexible: bool) -> usize;

    /// Reads into a value that is at its default.
    fn read(&mut self, d: &mut Decoder<'_>) -> Result<(), DecodeError>;

    /// Appends the value.
    fn write(&self, w: &mut Writer) -> Result<(), EncodeError>;
}

/// The entry for `version` in a struct's table of least sizes, which starts at version `lo`.
pub(crate) fn min_size_at(sizes: &[usize], lo: i16, version: i16) -> usize {
    usize::try_from(version - lo).ok().and_then(|index| sizes.get(index)).copied().unwrap_or(1)
}

/// What generated modules import.
pub(crate) mod prelude {
    pub(crate) use super::{Decoder, Message, NullableStruct, Wire, Writer, min_size_at};
    pub(crate) use crate::Records;
    pub(crate) use crate::error::{DecodeError, EncodeError};
    pub(crate) use bytes::Bytes;
    pub(crate) use std::ops::RangeInclusive;
    pub(crate) use uuid::Uuid;
}
