//! Kafka's protocol messages, generated from definitions of our own.
//!
//! Every API has a module with its [`produce::Request`] and [`produce::Response`]; the structs inside
//! them are in the modules `request` and `response` below it ([`fetch::response::Partition`]). Fields
//! have Kafka's names and, through `Default`, Kafka's defaults. [`Request`] and [`Response`] hold any
//! API's. [`RequestHeader`], [`ResponseHeader`] and the schemas that groups keep in opaque bytes are messages too.
//!
//! # How definitions map to the wire
//!
//! The definitions are in `messages/*.kmsg`; `docs/formats/kafka-messages.md` describes their language, and
//! the build script turns them into Rust. A message is its fields in order, each only in the versions that
//! carry it, integers big-endian:
//!
//! | type | up to the first flexible version | from it on |
//! |---|---|---|
//! | `string` | length as int16, bytes (UTF-8); null is length −1 | length + 1 as unsigned varint, bytes; null is 0 |
//! | `bytes`, `records` | length as int32, bytes; null is −1 | length + 1 as unsigned varint, bytes; null is 0 |
//! | array | count as int32, elements; null is −1 | count + 1 as unsigned varint, elements; null is 0 |
//! | struct | its fields | its fields, then its tagged fields |
//! | nullable struct | – | int8: −1 for null, else 1 and the struct |
//! | tagged fields | – | count, then per field tag, size (all unsigned varints), value; only what is not the default |
//!
//! # What is guaranteed
//!
//! - Decoding takes any bytes without a panic. Every length and count is checked against the bytes that
//!   remain before anything is allocated, and what a message takes in memory is bounded by [`Limits`].
//! - `bytes` and `records` are slices of the input ([`bytes::Bytes`]); nothing is copied. A [`Frame`] that is
//!   encoded keeps long [`Records`] as chunks of their own, for vectored writes.
//! - Encoding fails rather than drop a value that a version can't carry, unless the field is ignorable.
//! - A message that was decoded and is encoded again in the same version gives the same meaning, not always the
//!   same bytes: unknown tagged fields are skipped, and a default that was sent explicitly as a tagged field is left out.
//!
//! # What is not here
//!
//! No I/O, no sockets, no reading of frames from a stream; no record batches (see `siltstone-records`).

pub mod api;
pub mod error;
mod error_code;
pub mod frame;
mod messages;
mod records;
#[cfg(feature = "testing")]
pub mod testing;
pub mod versioned;
pub mod wire;

pub use error::{DecodeError, DecodeFault, EncodeError, EncodeFault};
pub use error_code::ErrorCode;
pub use frame::{Frame, RequestHead};
pub use messages::*;
pub use records::Records;
pub use wire::{Decoder, Limits, Message, Writer};
