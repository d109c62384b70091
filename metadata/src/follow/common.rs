//! What the followed shards of one agent share: the store, whom to tell, and limits.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationId, RegistrationRow};
use siltstone_store::{Store, Watch};
use tokio::sync::{Notify, Semaphore};

use super::shard::Outcomes;
use crate::shard::MAX_LEVEL;

/// Rounds of one agent that are under way at a time: each may hold a page of a log, 4 MiB.
const ROUNDS: usize = 16;
/// Shards of one agent that are watched at a time; the others are looked at every second. A handle on the store has 10,000.
const WATCHES: usize = 4_000;

const _: () = assert!(WATCHES < siltstone_store::limits::WATCHES);

/// Whose shards are followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Own {
    /// The agent.
    pub registration: RegistrationId,
    /// The highest feature level that it follows: a shard beyond it halts.
    pub highest_level: u32,
}

impl From<&RegistrationRow> for Own {
    fn from(row: &RegistrationRow) -> Self {
        Own { registration: row.id, highest_level: row.highest_level }
    }
}

impl From<RegistrationId> for Own {
    /// An agent of this program.
    fn from(registration: RegistrationId) -> Self {
        Own { registration, highest_level: MAX_LEVEL }
    }
}

pub(super) struct Common {
    /// How many shards the cluster has.
    pub(super) shards: u16,
    pub(super) own: Own,
    pub(super) store: Arc<dyn Store>,
    pub(super) outcomes: Arc<dyn Outcomes>,
    /// A shard that this agent does not stand for is let go once nobody has used it for so long.
    pub(super) linger: Duration,
    /// A shard that nobody confirms for so long makes a round of its own.
    pub(super) patience: Duration,
    pub(super) rounds: Semaphore,
    watches: Arc<Semaphore>,
    /// Somebody waits for a look at all shards.
    pub(super) looks: Notify,
}

impl Common {
    pub(super) fn new(
        shards: u16,
        own: Own,
        store: Arc<dyn Store>,
        outcomes: Arc<dyn Outcomes>,
        linger: Duration,
        patience: Duration,
    ) -> Self {
        let (rounds, watches) = (Semaphore::new(ROUNDS), Arc::new(Semaphore::new(WATCHES)));
        Common { shards, own, store, outcomes, linger, patience, rounds, watches, looks: Notify::new() }
    }

    /// A watch, if the store gives one and there are not too many.
    pub(super) async fn watch(&self, key: &[u8]) -> Option<Watch> {
        let permit = self.watches.clone().try_acquire_owned().ok()?;
        let watch = self.store.watch(key).await.ok()?;
        Some(Box::pin(async move {
            let _permit = permit;
            watch.await
        }))
    }
}
