//! Schemas that stand in opaque bytes with their version in front, as a consumer's subscription and assignment do.

use crate::error::{DecodeError, DecodeFault, EncodeError};
use crate::wire::{Decoder, Limits, Message, Writer};
use bytes::Bytes;

/// Decodes a version in two bytes and then `M`. A version later than any that is known is read as the latest known one,
/// and what follows is ignored: later versions of these schemas only add fields at the end. Gives the version as
/// it was written.
pub fn decode<M: Message>(bytes: &Bytes) -> Result<(i16, M), DecodeError> {
    let mut decoder = Decoder::new(bytes, M::NAME, 0, false, Limits { memory: 0 });
    let version = i16::from_be_bytes(decoder.fixed()?);
    let body = bytes.slice(decoder.position()..);
    if version < *M::VERSIONS.start() {
        return Err(decoder.fail(DecodeFault::UnsupportedVersion(version)));
    }
    // Kafka's own consumers read a prefix as well: whatever follows was meant for someone newer.
    let (message, _) = M::decode_prefix(&body, version.min(*M::VERSIONS.end()))?;
    Ok((version, message))
}

/// Encodes the version in two bytes and then the message.
pub fn encode<M: Message>(message: &M, version: i16) -> Result<Bytes, EncodeError> {
    let mut writer = Writer::new(M::NAME, version, false);
    crate::wire::Wire::write(&version, &mut writer)?;
    message.append(version, &mut writer)?;
    Ok(writer.finish().into_bytes())
}
