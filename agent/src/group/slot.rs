//! A group's place on this agent: its machine, loaded from rows, changed by one request at a time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_log::GroupHeadRow;
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::group::Group;
use siltstone_metadata::group::classic::{Answer, Joined, Refusal, Synced, Token};
use siltstone_metadata::keys::{group_head, group_offset, group_pending};
use siltstone_metadata::lease::{self, Acquired, GroupHold};
use siltstone_store::{Commit, CommitError, Mutation, RangeLimit};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, oneshot};

use super::rows::{deletion, member_rows, transactions};
use super::{GroupError, Groups, Now};

/// How long a write is tried before the group is given up on this agent and its clients told to ask again.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// One group's place. What is in it is `None` until it is loaded, and again after a write whose outcome is unknown.
pub(super) struct Slot {
    pub(super) group: String,
    pub(super) inner: Arc<AsyncMutex<Option<Loaded>>>,
}

/// A group that this agent coordinates.
pub(super) struct Loaded {
    pub(super) hold: GroupHold,
    pub(super) machine: Group,
    /// Who waits for an answer. Dropped with the group: then they are told to find the coordinator.
    pub(super) waiting: BTreeMap<Token, Waiting>,
    /// When it was last asked for anything, since the start.
    pub(super) used: Duration,
    /// It has to go, with all its rows.
    pub(super) delete: Option<Deletion>,
}

/// Which group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deletion {
    /// In any case.
    Asked,
    /// If it has no offsets.
    IfBare,
}

pub(super) enum Waiting {
    Join(oneshot::Sender<Result<Joined, Refusal>>),
    Sync(oneshot::Sender<Result<Synced, Refusal>>),
}

impl Groups {
    pub(super) fn slot(&self, group: &str) -> Arc<Slot> {
        let mut slots = self.lock();
        if let Some(slot) = slots.get(group) {
            return slot.clone();
        }
        let slot = Arc::new(Slot { group: group.to_owned(), inner: Arc::default() });
        slots.insert(group.to_owned(), slot.clone());
        slot
    }

