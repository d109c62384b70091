//! A shard that this agent follows: what it knows, and the task that keeps it so.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::{PartitionId, Position, RegistrationId, ShardId, TopicId, shard_of};
use siltstone_store::{Snapshot, Store, Watch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::load::{self, Folded, FollowError, Frame, OwnOutcome};
use super::wait::{Subscription, Waiters, until_news};
use crate::bugs::{self, Bug};
use crate::keys::{registration, shard_tick};
use crate::level::Level;
use crate::shard::{PartitionState, ShardState};

/// A shard whose state could not be confirmed for so long is not served (S6).
pub const STALE_AFTER: Duration = Duration::from_secs(5);
/// How often a quiet shard is confirmed.
const CONFIRM_EVERY: Duration = Duration::from_secs(1);
const RETRY_FIRST: Duration = Duration::from_millis(10);
const RETRY_MOST: Duration = Duration::from_secs(1);
/// A partition that nobody used for so long is dropped; it can be loaded again.
const EVICT_AFTER: Duration = Duration::from_secs(600);

/// Learns what became of the own entries.
pub trait Outcomes: Send + Sync {
    /// An own entry was folded, or the registration ended.
    fn folded(&self, shard: ShardId, outcome: OwnOutcome);
    /// The shard was loaded anew, and own entries up to this counter are folded: of those that were not told yet the outcome is lost.
    /// Said of those that the floor has passed before anything behind it is told, then of all.
    fn reloaded(&self, shard: ShardId, passed: u64);
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
struct Inner {
    state: Option<ShardState>,
    frame: Frame,
    dirty: Dirty,
    wanted: BTreeSet<PartitionId>,
    used: BTreeMap<PartitionId, Instant>,
    requested: u64,
    confirmed: Option<Instant>,
    swept: Option<Instant>,
    halted: Option<String>,
    /// Halted until the process ends: loading anew would only hide that this agent's fold is not to be trusted.
    for_good: bool,
}

/// One shard, followed.
pub struct Shard {
    id: ShardId,
    shards: u16,
    own: RegistrationId,
    store: Arc<dyn Store>,
    outcomes: Arc<dyn Outcomes>,
    inner: Mutex<Inner>,
    poke: Notify,
    completed: Level<u64>,
    waiters: Arc<Waiters>,
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({})", self.id.0)
    }
}

impl Shard {
    /// Shard `id` of `shards`. Nothing is read before [`Shard::run`] runs.
    pub fn new(
        id: ShardId,
        shards: u16,
        own: RegistrationId,
        store: Arc<dyn Store>,
        outcomes: Arc<dyn Outcomes>,
    ) -> Arc<Self> {
        let frame = Frame { floor: Position::ZERO, voids: BTreeSet::new() };
        let inner = Inner {
            state: None,
            frame,
            dirty: Dirty::default(),
            wanted: BTreeSet::new(),
            used: BTreeMap::new(),
            requested: 0,
            confirmed: None,
            swept: None,
            halted: None,
            for_good: false,
        };
        Arc::new(Shard {
            id,
            shards,
            own,
            store,
            outcomes,
            inner: Mutex::new(inner),
            poke: Notify::new(),
            completed: Level::new(0),
            waiters: Arc::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Says that there may be news: the log is read soon.
    pub fn poke(&self) {
        self.poke.notify_one();
    }

    /// Waits until the state holds everything that was committed before this call.
    ///
    /// # Errors
    /// [`ShardError`] if that isn't so within [`STALE_AFTER`], or the shard has halted.
    pub async fn fresh(&self) -> Result<(), ShardError> {
        if bugs::on(Bug::StaleIsFresh) && self.read(|_| ()).is_ok() {
            return Ok(());
        }
        let ticket = {
            let mut inner = self.lock();
            inner.requested += 1;
            inner.requested
        };
        self.round_after(ticket).await
    }

    /// Loads partitions that aren't; returns once they are (or turned out not to exist).
    ///
    /// # Errors
    /// As [`Shard::fresh`].
    pub async fn load(&self, partitions: &[PartitionId]) -> Result<(), ShardError> {
        let ticket = {
            let mut inner = self.lock();
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
        self.round_after(ticket).await
    }

    async fn round_after(&self, ticket: u64) -> Result<(), ShardError> {
        self.poke();
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
            && inner.state.as_ref().is_some_and(|state| state.partition(id).is_some())
        {
            inner.used.insert(id, Instant::now());
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

    /// Follows the shard. Never returns; end it by dropping the future.
    pub async fn run(self: Arc<Self>) {
        let mut watch: Option<Watch> = None;
        let mut retry = RETRY_FIRST;
        loop {
            if watch.is_none() {
                watch = self.store.watch(&shard_tick::key(self.id)).await.ok();
            }
            let pause = match self.round().await {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    CONFIRM_EVERY
                }
                Err(error) => {
                    self.failed(&error);
                    retry = (retry * 2).min(RETRY_MOST);
                    retry
                }
            };
            until_news(&mut watch, &self.poke, pause).await;
        }
    }

    fn failed(&self, error: &FollowError) {
        if let FollowError::Halted { .. } = error {
            let mut inner = self.lock();
            if inner.for_good {
                return;
            }
            let reason = error.to_string();
            if inner.halted.as_deref() != Some(reason.as_str()) {
                tracing::error!(shard = self.id.0, %reason, "shard halted on this agent");
                inner.halted = Some(reason);
            }
        } else {
            tracing::debug!(shard = self.id.0, %error, "shard not read");
        }
    }

    /// One look at the log: everything committed before it began is folded when it ends.
    async fn round(&self) -> Result<(), FollowError> {
        let began = Instant::now();
        let (ticket, wanted) = {
            let inner = self.lock();
            if let (true, Some(reason)) = (inner.for_good, &inner.halted) {
                let position = inner.state.as_ref().map_or(Position::ZERO, ShardState::position);
                return Err(FollowError::Halted { shard: self.id, position, reason: reason.clone() });
            }
            (inner.requested, inner.wanted.clone())
        };
        let snapshot = self.store.snapshot().await?;
        let frame = load::frame(snapshot.as_ref(), self.id).await?;
        if self.must_reload(&frame) {
            self.reload(snapshot.as_ref(), &wanted).await?;
        } else {
            self.advance(snapshot.as_ref(), frame).await?;
            if !wanted.is_empty() {
                self.add(snapshot.as_ref(), &wanted).await?;
            }
        }
        {
            let mut inner = self.lock();
            inner.confirmed = Some(began);
            if !inner.for_good {
                inner.halted = None;
            }
            inner.wanted.retain(|id| !wanted.contains(id));
            evict_idle(&mut inner, Instant::now());
        }
        self.completed.set(ticket);
        Ok(())
    }

    fn must_reload(&self, frame: &Frame) -> bool {
        let inner = self.lock();
        let behind = inner
            .state
            .as_ref()
            .is_none_or(|state| state.position() < frame.floor && !bugs::on(Bug::FollowPastFloor));
        behind || inner.halted.is_some() || inner.frame.voids != frame.voids
    }

    /// Folds what the log has beyond the state's position.
    async fn advance(&self, snapshot: &dyn Snapshot, frame: Frame) -> Result<(), FollowError> {
        let Some(mut from) = self.lock().state.as_ref().map(ShardState::position) else { return Ok(()) };
        loop {
            let page = load::page(snapshot, self.id, from, &frame).await?;
            let mut folded = Folded::default();
            let result = {
                let mut inner = self.lock();
                let Inner { state: Some(state), frame: known, dirty, halted, .. } = &mut *inner else {
                    return Ok(());
                };
                let result = load::fold(state, &page.entries, self.own, &mut folded);
                absorb(dirty, &folded);
                if let Err(error) = &result {
                    // Before the lock is let go: nobody may see a state that is changed by half.
                    *halted = Some(error.to_string());
                }
                from = page.last;
                if !page.more && *known != frame {
                    state.release(frame.floor);
                    dirty.partitions.retain(|_, changed| *changed > frame.floor);
                    dirty.topics.retain(|_, deleted| *deleted > frame.floor);
                    *known = frame.clone();
                }
                result
            };
            self.tell(folded);
            result?;
            if !page.more {
                return Ok(());
            }
        }
    }

    /// Adds partitions, loaded as of the same snapshot that the state has just reached.
    async fn add(&self, snapshot: &dyn Snapshot, wanted: &BTreeSet<PartitionId>) -> Result<(), FollowError> {
        let (loaded, _, _) = load::load(snapshot, self.id, self.shards, wanted, self.own).await?;
        let mut inner = self.lock();
        let Some(state) = inner.state.as_mut() else { return Ok(()) };
        for (id, partition) in loaded.partitions() {
            if state.partition(*id).is_none() {
                state.insert(*id, partition.clone());
            }
        }
        Ok(())
    }

    /// Begins anew from rows and log, with all that was loaded.
    async fn reload(
        &self,
        snapshot: &dyn Snapshot,
        wanted: &BTreeSet<PartitionId>,
    ) -> Result<(), FollowError> {
        let mut partitions = wanted.clone();
        if let Some(state) = &self.lock().state {
            partitions.extend(state.partitions().keys());
        }
        let (state, frame, folded) =
            load::load(snapshot, self.id, self.shards, &partitions, self.own).await?;
        let ended = folded.outcomes.iter().any(|outcome| matches!(outcome, OwnOutcome::Ended));
        let over = !ended && snapshot.get(&registration::key(self.own)).await?.is_none();
        // Over, and no entry says so: the floor has passed that one too, and with it whatever this agent still waits for.
        let passed = if over { u64::MAX } else { folded.passed };
        let last = state.head().counters.get(&self.own).copied().unwrap_or(0);
        {
            let mut inner = self.lock();
            inner.state = Some(state);
            inner.frame = frame;
            inner.dirty = Dirty::default();
            absorb(&mut inner.dirty, &folded);
        }
        // First what is lost: a repeat behind the floor, or the registration's end, would say that it is not in the log.
        self.outcomes.reloaded(self.id, passed);
        self.tell(folded);
        if last > passed {
            self.outcomes.reloaded(self.id, last);
        }
        if over {
            self.outcomes.folded(self.id, OwnOutcome::Ended);
        }
        self.waiters.wake_all();
        Ok(())
    }

    fn tell(&self, folded: Folded) {
        for outcome in folded.outcomes {
            self.outcomes.folded(self.id, outcome);
        }
        self.waiters.wake(&folded.touched);
    }
}

fn absorb(dirty: &mut Dirty, folded: &Folded) {
    dirty.topics.extend(&folded.deleted);
    dirty.partitions.retain(|partition, _| !folded.deleted.contains_key(&partition.topic));
    dirty.partitions.extend(&folded.dirty);
}

/// Drops partitions that nobody used for long and that have nothing to checkpoint.
fn evict_idle(inner: &mut Inner, now: Instant) {
    let Inner { state: Some(state), used, dirty, swept, .. } = inner else { return };
    if swept.is_some_and(|at| now.duration_since(at) < EVICT_AFTER / 10) {
        return;
    }
    *swept = Some(now);
    // Loaded and never read, for a checkpoint for instance: idle from now on.
    for id in state.partitions().keys() {
        used.entry(*id).or_insert(now);
    }
    used.retain(|id, at| {
        let keep = now.duration_since(*at) < EVICT_AFTER || dirty.partitions.contains_key(id);
        if !keep {
            state.evict(*id);
        }
        keep
    });
}

/// All shards of the cluster that this agent follows.
#[derive(Debug, Clone)]
pub struct Followers {
    shards: Arc<Vec<Arc<Shard>>>,
}

impl Followers {
    /// All shards, in order.
    pub fn new(shards: Vec<Arc<Shard>>) -> Self {
        Followers { shards: Arc::new(shards) }
    }

    /// All shards.
    pub fn shards(&self) -> &[Arc<Shard>] {
        &self.shards
    }

    /// How many there are.
    pub fn count(&self) -> u16 {
        self.shards.len() as u16
    }

    /// The shard that a partition lives in.
    pub fn of(&self, partition: PartitionId) -> &Arc<Shard> {
        &self.shards[usize::from(shard_of(partition, self.count()).0)]
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
        let loads = by_shard.iter().map(|(shard, list)| self.shards[usize::from(shard.0)].load(list));
        futures::future::try_join_all(loads).await.map(drop)
    }

    /// Waits until the shards of these partitions are as new as this call.
    ///
    /// # Errors
    /// The first shard's that failed.
    pub async fn fresh(&self, partitions: impl IntoIterator<Item = PartitionId>) -> Result<(), ShardError> {
        let shards: BTreeSet<ShardId> =
            partitions.into_iter().map(|partition| self.of(partition).id()).collect();
        let waits = shards.iter().map(|shard| self.shards[usize::from(shard.0)].fresh());
        futures::future::try_join_all(waits).await.map(drop)
    }
}
