//! Leases on tasks.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::RegistrationId;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Snapshot, Store, StoreError};
use tokio::time::Instant;

use super::Observer;
use crate::keys::{cluster, lease, registration};

/// A lease that this agent held when it last looked. Writes that rest on it must carry [`Held::reads`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    task: lease::Task,
    own: RegistrationId,
    takeovers: u64,
}

impl Held {
    /// What must be unchanged for the holder's writes to count: the owner, the holder's registration, the cluster.
    pub fn reads(&self) -> Vec<KeyRange> {
        vec![
            KeyRange::key(lease::owner(self.task)),
            KeyRange::key(registration::key(self.own)),
            KeyRange::key(cluster::key()),
        ]
    }

    /// Whether the lease is still held as of `snapshot`; the commit then carries [`Held::reads`] at its version.
    ///
    /// # Errors
    /// As the snapshot's reads.
    pub async fn holds(&self, snapshot: &dyn Snapshot) -> Result<bool, StoreError> {
        let owner = snapshot.get(&lease::owner(self.task)).await?;
        let alive = snapshot.get(&registration::key(self.own)).await?.is_some();
        let own = Some((self.own, self.takeovers));
        Ok(alive && owner.as_deref().and_then(lease::decode_owner) == own)
    }

    /// Which task it is for.
    pub fn task(&self) -> lease::Task {
        self.task
    }

    /// Gives the lease up, in a commit that reads [`Held::reads`]: anybody may take it at once.
    pub fn release(&self) -> Mutation {
        let value = lease::encode_owner(RegistrationId(0), self.takeovers);
        Mutation::Set { key: lease::owner(self.task), value }
    }

    /// A sign of life, to be put into a commit now and then.
    pub fn beat(&self) -> Mutation {
        Mutation::Add { key: lease::beat(self.task), delta: 1 }
    }
}

/// An agent's try for the lease of one task.
pub struct TaskLease {
    store: Arc<dyn Store>,
    task: lease::Task,
    own: RegistrationId,
    lease: Duration,
    observer: Observer,
    started: Instant,
}

impl std::fmt::Debug for TaskLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskLease({:?})", self.task)
    }
}

impl TaskLease {
    /// For `task`, by the agent registered as `own`; `lease`: how long a holder must be silent to lose it.
    pub fn new(store: Arc<dyn Store>, task: lease::Task, own: RegistrationId, lease: Duration) -> Self {
        TaskLease { store, task, own, lease, observer: Observer::default(), started: Instant::now() }
    }

    /// The lease, if this agent has it as of `snapshot`. Does not try for it.
    ///
    /// # Errors
    /// As the snapshot's reads.
    pub async fn held(&self, snapshot: &dyn Snapshot) -> Result<Option<Held>, StoreError> {
        let owner = snapshot.get(&lease::owner(self.task)).await?;
        let Some((_, takeovers)) = owner.as_deref().and_then(lease::decode_owner) else { return Ok(None) };
        let held = Held { task: self.task, own: self.own, takeovers };
        Ok(held.holds(snapshot).await?.then_some(held))
    }

    /// Forgets what was seen of the holder: it is given its time anew.
    pub fn forget(&mut self) {
        self.observer = Observer::default();
    }

    /// Takes the lease if it is free: nobody has it, its holder's registration is over, or its holder was silent for the lease time.
    /// `None`: somebody else has it, or the own registration is over.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn acquire(&mut self) -> Result<Option<Held>, StoreError> {
        let snapshot = self.store.snapshot().await?;
        let owner = snapshot.get(&lease::owner(self.task)).await?;
        let pulse = snapshot.get(&lease::beat(self.task)).await?;
        let held = owner.as_deref().and_then(lease::decode_owner);
        if snapshot.get(&registration::key(self.own)).await?.is_none() {
            // Whose registration is over holds nothing and takes nothing from others.
            return Ok(None);
        }
        if let Some((holder, takeovers)) = held {
            if holder == self.own {
                return Ok(Some(Held { task: self.task, own: self.own, takeovers }));
            }
            let alive = snapshot.get(&registration::key(holder)).await?.is_some();
            let silent = self.observer.observe(owner, pulse, self.started.elapsed());
            if alive && silent < self.lease {
                return Ok(None);
            }
        }
        let takeovers = held.map_or(0, |(_, takeovers)| takeovers) + 1;
        let value = lease::encode_owner(self.own, takeovers);
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: vec![
                KeyRange::key(lease::owner(self.task)),
                KeyRange::key(lease::beat(self.task)),
                KeyRange::key(registration::key(self.own)),
                KeyRange::key(cluster::key()),
            ],
            mutations: vec![
                Mutation::Set { key: lease::owner(self.task), value },
                Mutation::Add { key: lease::beat(self.task), delta: 1 },
            ],
            ..Commit::default()
        };
        match self.store.commit(commit).await {
            Ok(_) => Ok(Some(Held { task: self.task, own: self.own, takeovers })),
            Err(CommitError::Unavailable(why) | CommitError::Unknown(why)) => {
                Err(StoreError::Unavailable(why))
            }
            Err(_) => Ok(None),
        }
    }
}