    /// Does something with a group, in a task of its own, so that a client that goes away leaves nothing half done: loads the group if need be (`create`:
    /// also one that isn't there), makes durable what changed, then gives the answers that became due.
    pub(super) async fn with<R: Send + 'static>(
        self: &Arc<Self>,
        config: &BrokerConfig,
        group: &str,
        create: bool,
        f: impl FnOnce(&mut Loaded, &Now) -> R + Send + 'static,
    ) -> Result<R, GroupError> {
        Groups::check_id(group)?;
        let (groups, group, now) = (self.clone(), group.to_owned(), self.now(config));
        let work = tokio::spawn(async move { groups.with_slot(&group, create, now, f).await });
        // The task is cut off only where the whole agent ends.
        work.await.unwrap_or(Err(GroupError::NotCoordinator))
    }

    async fn with_slot<R>(
        &self,
        group: &str,
        create: bool,
        mut now: Now,
        f: impl FnOnce(&mut Loaded, &Now) -> R,
    ) -> Result<R, GroupError> {
        let (slot, mut inner) = self.enter(group).await;
        let done = async {
            // With the lock held: whoever gives all groups up has it after this.
            self.may_take()?;
            if inner.is_none() {
                *inner = Some(self.load(group, create, &now).await?);
            }
            let Some(mut loaded) = inner.take() else { return Err(GroupError::NotCoordinator) };
            // It may have waited for its turn: time never goes back for a machine.
            now.since_start = self.started.elapsed();
            now.settings.classic.key_bytes = group.len();
            loaded.used = now.since_start;
            let result = f(&mut loaded, &now);
            self.settle(group, &mut loaded).await?;
            *inner = Some(loaded);
            Ok(result)
        }
        .await;
        let kept = |loaded: &Loaded| !loaded.machine.is_idle() || loaded.machine.is_written();
        if !inner.as_ref().is_some_and(kept) {
            *inner = None;
            self.leave_slot(&slot);
        }
        done
    }

    /// The group's slot, locked. Never one that has been given up meanwhile.
    pub(super) async fn enter(&self, group: &str) -> (Arc<Slot>, OwnedMutexGuard<Option<Loaded>>) {
        loop {
            let slot = self.slot(group);
            let inner = slot.inner.clone().lock_owned().await;
            if self.lock().get(group).is_some_and(|current| Arc::ptr_eq(current, &slot)) {
                return (slot, inner);
            }
        }
    }

    /// Gives a slot up; to be called with its lock held and nothing in it.
    pub(super) fn leave_slot(&self, slot: &Arc<Slot>) {
        self.lock().remove(&slot.group);
    }

    /// Makes durable what changed, gives the answers, and sets the timer.
    async fn settle(&self, group: &str, loaded: &mut Loaded) -> Result<(), GroupError> {
        if let Some(deletion) = loaded.delete.take()
            && self.remove_group(group, &mut loaded.hold, deletion).await?
        {
            loaded.machine = Group::default();
        }
        for mutations in transactions(group, loaded.machine.take_changes_apart()) {
            let written = self.write(&mut loaded.hold, mutations).await;
            if !bugs::on(Bug::GroupAnswersUnwritten) {
                written?;
            }
        }
        for answer in loaded.machine.take_answers() {
            match answer {
                Answer::Join(token, result) => {
                    if let Some(Waiting::Join(sender)) = loaded.waiting.remove(&token) {
                        drop(sender.send(result));
                    }
                }
                Answer::Sync(token, result) => {
                    if let Some(Waiting::Sync(sender)) = loaded.waiting.remove(&token) {
                        drop(sender.send(result));
                    }
                }
            }
        }
        if let Some(at) = loaded.machine.deadline() {
            self.timers.arm(group, at);
        }
        Ok(())
    }

    /// Commits what rests on the group's lease; sent again until the outcome is known or patience is over.
    /// After one that is unknown the group is taken anew, so that it can't take effect behind a later one.
    pub(super) async fn write(
        &self,
        hold: &mut GroupHold,
        mutations: Vec<Mutation>,
    ) -> Result<(), GroupError> {
        // Inside of the slot's lock: whoever comes meanwhile waits.
        let until = self.started.elapsed() + PATIENCE;
        let (mut pause, mut unknown) = (FIRST_PAUSE, false);
        loop {
            let why = match self.try_write(hold, mutations.clone(), &mut unknown).await {
                Ok(()) => return Ok(()),
                Err(GroupError::Unavailable(why)) => why,
                Err(error) => return Err(error),
            };
            if self.started.elapsed() >= until {
                tracing::warn!(%why, "a group's rows can't be written: it is given up here");
                return Err(GroupError::Unavailable(why));
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn try_write(
        &self,
        hold: &mut GroupHold,
        mutations: Vec<Mutation>,
        unknown: &mut bool,
    ) -> Result<(), GroupError> {
        if *unknown && !bugs::on(Bug::UnknownGroupWrites) {
            *hold = self.take_anew(hold).await?;
            *unknown = false;
        }
        let snapshot = self.parts.store.snapshot().await?;
        let fenced = !bugs::on(Bug::UnfencedGroups);
        if fenced && !hold.holds(snapshot.as_ref()).await? {
            return Err(GroupError::NotCoordinator);
        }
        let reads = if fenced { hold.reads() } else { Vec::new() };
        let read_version = Some(snapshot.version());
        let commit = Commit { read_version, reads, mutations, ..Commit::default() };
        let done = self.parts.store.commit(commit).await;
        *unknown = matches!(done, Err(CommitError::Unknown(_)));
        match done {
            Ok(_) => Ok(()),
            Err(CommitError::TooLarge(why)) => {
                tracing::warn!(group = hold.group(), %why, "a change of a group is more than the metadata store takes");
                Err(Refusal::GroupFull.into())
            }
            Err(error) => Err(GroupError::Unavailable(error.to_string())),
        }
    }

    /// Takes a group anew that this agent has: whatever it sent before, and does not know the outcome of, is void from here on.
    async fn take_anew(&self, hold: &GroupHold) -> Result<GroupHold, GroupError> {
        self.may_take()?;
        match lease::acquire_group(self.parts.store.as_ref(), hold.group(), self.parts.registration).await? {
            Acquired::Held(hold) => Ok(hold),
            Acquired::Other(_) | Acquired::Ended => Err(GroupError::NotCoordinator),
        }
    }

    /// After a commit of offsets whose outcome is unknown, which went past the slot.
    pub(super) async fn fence(&self, group: &str) {
        let (slot, mut inner) = self.enter(group).await;
        if let Some(loaded) = inner.as_mut() {
            match self.take_anew(&loaded.hold).await {
                Ok(hold) => loaded.hold = hold,
                // Whoever loads it next takes it anew.
                Err(_) => *inner = None,
            }
        }
        if inner.is_none() {
            self.leave_slot(&slot);
        }
    }

    /// Removes a group's rows. Whether it is gone.
    async fn remove_group(
        &self,
        group: &str,
        hold: &mut GroupHold,
        why: Deletion,
    ) -> Result<bool, GroupError> {
        if why == Deletion::Asked {
            self.write(hold, deletion(group)).await?;
            return Ok(true);
        }
        let snapshot = self.parts.store.snapshot().await?;
        let mut reads = hold.reads();
        for range in [group_offset::of(group), group_pending::of(group)] {
            let first = RangeLimit { entries: 1, ..RangeLimit::default() };
            if !snapshot.range(&range, first).await?.entries.is_empty() {
                return Ok(false);
            }
            reads.push(range);
        }
        if !hold.holds(snapshot.as_ref()).await? {
            return Err(GroupError::NotCoordinator);
        }
        let read_version = Some(snapshot.version());
        let commit = Commit { read_version, reads, mutations: deletion(group), ..Commit::default() };
        match self.parts.store.commit(commit).await {
            Ok(_) => Ok(true),
            // An offset was committed: it stays.
            Err(CommitError::Conflict | CommitError::TooOld) => Ok(false),
            Err(error) => Err(GroupError::Unavailable(error.to_string())),
        }
    }

    async fn load(&self, group: &str, create: bool, now: &Now) -> Result<Loaded, GroupError> {
        let store = self.parts.store.as_ref();
        if !create && store.snapshot().await?.get(&group_head::key(group)).await?.is_none() {
            return Err(GroupError::NotFound(group.to_owned()));
        }
        let hold = match lease::acquire_group(store, group, self.parts.registration).await? {
            Acquired::Held(hold) => hold,
            Acquired::Other(_) | Acquired::Ended => return Err(GroupError::NotCoordinator),
        };
        let snapshot = store.snapshot().await?;
        let head = snapshot.get(&group_head::key(group)).await?;
        if head.is_none() && !create {
            return Err(GroupError::NotFound(group.to_owned()));
        }
        let head = head.map(|bytes| GroupHeadRow::decode(&bytes)).transpose();
        let head = head.map_err(|error| GroupError::Corrupt(error.to_string()))?;
        let members = member_rows(snapshot.as_ref(), group).await?;
        let since_start = if bugs::on(Bug::OldTimers) { Duration::ZERO } else { self.started.elapsed() };
        let begin = Now { since_start, ..now.clone() };
        let machine = Group::load(&begin.context(), head, &members);
        let machine = machine.map_err(|error| GroupError::Corrupt(error.to_string()))?;
        metrics::counter!("siltstone_group_loads_total").increment(1);
        Ok(Loaded { hold, machine, waiting: BTreeMap::new(), used: now.since_start, delete: None })
    }
}
