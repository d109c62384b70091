//! The background half of the log (design, section 7): merge, retention, compaction by key, reclaim.
//!
//! ```text
//! worker ── leases ──▶ shards it holds ── scan ──▶ views ── plan (pure) ──▶ merge · retention · release · compaction by key
//!                                                                             │ gather ▸ build (pure) ▸ put ▸ publish
//!        └─ lease ──▶ reclaim: what nothing refers to ▸ trash ▸ deleted after the time of grace
//! ```
//!
//! A worker holds nothing of value: what it remembers can be read again, and what it has begun is either published or an object that nobody
//! refers to. Every write reads the lease of its shard, what it replaces, and the row of the segment that it publishes.

pub mod compact;
pub mod context;
pub mod erase;
pub mod explain;
pub mod fsck;
pub mod gather;
pub mod limit;
pub mod merge;
pub mod plan;
pub mod publish;
pub mod reclaim;
pub mod release;
pub mod retain;
pub mod scan;
pub mod settings;
mod source;
pub mod splice;
mod telemetry;
pub mod view;
pub mod worker;

pub use telemetry::describe as describe_metrics;
