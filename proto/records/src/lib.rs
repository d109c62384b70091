//! Kafka record batches (magic 2): views, validation, compression, building.
//!
//! - [`Header`], [`Batch`], [`batches`]: what a batch says about itself, over shared bytes, without copying.
//! - [`validate`]: what a Kafka 4.2 broker checks before it takes a produced batch.
//! - [`Batch::records`], [`decompress`]: the records, in bounded memory.
//! - [`BatchBuilder`], [`control_batch`], [`recompress`], [`patched_prefix`], [`with_log_append_time`]: making and changing batches.
//! - [`rewritten`], [`emptied`]: what compaction leaves of a batch; [`without`]: what is left without some keys.
//!
//! Guarantees: no panic on any bytes; no allocation by a count or length from the wire beyond what the bytes at hand can
//! hold; decompression is streamed and stops at the caller's cap. The byte tables are in docs/formats/record-batch.md.
//!
//! Deliberately absent: I/O, clocks, Kafka's error numbers, and the old message formats (magic 0 and 1), which Kafka 4
//! itself no longer takes.

mod batch;
mod builder;
mod codec;
mod control;
mod erase;
mod header;
mod recompress;
mod records;
mod refusal;
mod rewrite;
#[cfg(any(test, feature = "testing"))]
mod testing;
mod validate;
mod walk;

pub use batch::{Batch, Batches, FrameError, batches};
pub use builder::{BatchBuilder, BuildError, NewHeader, NewRecord};
pub use codec::{Compression, Scratch, decompress};
pub use control::{EndTransaction, Marker, control_batch, end_batch, end_transaction};
pub use erase::without;
pub use header::{
    Attributes, HEADER_LEN, Header, MAGIC, NO_EPOCH, NO_PRODUCER, NO_SEQUENCE, NO_TIMESTAMP, Producer,
    TimestampType, patched_prefix, with_log_append_time, with_max_timestamp,
};
pub use recompress::{RecompressError, RecompressLimits, recompress};
pub use records::{HeaderIter, RecordIter, RecordView, Records};
pub use refusal::{MAX_RECORD_FAULTS, RecordFault, Refusal};
pub use rewrite::{RewriteError, emptied, rewritten};
#[cfg(any(test, feature = "testing"))]
pub use testing::fuzz_batches;
pub use validate::{Checked, MAX_DECOMPRESSED, Rules, stored_header, validate};
pub use walk::RecordsError;
