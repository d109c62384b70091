//! All shards of the cluster, as one agent has them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_log::{PartitionId, ShardId, shard_of};
use siltstone_store::{Store, StoreError};
use tokio::time::Instant;

use super::common::{Common, Own};
use super::look::{self, Look};
use super::shard::{Outcomes, STALE_AFTER, Shard, ShardError};
use super::{CONFIRM_EVERY, RETRY_FIRST, RETRY_MOST, telemetry};
use crate::keys::registration;

/// A shard that no look confirms for so long makes a round of its own: looks fail, or take long.
const PATIENCE: Duration = Duration::from_secs(3);

/// The shards of the cluster. Each is followed while it is needed: this agent stands for it, holds the lease on its checkpoints, awaits an outcome
/// from it, or somebody has used it lately.
#[derive(Debug, Clone)]
pub struct Followers {
    shards: Arc<Vec<Arc<Shard>>>,
    looks: Arc<Looks>,
}

/// What the looks have found.
struct Looks {
    common: Arc<Common>,
    found: Mutex<Found>,
}

#[derive(Debug, Clone, Copy)]
struct Found {
    /// When the last look that succeeded began.
    looked: Instant,
    /// Since when the registration is known to be over.
    over: Option<Instant>,
}

impl std::fmt::Debug for Looks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Looks")
    }
}

impl Followers {
    /// All shards of a cluster that has so many, by the agent `own`. It stands for all of them until it is told otherwise
    /// ([`Followers::stand_for`]); others are let go when nobody has used them for `linger`. Nothing is read before the shards and [`Followers::run`] run.
    pub fn new(
        shards: u16,
        own: impl Into<Own>,
        store: Arc<dyn Store>,
        outcomes: Arc<dyn Outcomes>,
        linger: Duration,
    ) -> Self {
        let common = Arc::new(Common::new(shards, own.into(), store, outcomes, linger, PATIENCE));
        let all = (0..shards).map(|shard| Shard::with(ShardId(shard), common.clone())).collect();
        let found = Mutex::new(Found { looked: Instant::now(), over: None });
        Followers { shards: Arc::new(all), looks: Arc::new(Looks { common, found }) }
    }

