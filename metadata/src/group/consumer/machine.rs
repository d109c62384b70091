//! The state of a group, the door through which it changes, and what the two kinds of members have in common: epochs, targets, one's next step.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use siltstone_log::{ConsumerHeadRow, ConsumerMemberRow, ConsumerMemberState, Partitions};

use super::assign::{Assignor, Group, Subscriber};
use super::owners::Owners;
use super::reconcile::{Facts, step};
use super::subscriptions::Subscriptions;
use super::timers::{Timer, Timers};
use super::{ClassicState, Context, Settings, TwoOwners};

/// While a group changes its members heartbeat so many times as often.
const SOONER: u32 = 5;

/// One change of a group's state, which is also one row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The head is this.
    Head(ConsumerHeadRow),
    /// The member of this id is this.
    Member(String, Box<ConsumerMemberRow>),
    /// There is no member of this id any more.
    Left(String),
}

/// A group of the consumer protocol. `Default` is one without rows.
#[derive(Debug, Clone, Default)]
pub struct ConsumerGroup {
    pub(super) head: ConsumerHeadRow,
    pub(super) members: BTreeMap<String, ConsumerMemberRow>,
    /// Members by instance id.
    pub(super) statics: BTreeMap<String, String>,
    pub(super) owners: Owners,
    pub(super) subscriptions: Subscriptions,
    pub(super) timers: Timers,
    pub(super) downgraded: Option<ClassicState>,
    /// When the epoch was last raised here. Not kept in rows: it only makes members ask sooner.
    raised: Option<Duration>,
    dirty_head: bool,
    dirty: BTreeSet<String>,
    /// Of members whose rows have changed, those of whom only the target has.
    retargeted: BTreeSet<String>,
}

impl ConsumerGroup {
    /// The one door: loading puts a group's rows through it, in any order.
    ///
    /// # Errors
    /// The rows contradict each other. The group must not be used.
    pub fn apply(&mut self, change: Change) -> Result<(), TwoOwners> {
        match change {
            Change::Head(head) => self.head = head,
            Change::Member(id, row) => self.put_member(id, *row)?,
            Change::Left(id) => self.drop_member(&id),
        }
        Ok(())
    }

    fn put_member(&mut self, id: String, row: ConsumerMemberRow) -> Result<(), TwoOwners> {
        let old = self.members.get(&id);
        self.owners.replace(&id, old, &row)?;
        let same = |old: &ConsumerMemberRow| old.topics == row.topics && old.regex == row.regex;
        if !old.is_some_and(same) {
            self.subscriptions.add(&row);
            if let Some(old) = old {
                self.subscriptions.remove(old);
            }
        }
        let instance = old.and_then(|old| old.instance.clone());
        if instance != row.instance {
            self.forget_instance(instance.as_deref(), &id);
        }
        if let Some(instance) = &row.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.members.insert(id, row);
        Ok(())
    }

    fn drop_member(&mut self, id: &str) {
        let Some(row) = self.members.remove(id) else { return };
        self.owners.release(id, &row);
        self.subscriptions.remove(&row);
        self.forget_instance(row.instance.as_deref(), id);
    }

    fn forget_instance(&mut self, instance: Option<&str>, member: &str) {
        let Some(instance) = instance else { return };
        if self.statics.get(instance).is_some_and(|id| id == member) {
            self.statics.remove(instance);
        }
    }

    /// Changes the state and remembers that the row is to be written.
    pub(super) fn change(&mut self, change: Change) {
        match &change {
            Change::Head(_) => self.dirty_head = true,
            Change::Member(id, _) | Change::Left(id) => {
                self.dirty.insert(id.clone());
                self.retargeted.remove(id);
            }
        }
        let applied = self.apply(change);
        assert!(applied.is_ok(), "a partition has one owner at a time: {applied:?}");
    }

    pub(super) fn change_member(&mut self, id: &str, row: ConsumerMemberRow) {
        self.change(Change::Member(id.to_owned(), Box::new(row)));
    }

    /// What has changed since the last call: rows to write before any answer is given.
    pub fn take_changes(&mut self) -> Vec<Change> {
        self.retargeted.clear();
        let head = std::mem::take(&mut self.dirty_head).then_some(Change::Head(self.head));
        let members = std::mem::take(&mut self.dirty).into_iter().map(|id| match self.members.get(&id) {
            Some(row) => Change::Member(id, Box::new(row.clone())),
            None => Change::Left(id),
        });
        head.into_iter().chain(members).collect()
    }

    /// Members of whose rows nothing has changed but the target, since the last [`take_changes`](Self::take_changes).
    pub fn retargeted(&self) -> &BTreeSet<String> {
        &self.retargeted
    }

    /// The head as long as not all targets are written: whoever loads the group then decides anew, and what targets say meanwhile counts for nothing.
    pub fn undecided(&self) -> ConsumerHeadRow {
        ConsumerHeadRow { target_epoch: self.head.epoch.saturating_sub(1), ..self.head }
    }

    /// The classic group that this one has become, if it has: its rows and machine take this one's place. Only then is it empty.
    pub fn take_downgraded(&mut self) -> Option<ClassicState> {
        self.downgraded.take()
    }

    /// All of its rows, for a store that has none of them.
    pub fn rows(&self) -> Vec<Change> {
        let members = self.members.iter().map(|(id, row)| Change::Member(id.clone(), Box::new(row.clone())));
        std::iter::once(Change::Head(self.head)).chain(members).collect()
    }

