//! The write path (design, section 4): buffer, flush, upload, commit, fold, acknowledge.
//!
//! ```text
//! append() ─▶ Buffer ─ policy ─▶ segment ─▶ upload (object) ─┐
//!                         └────▶ segment ─▶ (inline) ────────┴▶ committer ─▶ shard logs ─▶ followers ─▶ Pending ─▶ tickets
//! ```
//!
//! Guarantees: a ticket says `Done` only from the fold, so what it says is durable and visible (S1, S4). Batches of one partition, and
//! of one connection, are committed in the order of their arrival. Memory is bounded by the budget that callers reserve from
//! before they read a request (S11). Nothing is retried under another registration. Batches of a transaction are committed only together
//! with a look at it: those whose transaction has ended are void, and the others of their flush go on without them.

mod budget;
mod buffer;
mod circuit;
mod commit;
mod committer;
mod flusher;
mod outage;
mod packing;
mod pending;
mod policy;
mod segment;
mod ticket;
mod transactions;

pub use budget::{Budget, Reservation};
pub use buffer::{BatchTransaction, NewBatch, Placement};
pub(crate) use flusher::WriterParts;
pub use flusher::{WriteSettings, Writer};
pub use packing::BlockCompression;
pub(crate) use pending::Pending;
pub use policy::PolicySettings;
pub use ticket::{Ticket, WriteError, WriteOutcome};

#[cfg(test)]
mod tests;