    /// All shards, followed or not.
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.shards.len() as u16
    }

    /// One of them; a number beyond the last counts as the last.
    pub fn shard(&self, id: ShardId) -> &Arc<Shard> {
        &self.shards[usize::from(id.0).min(self.shards.len() - 1)]
    }

    /// The shard that a partition lives in.
    pub fn of(&self, partition: PartitionId) -> &Arc<Shard> {
        self.shard(shard_of(partition, self.count()))
    }

    /// Says which shards clients are sent to this agent for: these are followed all the time.
    pub fn stand_for(&self, shards: &BTreeSet<ShardId>) {
        self.shards.iter().for_each(|shard| shard.stand(shards.contains(&shard.id())));
    }

    /// Loads partitions of any shards, all at once.
    ///
    /// # Errors
    /// The first shard's that failed; others may be loaded.
    pub async fn load(&self, partitions: &[PartitionId]) -> Result<(), ShardError> {
        let mut by_shard: BTreeMap<ShardId, Vec<PartitionId>> = BTreeMap::new();
        for partition in partitions {
            by_shard.entry(self.of(*partition).id()).or_default().push(*partition);
        }
        let loads = by_shard.iter().map(|(shard, list)| self.shard(*shard).load(list));
        futures::future::try_join_all(loads).await.map(drop)
    }

    /// Waits until the shards of these partitions are as new as this call. Several share one look.
    ///
    /// # Errors
    /// The first shard's that failed.
    pub async fn fresh(&self, partitions: impl IntoIterator<Item = PartitionId>) -> Result<(), ShardError> {
        self.all_fresh(partitions, |_| true).await
    }

    /// As [`Followers::fresh`], of those shards that are followed: others will be loaded as of a later time, should they be needed.
    ///
    /// # Errors
    /// The first shard's that failed.
    pub async fn settled(&self, partitions: impl IntoIterator<Item = PartitionId>) -> Result<(), ShardError> {
        self.all_fresh(partitions, Shard::is_followed).await
    }

    /// Waits until all shards that this agent stands for are as new as this call.
    ///
    /// # Errors
    /// The first shard's that failed.
    pub async fn caught_up(&self) -> Result<(), ShardError> {
        let stands = self.shards.iter().filter(|shard| shard.stands());
        self.look_at(stands.collect()).await
    }

    async fn all_fresh(
        &self,
        partitions: impl IntoIterator<Item = PartitionId>,
        which: impl Fn(&Shard) -> bool,
    ) -> Result<(), ShardError> {
        let shards: BTreeSet<ShardId> =
            partitions.into_iter().map(|partition| self.of(partition).id()).collect();
        let shards = shards.into_iter().map(|id| self.shard(id)).filter(|shard| which(shard));
        self.look_at(shards.collect()).await
    }

    async fn look_at(&self, shards: Vec<&Arc<Shard>>) -> Result<(), ShardError> {
        if let [only] = shards[..] {
            return only.fresh().await;
        }
        let waits: Vec<_> = shards.into_iter().map(|shard| (shard, shard.ticket())).collect();
        self.looks.common.looks.notify_one();
        let waits = waits.into_iter().map(|(shard, ticket)| shard.completed_by(ticket));
        futures::future::try_join_all(waits).await.map(drop)
    }

    /// Why this agent can't serve, if so: a shard that it has followed for a while can't be read, or the store does not answer.
    pub fn trouble(&self) -> Option<String> {
        let now = Instant::now();
        let late = |since: Instant| now.saturating_duration_since(since) >= STALE_AFTER;
        let followed = self.shards.iter().filter(|shard| {
            let since = shard.lock().need.followed();
            since.is_some_and(|since| shard.stands() || late(since))
        });
        let unread = followed.filter_map(|shard| shard.read(|_| ()).err()).next();
        let unanswered = late(self.looks.lock().looked);
        let why = unread.map(|error| error.to_string());
        why.or_else(|| unanswered.then(|| "the metadata store does not answer".to_owned()))
    }

    /// Looks at all followed shards, again and again. Never returns; end it by dropping the future.
    pub async fn run(self) {
        let mut retry = RETRY_FIRST;
        loop {
            let result = self.look().await;
            telemetry::look(result.is_ok());
            let pause = match result {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    CONFIRM_EVERY
                }
                Err(error) => {
                    tracing::debug!(%error, "shards not looked at");
                    retry = (retry * 2).min(RETRY_MOST);
                    retry
                }
            };
            self.tell_lag();
            tokio::select! {
                biased;
                () = self.looks.common.looks.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn look(&self) -> Result<(), StoreError> {
        let began = Instant::now();
        let followed: Vec<(&Arc<Shard>, u64)> =
            self.shards.iter().filter_map(|shard| Some((shard, shard.begin_look()?))).collect();
        let common = &self.looks.common;
        let snapshot = common.store.snapshot().await?;
        let ids = followed.iter().map(|(shard, _)| shard.id()).collect();
        let key = registration::key(common.own.registration);
        let (marks, row) = futures::try_join!(look::marks(snapshot.as_ref(), &ids), snapshot.get(&key))?;
        let look = Look { began, version: snapshot.version(), alive: row.is_some() };
        for (shard, ticket) in &followed {
            if let Some(mark) = marks.get(&shard.id()) {
                shard.seen(&look, *ticket, mark);
            }
        }
        if self.looks.found(&look, followed.is_empty()) {
            common.outcomes.over();
        }
        Ok(())
    }

    fn tell_lag(&self) {
        let now = Instant::now();
        let lags: Vec<Duration> = self.shards.iter().filter_map(|shard| shard.lag(now)).collect();
        telemetry::followed(lags.len(), lags.into_iter().max().unwrap_or_default());
    }
}

impl Looks {
    fn lock(&self) -> std::sync::MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in a look. Whether the registration is over and no shard is there to say so, or none of them did in time.
    fn found(&self, look: &Look, alone: bool) -> bool {
        let mut found = self.lock();
        found.looked = look.began;
        if look.alive {
            found.over = None;
            return false;
        }
        let since = *found.over.get_or_insert(look.began);
        alone || look.began.saturating_duration_since(since) >= STALE_AFTER
    }
}
