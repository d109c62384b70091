//! What is known of each API beyond its messages: names, versions, headers; and the traits that tie a
//! request to its response.

use crate::error::{DecodeError, DecodeFault, EncodeError, EncodeFault};
use crate::frame::Frame;
use crate::wire::{Decoder, Limits, Message, Writer};
use crate::{ApiKey, Request, Response};
use bytes::Bytes;
use std::fmt;
use std::ops::RangeInclusive;

/// One line of the generated table.
#[derive(Debug)]
pub(crate) struct Info {
    pub(crate) name: &'static str,
    pub(crate) lo: i16,
    pub(crate) hi: i16,
    pub(crate) advertised_lo: i16,
    pub(crate) advertised_hi: i16,
    /// `i16::MAX` if no version is flexible.
    pub(crate) flexible: i16,
}

/// Kafka's keys are far below; ours begin here.
const FIRST_OWN: i16 = 30_000;

impl ApiKey {
    /// The key on the wire.
    pub const fn code(self) -> i16 {
        self as i16
    }

    /// Kafka's name, such as `ListOffsets`.
    pub const fn name(self) -> &'static str {
        self.info().name
    }

    /// The versions that can be decoded and encoded.
    pub const fn versions(self) -> RangeInclusive<i16> {
        let info = self.info();
        info.lo..=info.hi
    }

    /// Whether the API is our own: no client but ours knows of it, and none is told.
    pub const fn is_own(self) -> bool {
        self.code() >= FIRST_OWN
    }

    /// Whether requests of `version` can be decoded.
    pub fn supports(self, version: i16) -> bool {
        self.versions().contains(&version)
    }

    /// The versions that Kafka 4.2 names in its ApiVersions answer: without a latest one that is still unstable, and for
    /// Produce from 0, because librdkafka needs to see that, though versions below 3 are not served.
    pub const fn advertised(self) -> RangeInclusive<i16> {
        let info = self.info();
        info.advertised_lo..=info.advertised_hi
    }

    /// Whether `version` has compact lengths and tagged fields.
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.info().flexible
    }

    /// The version of the request's header.
    pub const fn request_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) { 2 } else { 1 }
    }

    /// The version of the response's header. It is 0 for ApiVersions in all versions, so that a client
    /// whose version the server doesn't know can read the answer (KIP-511).
    pub const fn response_header_version(self, version: i16) -> i16 {
        if self.is_flexible(version) && !matches!(self, ApiKey::ApiVersions) { 1 } else { 0 }
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A request of one API.
pub trait ApiRequest: Message {
    /// The API.
    const API: ApiKey;
    /// What answers it.
    type Response: ApiResponse;
}

/// A response of one API.
pub trait ApiResponse: Message {
    /// The API.
    const API: ApiKey;
}

macro_rules! any_message {
    ($name:ident, $role:literal) => {
        impl $name {
            #[doc = concat!("Decodes the body of a ", $role, ", without header, within the default [`Limits`].")]
            pub fn decode(api: ApiKey, version: i16, body: &Bytes) -> Result<Self, DecodeError> {
                Self::decode_within(api, version, body, Limits::for_message(body.len()))
            }

            #[doc = concat!("Decodes the body of a ", $role, ", without header, within `limits`.")]
            pub fn decode_within(
                api: ApiKey, version: i16, body: &Bytes, limits: Limits,
            ) -> Result<Self, DecodeError> {
                let mut decoder = Decoder::new(body, api.name(), version, api.is_flexible(version), limits);
                if !api.supports(version) {
                    return Err(decoder.fail(DecodeFault::UnsupportedVersion(version)));
                }
                let mut message = Self::empty(api);
                message.read_body(&mut decoder)?;
                decoder.finish()?;
                Ok(message)
            }

            #[doc = concat!("Encodes the body of the ", $role, ", without size and header.")]
            pub fn encode(&self, version: i16) -> Result<Frame, EncodeError> {
                let mut writer = Writer::new(self.api().name(), version, false);
                self.append(version, &mut writer)?;
                Ok(writer.finish())
            }

            /// Appends the body to `writer`.
            pub(crate) fn append(&self, version: i16, writer: &mut Writer) -> Result<(), EncodeError> {
                let api = self.api();
                writer.begin(api.name(), version, api.is_flexible(version));
                if !api.supports(version) {
                    return Err(writer.fail(EncodeFault::UnsupportedVersion(version)));
                }
                self.write_body(writer)
            }
        }
    };
}

any_message!(Request, "request");
any_message!(Response, "response");