    /// Whether it has no members: then it may be deleted, or replaced by a group of the other protocol.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Whether the member is in the group.
    pub fn has_member(&self, id: &str) -> bool {
        self.members.contains_key(id)
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        self.timers.next()
    }

    /// Begins all members' timers, after a group was loaded.
    pub fn start_timers(&mut self, cx: &Context<'_>) {
        for (id, row) in &self.members {
            self.timers.set(id, Timer::Session, cx.now + session(row, cx.settings));
            if row.state == ConsumerMemberState::Unrevoked && row.classic.is_none() {
                self.timers.set(id, Timer::Revoke(row.epoch), cx.now + rebalance(row));
            }
        }
    }

    pub(super) fn keep_alive(&mut self, cx: &Context<'_>, id: &str) {
        if let Some(row) = self.members.get(id) {
            self.timers.set(id, Timer::Session, cx.now + session(row, cx.settings));
        }
    }

    /// Looks at the subscribed topics anew, and raises the epoch if they or what they are have changed, or if `bump`.
    pub(super) fn refresh(&mut self, cx: &Context<'_>, bump: bool) {
        let bump = bump || self.head.epoch == 0;
        let moved = !self.subscriptions.is_current(cx.catalog);
        self.subscriptions.resolve(cx.catalog);
        if !bump && !moved {
            return;
        }
        let topics_digest = self.subscriptions.digest(cx.catalog);
        if bump || topics_digest != self.head.topics_digest {
            let epoch = self.head.epoch.saturating_add(1);
            self.raised = Some(cx.now);
            self.change(Change::Head(ConsumerHeadRow { epoch, topics_digest, ..self.head }));
        }
    }

    /// When the member should heartbeat next. Kafka 4.2 always says `group.consumer.heartbeat.interval.ms`, so that a group to which members come one
    /// after the other takes an interval for each to hear of the next, and another for the last to get what the first gave up. Here members ask
    /// sooner while others come and go, and while they wait for what somebody else gives up.
    pub(super) fn interval(&self, cx: &Context<'_>, member: &str) -> Duration {
        let settled = cx.settings.heartbeat_interval;
        let waits = |row: &ConsumerMemberRow| row.state == ConsumerMemberState::Unreleased;
        let changes = self.raised.is_some_and(|raised| cx.now < raised + settled);
        if changes || self.members.get(member).is_some_and(waits) { settled / SOONER } else { settled }
    }

    /// Decides anew who shall own what, if the epoch has risen since.
    pub(super) fn retarget(&mut self, cx: &Context<'_>) {
        if self.head.epoch == self.head.target_epoch {
            return;
        }
        let assignment = self.preferred(cx.settings).assign(&Group {
            members: self.members.iter().map(|(id, row)| (id.as_str(), self.subscriber(row))).collect(),
            topics: self.subscriptions.union(cx.catalog),
        });
        for (id, target) in assignment {
            let Some(row) = self.members.get(&id).filter(|row| row.target != target) else { continue };
            let row = ConsumerMemberRow { target, ..row.clone() };
            let only_target = !self.dirty.contains(&id) || self.retargeted.contains(&id);
            self.change_member(&id, row);
            if only_target {
                self.retargeted.insert(id);
            }
        }
        self.change(Change::Head(ConsumerHeadRow { target_epoch: self.head.epoch, ..self.head }));
    }

    fn subscriber<'a>(&'a self, row: &'a ConsumerMemberRow) -> Subscriber<'a> {
        Subscriber {
            instance: row.instance.as_deref(),
            topics: self.subscriptions.topics(row),
            current: &row.target,
        }
    }

    /// The assignor that most members ask for; with as many for several, the one that the settings name first.
    pub(super) fn preferred(&self, settings: &Settings) -> Assignor {
        let mut votes: BTreeMap<Assignor, usize> = BTreeMap::new();
        let asked = self.members.values().filter_map(|row| Assignor::by_name(row.assignor.as_deref()?));
        asked.for_each(|assignor| *votes.entry(assignor).or_default() += 1);
        let votes = |assignor: &Assignor| votes.get(assignor).copied().unwrap_or(0);
        // `max_by_key` takes the last of equals.
        settings.assignors.iter().rev().copied().max_by_key(votes).unwrap_or(Assignor::Uniform)
    }

    /// Takes a member's next step towards its target.
    pub(super) fn reconcile(
        &mut self,
        cx: &Context<'_>,
        id: &str,
        owned: Option<&Partitions>,
        subscription_changed: bool,
    ) {
        let Some(row) = self.members.get(id) else { return };
        let facts = Facts {
            target_epoch: self.head.target_epoch,
            subscribed: self.subscriptions.topics(row),
            subscription_changed,
            owned,
            free: &|topic, partition| self.owners.free_for(id, topic, partition),
        };
        let Some(next) = step(row, &facts) else { return };
        // Members of the classic protocol have other timers: to join and to sync.
        if next.classic.is_none() && next.state == ConsumerMemberState::Unrevoked {
            self.timers.set(id, Timer::Revoke(next.epoch), cx.now + rebalance(&next));
        } else {
            self.timers.cancel(id, Timer::Revoke(0));
        }
        self.change_member(id, next);
    }
}

pub(super) fn session(row: &ConsumerMemberRow, settings: &Settings) -> Duration {
    row.classic.as_ref().map_or(settings.session_timeout, |classic| millis(classic.session_timeout_ms))
}

pub(super) fn rebalance(row: &ConsumerMemberRow) -> Duration {
    millis(row.rebalance_timeout_ms)
}

fn millis(value: i32) -> Duration {
    Duration::from_millis(u64::try_from(value).unwrap_or(0))
}
