//! A compactor's life: registrations one after the other, and passes over the shards that it holds.
//!
//! Any number of them may run. Each holds its share of the shards, by leases that it gives up when there are more workers than before.

mod compact;
mod erase;
mod jobs;
mod leases;
mod progress;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{PartitionId, RegistrationId, RegistrationRow, Role, ShardId};
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::{Catalog, CatalogReadError};
use siltstone_metadata::keys::registration;
use siltstone_metadata::lease::{self, Membership, RegisterError};
use siltstone_metadata::shard::{LEVEL_COMPACTION, MAX_LEVEL, MIN_LEVEL};
use siltstone_objects::Objects;
use siltstone_store::{Store, StoreError};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::context::Context;
use crate::reclaim::Reclaimer;
use crate::settings::CompactorSettings;
use crate::view::Views;
pub(crate) use jobs::config;
use leases::Leases;
pub use progress::Progress;

/// Between two tries to begin.
const RETRY: Duration = Duration::from_secs(1);
/// How long the end of a life may take to be told.
const LAST_WORD: Duration = Duration::from_secs(5);

/// What a compactor stands on.
#[derive(Clone)]
pub struct Compactor {
    /// The metadata.
    pub store: Arc<dyn Store>,
    /// The segments.
    pub objects: Objects,
    /// Time and chance.
    pub ambient: Ambient,
    /// How it works.
    pub settings: CompactorSettings,
}

impl std::fmt::Debug for Compactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Compactor")
    }
}

/// Why a pass did not come to its end. The next one begins anew.
#[derive(Debug, thiserror::Error)]
pub enum PassError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The catalog can't be read.
    #[error(transparent)]
    Catalog(#[from] CatalogReadError),
    /// The registrations can't be read.
    #[error(transparent)]
    Registrations(#[from] RegisterError),
    /// The own registration is over.
    #[error("the registration is over")]
    Ended,
}

/// One registration's worth of work.
pub struct Worker {
    cx: Arc<Context>,
    catalog: Arc<Catalog>,
    leases: Leases,
    views: Views,
    /// Since when something that was flushed has been waiting for a merge.
    waiting: Option<Instant>,
    /// Partitions that can't be merged, and until when they are left alone.
    damaged: BTreeMap<PartitionId, Instant>,
    /// What was found at the last look whether partitions are to be compacted.
    looked: BTreeMap<PartitionId, compact::Looked>,
    reclaimer: Reclaimer,
    tasks: JoinSet<()>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Worker({:?})", self.cx)
    }
}

impl Compactor {
    /// Works for ever. End it by dropping the future; [`Compactor::run_until`] ends it cleanly.
    pub async fn run(self) {
        self.run_until(std::future::pending()).await;
    }

    /// Works until `stop`, then lets others have its leases at once.
    pub async fn run_until(self, stop: impl Future<Output = ()>) {
        self.run_watched(stop, &Progress::default()).await;
    }

    /// As [`Compactor::run_until`], and tells how it goes.
    pub async fn run_watched(self, stop: impl Future<Output = ()>, progress: &Progress) {
        tokio::pin!(stop);
        loop {
            let mut worker = tokio::select! {
                biased;
                () = &mut stop => return,
                worker = Worker::begin(&self) => match worker {
                    Ok(worker) => worker,
                    Err(error) => {
                        tracing::warn!(%error, "the compactor can't begin");
                        progress.failed(error.to_string());
                        tokio::select! {
                            biased;
                            () = &mut stop => return,
                            () = tokio::time::sleep(RETRY) => continue,
                        }
                    }
                },
            };
            tokio::select! {
                biased;
                () = &mut stop => {
                    worker.end().await;
                    return;
                }
                () = worker.work_watched(progress) => worker.last_word().await,
            }
        }
    }
}

