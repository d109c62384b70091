//! Whole messages: from bytes in a version, and back.

use super::{Decoder, Limits, Wire, Writer};
use crate::error::{DecodeError, DecodeFault, EncodeError, EncodeFault};
use crate::frame::Frame;
use bytes::Bytes;
use std::ops::RangeInclusive;

/// A request, a response, or a schema of its own.
pub trait Message: Wire {
    /// The name in errors, such as `Fetch request`.
    const NAME: &'static str;
    /// The versions that can be read and written.
    const VERSIONS: RangeInclusive<i16>;
    /// The first version with compact lengths and tagged fields, if there is one.
    const FLEXIBLE_FROM: Option<i16>;

    /// Whether `version` is flexible.
    fn is_flexible(version: i16) -> bool {
        Self::FLEXIBLE_FROM.is_some_and(|from| version >= from)
    }

    /// Decodes `bytes`, which must be this message and nothing else, within the default [`Limits`].
    fn decode(bytes: &Bytes, version: i16) -> Result<Self, DecodeError> {
        Self::decode_within(bytes, version, Limits::for_message(bytes.len()))
    }

    /// Decodes `bytes`, which must be this message and nothing else, within `limits`.
    fn decode_within(bytes: &Bytes, version: i16, limits: Limits) -> Result<Self, DecodeError> {
        let mut decoder = decoder::<Self>(bytes, version, limits)?;
        let mut message = Self::default();
        message.read(&mut decoder)?;
        decoder.finish()?;
        Ok(message)
    }

    /// Decodes this message from the start of `bytes`; also gives the rest.
    fn decode_prefix(bytes: &Bytes, version: i16) -> Result<(Self, Bytes), DecodeError> {
        let mut decoder = decoder::<Self>(bytes, version, Limits::for_message(bytes.len()))?;
        let mut message = Self::default();
        message.read(&mut decoder)?;
        let rest = bytes.slice(decoder.position()..);
        Ok((message, rest))
    }

    /// Encodes the message alone: no size, no header.
    fn encode(&self, version: i16) -> Result<Frame, EncodeError> {
        let mut writer = Writer::new(Self::NAME, version, Self::is_flexible(version));
        self.append(version, &mut writer)?;
        Ok(writer.finish())
    }

    /// Appends the message to `writer`.
    fn append(&self, version: i16, writer: &mut Writer) -> Result<(), EncodeError> {
        writer.begin(Self::NAME, version, Self::is_flexible(version));
        if !Self::VERSIONS.contains(&version) {
            return Err(writer.fail(EncodeFault::UnsupportedVersion(version)));
        }
        self.write(writer)
    }
}

fn decoder<M: Message>(bytes: &Bytes, version: i16, limits: Limits) -> Result<Decoder<'_>, DecodeError> {
    let decoder = Decoder::new(bytes, M::NAME, version, M::is_flexible(version), limits);
    if M::VERSIONS.contains(&version) {
        Ok(decoder)
    } else {
        Err(decoder.fail(DecodeFault::UnsupportedVersion(version)))
    }
}
