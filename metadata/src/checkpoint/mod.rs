//! Checkpoints: rows of changed partitions, then the floor, by the holder of the shard's lease (design, section 3).
//!
//! ```text
//! round i:  P_i = position now, H_i = head as of it
//!           write the rows of all partitions that changed up to P_i      (any number of transactions, horizon ≥ P_i each)
//!           remember (P_i, H_i)
//! later:    once P_i is `floor_lag` old: floor := P_i, head := H_i, entries ≤ P_i are cleared      (one transaction)
//! ```
//!
//! So at every moment each partition's entries at or below the floor are in its row, and whoever reads a row together with the floor
//! has all of them (S7). Every transaction reads the lease (S10) and what it replaces.
//!
//! Whose turn it is: agents that stand for the shard try for the lease, once there is something to write; a quiet shard costs the store next to nothing. The others
//! look now and then whether a shard is left to itself (`turn`).

mod aborted;
mod batch;
mod count;
mod floor;
mod rows;
mod turn;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{Position, ShardHead};
use siltstone_store::{Commit, CommitError, Store, StoreError};
use tokio::time::Instant;

use crate::ambient::Ambient;
use crate::follow::{FollowError, Shard, ShardError};
use crate::keys::lease::Task;
use crate::lease::{Held, TaskLease};
use turn::Turns;

pub use batch::{PER_CHUNK, uses};

/// When checkpoints happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckpointSettings {
    /// Between two rounds.
    pub interval: Duration,
    /// How far the floor trails: a follower that was away for less needn't load again.
    pub floor_lag: Duration,
    /// How long a silent holder keeps the lease. More than two intervals.
    pub lease: Duration,
    /// Idempotent producers are forgotten after so long without a batch.
    pub producer_expiration: Duration,
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        CheckpointSettings {
            interval: Duration::from_secs(20),
            floor_lag: Duration::from_secs(60),
            lease: Duration::from_secs(60),
            producer_expiration: Duration::from_secs(24 * 60 * 60),
        }
    }
}

/// Why a round did not complete. The next one tries again.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum CheckpointError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Shard(#[from] ShardError),
    #[error(transparent)]
    Commit(#[from] CommitError),
    #[error("the lease is lost")]
    LeaseLost,
    #[error("{0}")]
    Differs(String),
}

/// A position at which all rows are known to be complete, once its round ended.
#[derive(Debug, Clone)]
struct Candidate {
    at: Instant,
    position: Position,
    head: ShardHead,
}

/// Checkpoints one shard, when it holds the lease.
#[derive(Debug)]
pub struct Checkpointer {
    shard: Arc<Shard>,
    store: StoreRef,
    lease: TaskLease,
    settings: CheckpointSettings,
    ambient: Ambient,
    candidates: VecDeque<Candidate>,
    last_expire: Option<Instant>,
    /// When the lease's beat last changed by this holder's doing.
    last_beat: Option<Instant>,
    turns: Turns,
}

/// A store, with a Debug that says no more.
struct StoreRef(Arc<dyn Store>);

impl std::fmt::Debug for StoreRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Checkpointer {
    /// For `shard`, by the agent registered as `own`.
    pub fn new(
        shard: Arc<Shard>,
        store: Arc<dyn Store>,
        own: siltstone_log::RegistrationId,
        settings: CheckpointSettings,
        ambient: Ambient,
    ) -> Self {
        let lease = TaskLease::new(store.clone(), Task::Checkpoint(shard.id()), own, settings.lease);
        Checkpointer {
            shard,
            store: StoreRef(store),
            lease,
            settings,
            ambient,
            candidates: VecDeque::new(),
            last_expire: None,
            last_beat: None,
            turns: Turns::default(),
        }
    }

    /// Makes rounds for ever.
    pub async fn run(mut self) {
        // Shards of one agent take turns: their rounds spread over the interval.
        let spread = (self.ambient.chance.next() % 1000) as u32;
        tokio::time::sleep(self.settings.interval * spread / 1000).await;
        loop {
            // Boxed: most shards of a large cluster are none of this agent's business.
            match Box::pin(self.turn()).await {
                Ok(()) => {}
                Err(CheckpointError::Differs(reason)) => self.shard.halt(reason),
                Err(error) => {
                    tracing::debug!(shard = self.shard.id().0, %error, "checkpoint round not completed");
                    if matches!(error, CheckpointError::LeaseLost) {
                        self.candidates.clear();
                    }
                }
            }
            tokio::time::sleep(self.settings.interval).await;
        }
    }

    /// One round: rows, then the floor if one is due. Public so that tests and a clean stop can ask for one.
    pub(crate) async fn round(&mut self) -> Result<(), CheckpointError> {
        let Some(held) = self.lease.acquire().await? else {
            self.candidates.clear();
            self.shard.hold(false);
            return Ok(());
        };
        self.shard.hold(true);
        self.shard.fresh().await?;
        self.count_uses(&held).await?;
        if let Some(candidate) = self.write_rows(&held).await? {
            // Where nothing is new the older one counts: it is due sooner.
            if self.candidates.back().is_none_or(|last| last.position < candidate.position) {
                self.candidates.push_back(candidate);
            }
        }
        self.move_floor(&held).await?;
        self.expire_producers(&held).await?;
        self.show_life(&held).await
    }

    /// A beat of its own, where the round had nothing to write. Only at the end of a round: a holder whose rounds fail shows no life, and
    /// loses the lease to one that may do better.
    async fn show_life(&mut self, held: &Held) -> Result<(), CheckpointError> {
        if self.last_beat.is_some_and(|at| at.elapsed() < self.settings.lease / 4) {
            return Ok(());
        }
        let snapshot = self.store.0.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(CheckpointError::LeaseLost);
        }
        let (read_version, mutations) = (Some(snapshot.version()), vec![held.beat()]);
        let commit = Commit { read_version, reads: held.reads(), mutations, ..Commit::default() };
        self.store.0.commit(commit).await?;
        self.last_beat = Some(Instant::now());
        Ok(())
    }
}