impl Worker {
    /// Registers, and follows the catalog.
    ///
    /// # Errors
    /// If the store does not answer, or is of another program's level.
    pub async fn begin(compactor: &Compactor) -> Result<Worker, RegisterError> {
        let Compactor { store, objects, ambient, settings } = compactor.clone();
        // A compactor does not make clusters: it would have to choose the number of shards.
        let cluster = loop {
            match lease::existing_cluster(store.as_ref()).await? {
                Some(cluster) => break cluster,
                None => tokio::time::sleep(RETRY).await,
            }
        };
        let row = |id| RegistrationRow {
            id,
            node: u32::MAX,
            started: ambient.clock.now(),
            zone: settings.zone.clone(),
            host: String::new(),
            port: 0,
            lowest_level: MIN_LEVEL,
            highest_level: MAX_LEVEL,
            role: Role::Compactor,
            listeners: Vec::new(),
            peer: None,
        };
        let own = loop {
            let own = row(RegistrationId(ambient.chance.next()));
            match lease::register(store.as_ref(), &own).await {
                Err(RegisterError::Lost) => {}
                registered => break registered.map(|()| own)?,
            }
        };
        let catalog = Catalog::new(store.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(catalog.clone().run());
        tasks.spawn(Membership::new(store.clone(), own.id, cluster.shards, settings.lease).run());
        let leases = Leases::new(store.clone(), own.id, cluster.shards, settings.lease);
        let cx = Context::new(store, objects, ambient, own.id, cluster.shards, settings);
        Ok(Worker {
            cx: Arc::new(cx),
            catalog,
            leases,
            views: Views::new(),
            waiting: None,
            damaged: BTreeMap::new(),
            looked: BTreeMap::new(),
            reclaimer: Reclaimer::default(),
            tasks,
        })
    }

    /// Its registration.
    pub fn registration(&self) -> RegistrationId {
        self.cx.registration
    }

    /// Makes passes until the registration is over.
    pub async fn work(&mut self) {
        self.work_watched(&Progress::default()).await;
    }

    async fn work_watched(&mut self, progress: &Progress) {
        loop {
            match self.pass().await {
                Ok(()) => progress.passed(),
                Err(PassError::Ended) => {
                    tracing::warn!("the compactor's registration is over: a new one begins");
                    return;
                }
                Err(error) => {
                    progress.failed(error.to_string());
                    tracing::debug!(%error, "a pass of the compactor was not completed");
                }
            }
            tokio::time::sleep(self.cx.settings.interval).await;
        }
    }

    /// The registration is over, and nothing of it is under way any more.
    pub async fn last_word(&mut self) {
        self.tasks.abort_all();
        let look = lease::look_again(self.cx.store.as_ref(), self.cx.registration);
        if tokio::time::timeout(LAST_WORD, look).await.is_err() {
            tracing::debug!(
                "the metadata store does not answer at the end: what the registration left over may stay, and fsck finds it"
            );
        }
    }

    /// Ends the registration: leases and shards are free at once.
    pub async fn end(mut self) {
        let ended = lease::end(self.cx.store.as_ref(), self.cx.registration, self.cx.shards, None);
        if let Err(error) = ended.await {
            tracing::warn!(%error, "the compactor's registration could not be ended: others will");
        }
        self.last_word().await;
    }

    /// One look at everything, and what is to be done by that.
    ///
    /// # Errors
    /// See [`PassError`].
    pub async fn pass(&mut self) -> Result<(), PassError> {
        let snapshot = self.cx.store.snapshot().await?;
        if snapshot.get(&registration::key(self.cx.registration)).await?.is_none() {
            return Err(PassError::Ended);
        }
        drop(snapshot);
        let catalog = self.catalog.fresh().await?;
        if catalog.level() < LEVEL_COMPACTION {
            tracing::debug!(level = catalog.level(), "the feature level is too low for compaction");
            return Ok(());
        }
        self.leases.share(lease::list(self.cx.store.as_ref()).await?).await?;
        self.views.retain(|shard, _| self.leases.held().contains_key(shard));
        self.scan().await;
        self.release().await;
        self.retain(&catalog).await;
        self.merge().await;
        self.move_out().await;
        self.compact(&catalog).await;
        self.leases.beat().await?;
        self.erase().await;
        self.reclaim().await;
        Ok(())
    }

    /// The shards that it holds.
    pub fn shards(&self) -> Vec<ShardId> {
        self.leases.held().keys().copied().collect()
    }
}
