//! Following: an agent's view of the shards, kept up to date from their logs (design, sections 3 and 5).
//!
//! A [`Shard`] is loaded from rows and log, then read on as the log grows. Watches and pokes only say when to look; what is there is always
//! read. Every page of the log is read together with the floor and the voided entries at the same version. [`Followers`] are all shards of an agent: it follows
//! those that it needs, and confirms the quiet ones among them by one read for all, every second. Any other is loaded when somebody asks for it.
//!
//! Guarantees: what [`Shard::read`] shows is the fold of a prefix of the shard's log (S7); after [`Shard::fresh`] that prefix
//! holds everything that was committed before the call (S6); a shard that could not be confirmed for [`STALE_AFTER`] or that
//! can't be folded answers with an error, and nothing else on the agent suffers.

#[cfg(test)]
mod alone;
mod common;
mod followers;
mod load;
mod look;
mod need;
mod round;
mod shard;
pub mod telemetry;
mod wait;

use std::time::Duration;

pub use common::Own;
pub use followers::Followers;
pub(crate) use load::row;
pub use load::{FollowError, OwnOutcome};
pub use shard::{Dirty, Outcomes, STALE_AFTER, Shard, ShardError};
pub use wait::Subscription;
pub(crate) use wait::until_news;

/// How often quiet shards are confirmed.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MOST: Duration = Duration::from_secs(1);
