//! A shard as the rest of the agent sees it: what is known of it, and who waits for what.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::{PartitionId, Position, ShardId, TopicId};
use siltstone_store::Version;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::common::Common;
use super::load::{Frame, OwnOutcome};
use super::look::Tick;
use super::need::Need;
use super::wait::{Subscription, Waiters};
use crate::bugs::{self, Bug};
use crate::level::Level;
use crate::shard::{PartitionState, ShardState};

/// A shard whose state could not be confirmed for so long is not served (S6).
pub const STALE_AFTER: Duration = Duration::from_secs(5);

/// Learns what became of the own entries.
pub trait Outcomes: Send + Sync {
    /// An own entry was folded, or the registration ended.
    fn folded(&self, shard: ShardId, outcome: OwnOutcome);
    /// The shard was loaded anew, and own entries up to this counter are folded: of those that were not told yet the outcome is lost.
    /// Said of those that the floor has passed before anything behind it is told, then of all.
    fn reloaded(&self, shard: ShardId, passed: u64);
    /// Whether the outcome of an own entry in this shard is still awaited: it is followed for so long.
    fn awaits(&self, shard: ShardId) -> bool;
    /// The registration is over, and no shard is there to tell it.
    fn over(&self);
}

/// Why a shard can't be used now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShardError {
    /// Ask again later: the metadata store does not answer, or the shard is being loaded.
    #[error("shard {0:?} is not up to date")]
    Stale(ShardId),
    /// This program can't fold the shard.
    #[error("{0}")]
    Halted(String),
    /// There is no such partition.
    #[error("no such partition: {0:?}")]
    NoPartition(PartitionId),
    /// The partition exists, and must be loaded first ([`Shard::load`]).
    #[error("partition {0:?} is not loaded")]
    NotLoaded(PartitionId),
}

/// Partitions whose rows are behind the fold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Dirty {
    /// Changed since their row was written, and by which entry last.
    pub partitions: BTreeMap<PartitionId, Position>,
    /// Deleted, rows perhaps still there, and by which entry.
    pub topics: BTreeMap<TopicId, Position>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) need: Need,
    pub(super) state: Option<ShardState>,
    pub(super) frame: Frame,
    pub(super) dirty: Dirty,
    pub(super) wanted: BTreeSet<PartitionId>,
    pub(super) used: BTreeMap<PartitionId, Instant>,
    pub(super) requested: u64,
    pub(super) confirmed: Option<Instant>,
    /// The version of the last complete round: everything up to it is in the state.
    pub(super) complete: Option<Version>,
    /// The version of an own commit that may not be in the state yet.
    pub(super) own: Option<Version>,
    /// What the looks at all shards saw.
    pub(super) tick: Option<Tick>,
    pub(super) swept: Option<Instant>,
    pub(super) halted: Option<String>,
    /// Halted until the process ends: loading anew would only hide that this agent's fold is not to be trusted.
    pub(super) for_good: bool,
}

impl Inner {
    fn new(need: Need) -> Self {
        Inner {
            need,
            state: None,
            frame: Frame { floor: Position::ZERO, voids: BTreeSet::new() },
            dirty: Dirty::default(),
            wanted: BTreeSet::new(),
            used: BTreeMap::new(),
            requested: 0,
            confirmed: None,
            complete: None,
            own: None,
            tick: None,
            swept: None,
            halted: None,
            for_good: false,
        }
    }
}

/// One shard.
pub struct Shard {
    id: ShardId,
    pub(super) common: Arc<Common>,
    inner: Mutex<Inner>,
    pub(super) poke: Notify,
    pub(super) completed: Level<u64>,
    pub(super) waiters: Arc<Waiters>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({})", self.id.0)
    }
}

