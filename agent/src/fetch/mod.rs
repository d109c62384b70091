//! The read path (design, section 5): from an offset to bytes that a client takes as they are.
//!
//! ```text
//! offset ─▶ followed state ─▶ extents ─▶ pages (cache, one GET each) ─▶ batches, base offset and leader epoch set ─▶ pieces
//!                 └ older ─▶ rows ─┘
//! ```
//!
//! Guarantees: whole batches only, in order, the first one holding the offset asked for; bytes are not copied but for small
//! batches; every batch's CRC is checked against what the producer sent, and damage is an error that names the object, for that range
//! alone. An offset is judged out of range only from state as fresh as the request (S6). A reader who wants only what is committed gets nothing
//! from the last stable offset on, and is told of every aborted transaction that has records among what it gets.

mod aborted;
mod begin;
mod chunks;
mod erased;
mod error;
mod locate;
mod plan;
mod poll;
mod reader;
mod source;
mod times;
mod walk;

pub(crate) use begin::Alone;
pub use error::FetchError;
pub use poll::{FetchPartition, FetchResult, FetchSpec};
pub use reader::{Bounds, Reader};
pub(crate) use source::Segments;
pub use times::TimestampAndOffset;
