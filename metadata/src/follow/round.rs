//! The task that keeps a followed shard up to date, round by round.
//!
//! A *round* takes a snapshot, reads what is new behind the state, folds it, and tells. Where nothing is new a shard needs none: then it is confirmed
//! together with all others ([`super::look`]).

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{PartitionId, Position};
use siltstone_store::{Page, Snapshot, Stamp, Version, Watch};
use tokio::time::Instant;

use super::load::{self, Folded, FollowError, Frame, LogPage, OwnOutcome};
use super::shard::{Dirty, Inner, Shard};
use super::wait::until_news;
use super::{RETRY_FIRST, RETRY_MOST, telemetry};
use crate::bugs::{self, Bug};
use crate::keys::{registration, shard_tick};
use crate::shard::ShardState;

/// A partition that nobody used for so long is dropped; it can be loaded again.
const EVICT_AFTER: Duration = Duration::from_secs(600);
/// Entries that are folded at a time: readers wait meanwhile.
const AT_ONCE: usize = 64;

impl Shard {
    /// Follows the shard whenever it is needed. Never returns; end it by dropping the future.
    pub async fn run(self: Arc<Self>) {
        loop {
            while !self.is_followed() {
                self.poke.notified().await;
            }
            telemetry::changed("begun");
            // Boxed: a shard that isn't followed costs its handle and little else.
            Box::pin(self.follow()).await;
            telemetry::changed("let_go");
        }
    }

    /// Follows until nobody needs the shard any more.
    async fn follow(&self) {
        let mut watch: Option<Watch> = None;
        let mut retry = RETRY_FIRST;
        loop {
            let news = watch.is_none();
            if news {
                watch = self.common.watch(&shard_tick::key(self.id())).await;
            }
            let heard = if news && watch.is_some() { self.common.store.heard() } else { None };
            let result = match self.known(news, heard) {
                Some(version) => self.round_to(version).await,
                None => self.round().await,
            };
            telemetry::round(result.is_ok());
            let pause = match result {
                Ok(()) => {
                    retry = RETRY_FIRST;
                    None
                }
                Err(error) => {
                    self.failed(&error);
                    retry = (retry * 2).min(RETRY_MOST);
                    Some(retry)
                }
            };
            if !self.until_due(&mut watch, pause).await {
                return;
            }
        }
    }

    /// Waits until a round is due: there may be news, the last one failed and the pause is over, or nobody has confirmed the shard for too long.
    /// `false`: nobody needs it any more, and it is let go.
    async fn until_due(&self, watch: &mut Option<Watch>, retry: Option<Duration>) -> bool {
        loop {
            let pause = retry.unwrap_or_else(|| self.patience());
            let news = until_news(watch, &self.poke, pause).await;
            if self.let_go(Instant::now()) {
                return false;
            }
            if news || retry.is_some() || self.patience().is_zero() {
                return true;
            }
        }
    }

    /// How long it may still take until somebody confirms the shard.
    fn patience(&self) -> Duration {
        let confirmed = self.lock().confirmed;
        confirmed.map_or(Duration::ZERO, |at| self.common.patience.saturating_sub(at.elapsed()))
    }

    /// Drops all that is known, if nobody needs it: nobody asked for long, nobody waits, no outcome is awaited. Whether it did.
    fn let_go(&self, now: Instant) -> bool {
        let mut inner = self.lock();
        let needed = !inner.need.is_over(now, self.common.linger)
            || inner.for_good
            || inner.requested > self.completed.get()
            || !self.waiters.is_empty()
            || self.common.outcomes.awaits(self.id());
        if needed {
            return false;
        }
        inner.need.end();
        inner.state = None;
        inner.frame = Frame { floor: Position::ZERO, voids: BTreeSet::new() };
        inner.dirty = Dirty::default();
        inner.used.clear();
        (inner.confirmed, inner.complete, inner.own, inner.tick) = (None, None, None, None);
        (inner.swept, inner.halted) = (None, None);
        true
    }

