//! The formats that outlive a process: ids, shard-log entries, segments, checkpoint rows.
//!
//! Each format has one module with a byte table, a version, and limits. Decoding never panics and never allocates by a count
//! that the bytes at hand can't hold. docs/formats holds the same tables for readers.

mod ids;

pub use ids::{PartitionId, RegistrationId, SegmentId, ShardId, TopicId, mix64, shard_of};
