//! The formats that outlive a process: ids, shard-log entries, segments, checkpoint rows, the catalog.
//!
//! Each format has one module with a byte table, a version, and limits. Decoding never panics and never allocates by a count
//! that the bytes at hand can't hold. docs/formats holds the same tables for readers.

mod aborted;
mod catalog;
mod cleaned;
mod codec;
mod entry;
mod erasure;
mod extent;
#[cfg(feature = "testing")]
mod fuzz;
mod group;
mod head;
mod ids;
mod marker;
mod packing;
mod registration;
mod row;
mod segment;
mod segment_row;
mod txn;

pub use aborted::{Aborted, decode_aborted, encode_aborted};
pub use catalog::{CatalogEntry, ClusterRow, Configs, TopicRow, decode_configs, encode_configs};
pub use cleaned::{CleanedRow, CleaningRow, MAX_OPEN_PRODUCERS, OpenProducers};
pub use codec::FormatError;
pub use entry::{Append, BatchMeta, Block, BlockPlace, Encoding, Entry, ProducerMeta, SegmentPlace};
pub use erasure::{ErasedObject, ErasureId, ErasureRow, ErasureScan, KeyDigest, MAX_ERASED_KEYS};
pub use extent::{Extent, ExtentPlace, decode_extents, encode_extents};
#[cfg(feature = "testing")]
pub use fuzz::{fuzz_catalog, fuzz_entry, fuzz_footer, fuzz_groups, fuzz_rows, fuzz_transactions};
pub use group::classic::{ClassicHeadRow, ClassicMemberRow, GroupHeadRow};
pub use group::consumer::{ClassicPart, ConsumerHeadRow, ConsumerMemberRow, ConsumerMemberState, Partitions};
pub use group::offset::OffsetRow;
pub use head::{Expired, ShardHead};
pub use ids::{
    MAX_PARTITIONS, PartitionId, Position, RegistrationId, SegmentId, ShardId, TopicId, mix64, shard_of,
};
pub use marker::{EndMarker, TxnEnd};
pub use packing::{LEAST_PACKED, Packer, UnpackError};
pub use registration::{Endpoint, Listener, RegistrationRow, Role, Standing};
pub use row::{AbortedRow, ChunkRow, ErasedRow, PartitionRow, ProducerRow, SEQUENCE_WINDOW, SequenceRow};
pub use segment::{Footer, FooterBlock, TRAILER_BYTES};
pub use segment_row::{SegmentRow, ShardSet};
pub use txn::{TxnRow, TxnState};