    fn failed(&self, error: &FollowError) {
        if let FollowError::Halted { .. } = error {
            let mut inner = self.lock();
            if inner.for_good {
                return;
            }
            let reason = error.to_string();
            if inner.halted.as_deref() != Some(reason.as_str()) {
                tracing::error!(shard = self.id().0, %reason, "shard halted on this agent");
                inner.halted = Some(reason);
            }
        } else {
            tracing::debug!(shard = self.id().0, %error, "shard not read");
        }
    }

    /// The version to read on to, if all that asks for a round is an own commit, or news up to a version that was heard since the watch is
    /// there: then there is no need to ask for a fresh one.
    fn known(&self, news: bool, heard: Option<Version>) -> Option<Version> {
        let mut inner = self.lock();
        let asked = inner.requested > self.completed.get() || !inner.wanted.is_empty();
        let usable = inner.state.is_some() && inner.halted.is_none();
        let own = inner.own.take();
        let version = if news { heard.map(|heard| own.map_or(heard, |own| own.max(heard))) } else { own };
        version.filter(|_| !asked && usable)
    }

    /// Reads the log on to this version. Confirms nothing: others may have appended since.
    async fn round_to(&self, version: Version) -> Result<(), FollowError> {
        if self.lock().is_beyond(version) {
            return Ok(());
        }
        let _permit = self.common.rounds.acquire().await.ok();
        let Ok(snapshot) = self.common.store.snapshot_at(version).await else {
            // Too old already, or lost: the next round asks for a fresh one.
            self.poke();
            return Ok(());
        };
        self.read_to(snapshot.as_ref(), &BTreeSet::new()).await
    }

    /// One look at the log: everything committed before it began is folded when it ends.
    async fn round(&self) -> Result<(), FollowError> {
        // Never closed. Who waits here waits for others that read: nothing is told as new that isn't.
        let _permit = self.common.rounds.acquire().await.ok();
        let began = Instant::now();
        let (ticket, wanted) = {
            let inner = self.lock();
            if let (true, Some(reason)) = (inner.for_good, &inner.halted) {
                let position = inner.state.as_ref().map_or(Position::ZERO, ShardState::position);
                return Err(FollowError::Halted { shard: self.id(), position, reason: reason.clone() });
            }
            (inner.requested, inner.wanted.clone())
        };
        let snapshot = self.common.store.snapshot().await?;
        self.read_to(snapshot.as_ref(), &wanted).await?;
        {
            let mut inner = self.lock();
            inner.confirmed = inner.confirmed.max(Some(began));
            if !inner.for_good {
                inner.halted = None;
            }
            inner.wanted.retain(|id| !wanted.contains(id));
            evict_idle(&mut inner, Instant::now());
        }
        self.completed.raise(ticket);
        Ok(())
    }

