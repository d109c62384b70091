//! Leases: who may do a task.
//!
//! | layout | value | written by | read by | lifetime |
//! |---|---|---|---|---|
//! | `50`, task (owner) and `51`, task (beat) | owner: registration 16 and a counter u64 of takeovers; beat: u64 little-endian, counted up | owner: at takeover only; beat: the holder, blind | owner: in the read set of every write of the holder; both: challengers | for ever |

use bytes::Bytes;
use siltstone_log::{RegistrationId, ShardId};

use super::{Key, family};

/// A task that one agent at a time does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Task {
    /// Checkpointing a shard.
    Checkpoint(ShardId),
    /// Trimming the catalog's log.
    Catalog,
    /// Ending transactions that take too long, and forgetting transactional ids.
    Transactions,
    /// Merging, retention and compaction in a shard.
    Compact(ShardId),
    /// Deleting segments that nothing refers to.
    Reclaim,
}

impl Task {
    fn append(self, key: Key) -> Bytes {
        match self {
            Task::Checkpoint(shard) => key.raw(&[1]).shard(shard).done(),
            Task::Catalog => key.raw(&[2]).done(),
            Task::Transactions => key.raw(&[3]).done(),
            Task::Compact(shard) => key.raw(&[4]).shard(shard).done(),
            Task::Reclaim => key.raw(&[5]).done(),
        }
    }
}

/// The owner's key.
pub fn owner(task: Task) -> Bytes {
    task.append(Key::new(family::LEASE_OWNER))
}

/// The beat's key.
pub fn beat(task: Task) -> Bytes {
    task.append(Key::new(family::LEASE_BEAT))
}

/// The owner's value.
pub fn encode_owner(registration: RegistrationId, takeovers: u64) -> Bytes {
    let mut value = registration.0.to_be_bytes().to_vec();
    value.extend_from_slice(&takeovers.to_be_bytes());
    value.into()
}

/// Reads the owner's value; `None` if it is none.
pub fn decode_owner(value: &[u8]) -> Option<(RegistrationId, u64)> {
    let (registration, takeovers) = value.split_at_checked(16)?;
    Some((
        RegistrationId(u128::from_be_bytes(registration.try_into().ok()?)),
        u64::from_be_bytes(takeovers.try_into().ok()?),
    ))
}
