//! The leases of a compactor: its share of the shards, and the task of reclaim if nobody else has it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationId, RegistrationRow, Role, ShardId};
use siltstone_metadata::keys::lease::Task;
use siltstone_metadata::lease::{Held, TaskLease};
use siltstone_store::{Commit, Store, StoreError};

/// Shards that one pass takes over, at most: each is read as a whole then.
const NEW_AT_ONCE: usize = 64;

/// Between two signs of life while something takes long.
const BEAT: Duration = Duration::from_secs(5);

/// What is held, and what is tried for.
pub(super) struct Leases {
    store: Arc<dyn Store>,
    own: RegistrationId,
    tries: BTreeMap<ShardId, TaskLease>,
    held: BTreeMap<ShardId, Held>,
    reclaim: TaskLease,
    reclaims: Option<Held>,
}

impl Leases {
    pub(super) fn new(store: Arc<dyn Store>, own: RegistrationId, shards: u16, lease: Duration) -> Self {
        let lease_of = |task| TaskLease::new(store.clone(), task, own, lease * 2);
        let tries = (0..shards).map(ShardId).map(|shard| (shard, lease_of(Task::Compact(shard)))).collect();
        let reclaim = lease_of(Task::Reclaim);
        Leases { store, own, tries, held: BTreeMap::new(), reclaim, reclaims: None }
    }

    /// Shards, and the proof that they are held.
    pub(super) fn held(&self) -> &BTreeMap<ShardId, Held> {
        &self.held
    }

    /// Forgets a lease that turned out to be lost.
    pub(super) fn lost(&mut self, shard: ShardId) {
        self.held.remove(&shard);
    }

    /// The task of reclaim, if it is held.
    pub(super) fn reclaims(&self) -> Option<Held> {
        self.reclaims
    }

    /// Takes and gives up leases until this worker has its share.
    pub(super) async fn share(&mut self, alive: Vec<RegistrationRow>) -> Result<(), StoreError> {
        let workers = alive.iter().filter(|row| row.role == Role::Compactor).count().max(1);
        let share = self.tries.len().div_ceil(workers);
        // Where one begins to look depends on who it is, so that not all want the same shards.
        let from = (self.own.0 % self.tries.len().max(1) as u128) as usize;
        let mut order: Vec<ShardId> = self.tries.keys().copied().collect();
        order.rotate_left(from);
        let mut new = 0;
        for shard in order {
            let had = self.held.contains_key(&shard);
            if !had && (self.held.len() >= share || new >= NEW_AT_ONCE) {
                continue;
            }
            let Some(lease) = self.tries.get_mut(&shard) else { continue };
            match lease.acquire().await? {
                Some(held) => {
                    new += usize::from(!had);
                    self.held.insert(shard, held);
                }
                None => {
                    self.held.remove(&shard);
                }
            }
        }
        while self.held.len() > share {
            let Some((shard, held)) = self.held.pop_last() else { break };
            self.release(&held).await?;
            tracing::debug!(shard = shard.0, "given up: there are more compactors");
        }
        self.reclaims = self.reclaim.acquire().await?;
        Ok(())
    }

    async fn release(&self, held: &Held) -> Result<(), StoreError> {
        let snapshot = self.store.snapshot().await?;
        let (read_version, reads) = (Some(snapshot.version()), held.reads());
        let commit = Commit { read_version, reads, mutations: vec![held.release()], ..Commit::default() };
        // If it did not land, others wait until it is silent for long enough: it is not held here any more.
        if let Err(error) = self.store.commit(commit).await {
            tracing::debug!(%error, "a lease was not given up");
        }
        Ok(())
    }

    /// Does something that may take long, with signs of life for all that is held as long as it takes.
    pub(super) async fn beating<T>(&self, work: impl Future<Output = T>) -> T {
        let mut work = Box::pin(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(BEAT) => {
                    if let Err(error) = self.beat().await {
                        tracing::debug!(%error, "no sign of life was given");
                    }
                }
            }
        }
    }

    /// Shows life for all that is held.
    pub(super) async fn beat(&self) -> Result<(), StoreError> {
        let all: Vec<&Held> = self.held.values().chain(&self.reclaims).collect();
        let Some(first) = all.first() else { return Ok(()) };
        let snapshot = self.store.snapshot().await?;
        // Beats of leases that others hold by now do no harm: they only look alive for longer. What counts is the registration.
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: first.reads().split_off(1),
            mutations: all.iter().map(|held| held.beat()).collect(),
            ..Commit::default()
        };
        if let Err(error) = self.store.commit(commit).await {
            tracing::debug!(%error, "no sign of life was given");
        }
        Ok(())
    }
}