    /// Has the state hold everything up to the snapshot's version, and these partitions.
    async fn read_to(
        &self,
        snapshot: &dyn Snapshot,
        wanted: &BTreeSet<PartitionId>,
    ) -> Result<(), FollowError> {
        let (frame, news) = self.read_on(snapshot).await?;
        match news {
            Some((from, first)) if !self.must_reload(&frame) => {
                self.advance(snapshot, frame, from, first).await?;
                if !wanted.is_empty() {
                    self.add(snapshot, wanted).await?;
                }
            }
            _ => self.reload(snapshot, wanted).await?,
        }
        let mut inner = self.lock();
        inner.complete = inner.complete.max(Some(snapshot.version()));
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

    /// The frame, and at the same time what the log has behind the state's position, if there is a state: whoever wrote it waits for its outcome.
    async fn read_on(
        &self,
        snapshot: &dyn Snapshot,
    ) -> Result<(Frame, Option<(Position, Page)>), FollowError> {
        let Some(from) = self.lock().state.as_ref().map(ShardState::position) else {
            return Ok((load::frame(snapshot, self.id()).await?, None));
        };
        let first = async { Ok(load::behind(snapshot, self.id(), from).await?) };
        let (frame, first) = futures::try_join!(load::frame(snapshot, self.id()), first)?;
        Ok((frame, Some((from, first))))
    }

    /// Folds what the log has beyond the state's position, `from`; the first page of it has been read.
    async fn advance(
        &self,
        snapshot: &dyn Snapshot,
        frame: Frame,
        mut from: Position,
        mut found: Page,
    ) -> Result<(), FollowError> {
        loop {
            let page = load::page(&found, self.id(), from, &frame)?;
            from = page.last;
            self.fold(&page).await?;
            if !page.more {
                self.reframe(frame);
                return Ok(());
            }
            found = load::behind(snapshot, self.id(), from).await?;
        }
    }

    /// Folds a page, some entries at a time: every prefix of the log is a state that may be read.
    async fn fold(&self, page: &LogPage) -> Result<(), FollowError> {
        let mut some = page.entries.chunks(AT_ONCE).peekable();
        while let Some(entries) = some.next() {
            let mut folded = Folded::default();
            let result = {
                let mut inner = self.lock();
                let Inner { state: Some(state), dirty, halted, .. } = &mut *inner else { return Ok(()) };
                let result = load::fold(state, entries, self.common.own, &mut folded);
                absorb(dirty, &folded);
                if let Err(error) = &result {
                    // Before the lock is let go: nobody may see a state that is changed by half.
                    *halted = Some(error.to_string());
                }
                result
            };
            self.tell(folded);
            result?;
            if some.peek().is_some() {
                tokio::task::yield_now().await;
            }
        }
        Ok(())
    }

    /// Takes in what a page was read with, once all pages are folded.
    fn reframe(&self, frame: Frame) {
        let mut inner = self.lock();
        let Inner { state: Some(state), frame: known, dirty, .. } = &mut *inner else { return };
        if *known != frame {
            state.release(frame.floor);
            dirty.partitions.retain(|_, changed| *changed > frame.floor);
            dirty.topics.retain(|_, deleted| *deleted > frame.floor);
            *known = frame;
        }
    }

    /// Adds partitions, loaded as of the same snapshot that the state has just reached.
    async fn add(&self, snapshot: &dyn Snapshot, wanted: &BTreeSet<PartitionId>) -> Result<(), FollowError> {
        let (shards, own) = (self.common.shards, self.common.own);
        let (loaded, _, _) = load::load(snapshot, self.id(), shards, wanted, own).await?;
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
        let (shards, own) = (self.common.shards, self.common.own);
        let (state, frame, folded) = load::load(snapshot, self.id(), shards, &partitions, own).await?;
        let ended = folded.outcomes.iter().any(|outcome| matches!(outcome, OwnOutcome::Ended));
        let over = !ended && snapshot.get(&registration::key(own.registration)).await?.is_none();
        // Over, and no entry says so: the floor has passed that one too, and with it whatever this agent still waits for.
        let passed = if over { u64::MAX } else { folded.passed };
        let last = state.head().counters.get(&own.registration).copied().unwrap_or(0);
        {
            let mut inner = self.lock();
            inner.state = Some(state);
            inner.frame = frame;
            inner.dirty = Dirty::default();
            absorb(&mut inner.dirty, &folded);
        }
        let outcomes = &self.common.outcomes;
        // First what is lost: a repeat behind the floor, or the registration's end, would say that it is not in the log.
        outcomes.reloaded(self.id(), passed);
        self.tell(folded);
        if last > passed {
            outcomes.reloaded(self.id(), last);
        }
        if over {
            outcomes.folded(self.id(), OwnOutcome::Ended);
        }
        self.waiters.wake_all();
        Ok(())
    }

    fn tell(&self, folded: Folded) {
        for outcome in folded.outcomes {
            self.common.outcomes.folded(self.id(), outcome);
        }
        self.waiters.wake(&folded.touched);
    }
}

impl Inner {
    /// Whether reading at this version could show nothing new, or even less: a round that failed later may have folded some of what is behind it.
    fn is_beyond(&self, version: Version) -> bool {
        let behind = Position::new(Stamp::new(version, u16::MAX).0, u16::MAX);
        self.complete >= Some(version) || self.state.as_ref().is_some_and(|state| state.position() > behind)
    }
}

fn absorb(dirty: &mut Dirty, folded: &Folded) {
    dirty.topics.extend(&folded.deleted);
    dirty.partitions.retain(|partition, _| !folded.deleted.contains_key(&partition.topic));
    dirty.partitions.extend(&folded.dirty);
}

/// Drops partitions that nobody used for long and that have nothing to checkpoint.
pub(super) fn evict_idle(inner: &mut Inner, now: Instant) {
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
