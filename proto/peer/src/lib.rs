//! What agents of one cluster ask of each other over gRPC: bytes of segments, so that a zone reads them from the bucket once.
//!
//! [`Ask`] is a request as a value, checked when it is decoded; [`Assembly`] puts an answer together and believes nothing of it that it can
//! check. It deliberately has no transport, knows no rule about whom to ask, and what is in a segment is nobody's business here. These messages
//! outlive no process: agents of two versions meet in them, so that fields are only added.

mod answer;
mod ask;
mod service;

pub use answer::{Assembly, BadAnswer, chunks};
pub use ask::{Ask, BadAsk};
pub use service::{Chunk, ReadRequest, pages_client, pages_server};

/// Bytes of one chunk of an answer, at most.
pub const CHUNK_BYTES: usize = 256 << 10;
/// Bytes of one message, at most: a chunk, and what is around it.
pub const MAX_MESSAGE: usize = CHUNK_BYTES + 1024;
/// Bytes that can be asked for at once, at most.
pub const MAX_RANGE: u64 = 64 << 20;
