//! Trimming the catalog's log: rows are the truth, so entries only serve followers that were not away for long.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{Position, RegistrationId};
use siltstone_store::{Commit, CommitError, Mutation, Store, StoreError};
use tokio::time::Instant;

use super::Catalog;
use crate::keys::lease::Task;
use crate::keys::{catalog_floor, catalog_log};
use crate::lease::{Held, TaskLease};

/// Clears entries of the catalog's log that are old, when it holds the lease.
pub struct CatalogTrimmer {
    catalog: Arc<Catalog>,
    store: Arc<dyn Store>,
    lease: TaskLease,
    interval: Duration,
    lag: Duration,
    /// Where the log ended, and when: each a floor to be, once it is `lag` old.
    ends: VecDeque<(Instant, Position)>,
}

impl std::fmt::Debug for CatalogTrimmer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CatalogTrimmer")
    }
}

/// Why a round did not complete. The next one tries again.
#[derive(Debug, thiserror::Error)]
enum TrimError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl CatalogTrimmer {
    /// For the agent registered as `own`. Followers that were away for less than `lag` needn't read all rows again; `lease` is how
    /// long a silent holder keeps the task.
    pub fn new(
        catalog: Arc<Catalog>,
        store: Arc<dyn Store>,
        own: RegistrationId,
        interval: Duration,
        lag: Duration,
        lease: Duration,
    ) -> Self {
        let lease = TaskLease::new(store.clone(), Task::Catalog, own, lease);
        CatalogTrimmer { catalog, store, lease, interval, lag, ends: VecDeque::new() }
    }

    /// Makes rounds for ever.
    pub async fn run(mut self) {
        loop {
            tokio::time::sleep(self.interval).await;
            if let Err(error) = self.round().await {
                tracing::debug!(%error, "the catalog's log was not trimmed");
            }
        }
    }

    async fn round(&mut self) -> Result<(), TrimError> {
        let Some(held) = self.lease.acquire().await? else {
            self.ends.clear();
            return Ok(());
        };
        let end = self.catalog.state().position();
        if self.ends.back().is_none_or(|(_, last)| *last < end) {
            self.ends.push_back((Instant::now(), end));
        }
        let mut floor = None;
        while let Some((at, position)) = self.ends.front().copied()
            && at.elapsed() >= self.lag
        {
            floor = Some(position);
            self.ends.pop_front();
        }
        self.write(&held, floor).await
    }

    /// Moves the floor, or only shows that the holder lives.
    async fn write(&self, held: &Held, floor: Option<Position>) -> Result<(), TrimError> {
        let snapshot = self.store.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Ok(());
        }
        let mut mutations = vec![held.beat()];
        if let Some(floor) = floor {
            let value = Bytes::copy_from_slice(&floor.0);
            mutations.push(Mutation::Set { key: catalog_floor::key(), value });
            mutations.push(Mutation::ClearRange { range: catalog_log::up_to(floor) });
        }
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: held.reads(),
            mutations,
            ..Commit::default()
        };
        self.store.commit(commit).await?;
        Ok(())
    }
}
