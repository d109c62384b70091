//! Transactions: the rules by which a transactional id's row changes.
//!
//! ```text
//! row as read ─▶ rule ─▶ the row to write in the same commit, or a refusal, or "it is done already"
//! ```
//!
//! Each step of a transaction is one commit that reads the row: so steps on different agents come one after the other, and there is no state in
//! between that anyone could see. The rules are those of Kafka 4.2's coordinator (KIP-98, KIP-360, KIP-890), less what it needs only because its commit takes
//! several writes. Two kinds of clients live side by side: those that say which partitions they add and keep their epoch (transaction version 1), and
//! those that just write and whose epoch is raised at each end (transaction version 2). Which one a client is, its request tells.
//!
//! Deliberately not here: reading and writing rows, the partitions and groups of a transaction (keys of their own), and what the fold makes
//! of the end of a transaction ([`crate::shard`]).

mod add;
mod admit;
mod end;
mod epoch;
mod expire;
mod init;
mod watch;

pub use add::add;
pub use admit::{Admission, Claim, Refusal, admit};
pub use end::{End, EndRequest, end};
pub use epoch::Ended;
pub use expire::{abort_timed_out, is_expired};
pub use init::{InitRequest, Initialized, init};
pub use watch::Watch;

/// What a rule says that may need a new producer id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision<T> {
    /// Decided.
    Made(T),
    /// A producer id that nobody has yet is needed: ask again with one.
    NeedsId,
}

#[cfg(test)]
mod tests;
