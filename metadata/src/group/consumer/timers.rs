//! When which member is put out. Not kept in rows: a group that is loaded begins all of them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What a member must do in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// Heartbeat.
    Session,
    /// Give up partitions and leave this epoch.
    Revoke(i32),
    /// Of the classic protocol: join again.
    Join,
    /// Of the classic protocol: ask for its assignment.
    Sync,
}

impl Timer {
    fn kind(self) -> u8 {
        match self {
            Timer::Session => 0,
            Timer::Revoke(_) => 1,
            Timer::Join => 2,
            Timer::Sync => 3,
        }
    }
}

/// At most one timer of each kind per member.
#[derive(Debug, Clone, Default)]
pub(super) struct Timers {
    members: BTreeMap<String, BTreeMap<u8, (Duration, Timer)>>,
    due: BTreeSet<(Duration, String, u8)>,
}

impl Timers {
    /// Sets the timer, in place of the one that was.
    pub(super) fn set(&mut self, member: &str, timer: Timer, at: Duration) {
        let own = self.members.entry(member.to_owned()).or_default();
        if let Some((old, _)) = own.insert(timer.kind(), (at, timer)) {
            self.due.remove(&(old, member.to_owned(), timer.kind()));
        }
        self.due.insert((at, member.to_owned(), timer.kind()));
    }

    /// Sets the timer unless it is set.
    pub(super) fn set_if_absent(&mut self, member: &str, timer: Timer, at: Duration) {
        if !self.members.get(member).is_some_and(|own| own.contains_key(&timer.kind())) {
            self.set(member, timer, at);
        }
    }

    /// The epoch of a [`Timer::Revoke`] does not matter here.
    pub(super) fn cancel(&mut self, member: &str, timer: Timer) {
        let Some(own) = self.members.get_mut(member) else { return };
        if let Some((at, _)) = own.remove(&timer.kind()) {
            self.due.remove(&(at, member.to_owned(), timer.kind()));
        }
        if own.is_empty() {
            self.members.remove(member);
        }
    }

    /// The member is gone.
    pub(super) fn forget(&mut self, member: &str) {
        for (kind, (at, _)) in self.members.remove(member).unwrap_or_default() {
            self.due.remove(&(at, member.to_owned(), kind));
        }
    }

    /// The first time that is due.
    pub(super) fn next(&self) -> Option<Duration> {
        self.due.first().map(|(at, _, _)| *at)
    }

    /// Takes one that is due.
    pub(super) fn take_due(&mut self, now: Duration) -> Option<(String, Timer)> {
        if self.next()? > now {
            return None;
        }
        let (_, member, kind) = self.due.pop_first()?;
        let own = self.members.get_mut(&member)?;
        let (_, timer) = own.remove(&kind)?;
        if own.is_empty() {
            self.members.remove(&member);
        }
        Some((member, timer))
    }
}