impl Shard {
    pub(super) fn with(id: ShardId, common: Arc<Common>) -> Arc<Self> {
        Arc::new(Shard {
            id,
            common,
            inner: Mutex::new(Inner::new(Need::new(Instant::now()))),
            poke: Notify::new(),
            completed: Level::new(0),
            waiters: Arc::default(),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Says that there may be news: the log is read soon, if the shard is followed.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Says that this agent has appended to the log by the commit of this version: the log is read on to there soon.
    pub fn appended(&self, version: Version) {
        {
            let mut inner = self.lock();
            inner.own = inner.own.max(Some(version));
        }
        self.poke();
    }

    /// Has the shard followed, if it isn't, since an own entry is about to be sent: its outcome comes from the fold.
    pub fn take_up(&self) {
        if self.lock().need.use_it(Instant::now()) {
            self.poke();
        }
    }

    /// Whether the shard is followed now.
    pub fn is_followed(&self) -> bool {
        self.lock().need.followed().is_some()
    }

    /// Whether this agent is one of those that clients are sent to.
    pub fn stands(&self) -> bool {
        self.lock().need.stands()
    }

    /// Says whether this agent is one of those that clients are sent to: then the shard is followed all the time. It is so at first.
    pub fn stand(&self, stands: bool) {
        if self.lock().need.stand(stands, Instant::now()) {
            self.poke();
        }
    }

    /// Whether this agent holds the lease on the shard's checkpoints, as far as it knows.
    pub(crate) fn held(&self) -> bool {
        self.lock().need.held()
    }

    /// Says whether this agent holds the lease on the shard's checkpoints: it is followed for so long.
    pub(crate) fn hold(&self, held: bool) {
        if self.lock().need.hold(held, Instant::now()) {
            self.poke();
        }
    }

    /// Waits until the state holds everything that was committed before this call.
    ///
    /// # Errors
    /// [`ShardError`] if that isn't so within [`STALE_AFTER`], or the shard has halted.
    pub async fn fresh(&self) -> Result<(), ShardError> {
        if bugs::on(Bug::StaleIsFresh) && self.read(|_| ()).is_ok() {
            return Ok(());
        }
        let ticket = self.ticket();
        self.poke();
        self.completed_by(ticket).await
    }

    /// Asks for state as new as this call, and has the shard followed. See [`Shard::completed_by`].
    pub(super) fn ticket(&self) -> u64 {
        let mut inner = self.lock();
        if inner.need.use_it(Instant::now()) {
            self.poke();
        }
        inner.requested += 1;
        inner.requested
    }

    /// Loads partitions that aren't; returns once they are (or turned out not to exist).
    ///
    /// # Errors
    /// As [`Shard::fresh`].
    pub async fn load(&self, partitions: &[PartitionId]) -> Result<(), ShardError> {
        let ticket = {
            let mut inner = self.lock();
            inner.need.use_it(Instant::now());
            let Inner { state, used, .. } = &mut *inner;
            let loaded =
                |id: &PartitionId| state.as_ref().is_some_and(|state| state.partition(*id).is_some());
            let (there, missing): (Vec<_>, Vec<_>) = partitions.iter().copied().partition(loaded);
            used.extend(there.into_iter().map(|id| (id, Instant::now())));
            if missing.is_empty() {
                return Ok(());
            }
            inner.wanted.extend(missing);
            inner.requested += 1;
            inner.requested
        };
        self.poke();
        self.completed_by(ticket).await
    }

    /// Waits until the state is as new as when this ticket was given out.
    pub(super) async fn completed_by(&self, ticket: u64) -> Result<(), ShardError> {
        let done = tokio::time::timeout(STALE_AFTER, self.completed.wait_for(|done| done >= ticket)).await;
        if done.is_ok() {
            return Ok(());
        }
        self.read(|_| ()).and(Err(ShardError::Stale(self.id)))
    }

    /// Reads the state.
    ///
    /// # Errors
    /// If the shard has halted or is stale.
    pub fn read<R>(&self, f: impl FnOnce(&ShardState) -> R) -> Result<R, ShardError> {
        self.read_used(None, f)
    }

    fn read_used<R>(
        &self,
        used: Option<PartitionId>,
        f: impl FnOnce(&ShardState) -> R,
    ) -> Result<R, ShardError> {
        let mut inner = self.lock();
        if let Some(id) = used
            && inner.state.is_some()
        {
            let now = Instant::now();
            inner.need.use_it(now);
            if inner.state.as_ref().is_some_and(|state| state.partition(id).is_some()) {
                inner.used.insert(id, now);
            }
        }
        if let Some(reason) = &inner.halted {
            return Err(ShardError::Halted(reason.clone()));
        }
        let fresh =
            inner.confirmed.is_some_and(|at| at.elapsed() < STALE_AFTER) || bugs::on(Bug::StaleServes);
        match &inner.state {
            Some(state) if fresh => Ok(f(state)),
            _ => Err(ShardError::Stale(self.id)),
        }
    }

    /// Reads one partition's state.
    ///
    /// # Errors
    /// As [`Shard::read`], and if the partition doesn't exist or isn't loaded.
    pub fn partition<R>(
        &self,
        id: PartitionId,
        f: impl FnOnce(&PartitionState) -> R,
    ) -> Result<R, ShardError> {
        self.read_used(Some(id), |state| match state.partition(id) {
            Some(partition) => Ok(f(partition)),
            None if state.exists(id) => Err(ShardError::NotLoaded(id)),
            None => Err(ShardError::NoPartition(id)),
        })?
    }

    /// Adds this partition to what `subscription` waits for.
    pub fn subscribe(&self, subscription: &mut Subscription, partition: PartitionId) {
        subscription.add(&self.waiters, partition);
    }

    /// What a checkpoint would have to write, and the state that it would write, at one moment. `None`: not loaded, or halted.
    pub fn checkpoint_view<R>(&self, f: impl FnOnce(&ShardState, &Dirty, Position) -> R) -> Option<R> {
        let inner = self.lock();
        let state = inner.state.as_ref().filter(|_| inner.halted.is_none());
        state.map(|state| f(state, &inner.dirty, inner.frame.floor))
    }

    /// Tells that a checkpoint wrote these partitions' rows, as of `horizon`, and cleared those of these topics.
    pub fn checkpointed(&self, partitions: &[PartitionId], topics: &BTreeSet<TopicId>, horizon: Position) {
        let mut inner = self.lock();
        inner.dirty.topics.retain(|topic, _| !topics.contains(topic));
        for partition in partitions {
            if inner.dirty.partitions.get(partition).is_some_and(|changed| *changed <= horizon) {
                inner.dirty.partitions.remove(partition);
            }
        }
    }

    /// Stops serving the shard here, for as long as this process lives: its fold was found to differ from another's.
    pub fn halt(&self, reason: String) {
        tracing::error!(shard = self.id.0, %reason, "shard halted on this agent");
        let mut inner = self.lock();
        inner.halted = Some(reason);
        inner.for_good = true;
    }
}
