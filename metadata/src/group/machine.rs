//! A group of either protocol, and its passage from one to the other (KIP-848, online migration). What a driver holds. Pure.
//!
//! A group of the classic protocol becomes one of the consumer protocol when a member of that joins; it goes back when the last such member has gone and
//! others stay. An empty group becomes what the next member to join speaks. Requests of the classic protocol are served by either; heartbeats of the consumer
//! protocol only by a group of it.
//!
//! [`Group::take_changes`] names rows of either kind, so that a conversion replaces all rows of a group in one transaction. Answers
//! may be given once they are durable; if they can't be written the group must be dropped and loaded again.

mod requests;
mod view;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{ClassicMemberRow, ConsumerMemberRow, FormatError, GroupHeadRow};

use super::classic::{self, Answer, ClassicGroup};
use super::consumer::{self, ConsumerGroup, TwoOwners};
use crate::catalog::CatalogState;

/// What the cluster's configs say of groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Of the classic protocol.
    pub classic: classic::Settings,
    /// Of the consumer protocol.
    pub consumer: consumer::Settings,
}

/// What every request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Since the driver's start, on a clock that never goes back.
    pub now: Duration,
    /// Milliseconds since the Unix epoch, for the record.
    pub wall: i64,
    /// The configs.
    pub settings: &'a Settings,
    /// The topics.
    pub catalog: &'a CatalogState,
}

impl<'a> Context<'a> {
    fn classic(&self) -> classic::Context<'a> {
        classic::Context { now: self.now, wall: self.wall, settings: &self.settings.classic }
    }

    fn consumer(&self) -> consumer::Context<'a> {
        consumer::Context { now: self.now, settings: &self.settings.consumer, catalog: self.catalog }
    }
}

/// One row that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The head is this.
    Head(GroupHeadRow),
    /// The member of this id is this: the bytes of its row, which may be more than one value holds.
    Member(String, Bytes),
    /// There is no member of this id any more.
    Left(String),
}

/// Rows that changed, as they may be written in several transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Apart {
    /// To be written with the first of `targets`, if they are not written with the rest. It says that targets have yet to be decided on.
    pub undecided: Option<Change>,
    /// In these only the target is new. They may be written one by one before the rest, and left at any point.
    pub targets: Vec<Change>,
    /// To be written at once, last.
    pub rest: Vec<Change>,
}

/// The rows of a group can't be read.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A row is not in its format.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The rows contradict each other.
    #[error(transparent)]
    TwoOwners(#[from] TwoOwners),
}

/// Which protocol a group speaks.
#[derive(Debug, Clone)]
pub enum Kind {
    /// JoinGroup and SyncGroup; or no members at all.
    Classic(ClassicGroup),
    /// ConsumerGroupHeartbeat.
    Consumer(ConsumerGroup),
}

/// A group of either protocol. `Default` is one that doesn't exist yet.
#[derive(Debug, Clone)]
pub struct Group {
    kind: Kind,
    /// Members that have rows.
    rows: BTreeSet<String>,
    /// It has a head.
    exists: bool,
    /// Rows of the other protocol may be there.
    converted: bool,
    answers: Vec<Answer>,
}

impl Default for Group {
    fn default() -> Self {
        let kind = Kind::Classic(ClassicGroup::default());
        Group { kind, rows: BTreeSet::new(), exists: false, converted: false, answers: Vec::new() }
    }
}

impl Group {
    /// A group as its rows say, and all members' timers begun anew. `head` is `None` if there is no such group.
    ///
    /// # Errors
    /// The rows are corrupt.
    pub fn load(
        cx: &Context<'_>,
        head: Option<GroupHeadRow>,
        members: &BTreeMap<String, Bytes>,
    ) -> Result<Self, LoadError> {
        let kind = match head {
            None => return Ok(Group::default()),
            Some(GroupHeadRow::Classic(head)) => {
                let decode = |(id, row): (&String, &Bytes)| Ok((id.clone(), ClassicMemberRow::decode(row)?));
                let members = members.iter().map(decode).collect::<Result<_, FormatError>>()?;
                let mut group = ClassicGroup::load(head, members);
                group.start_timers(&cx.classic());
                Kind::Classic(group)
            }
            Some(GroupHeadRow::Consumer(head)) => {
                let mut group = ConsumerGroup::default();
                group.apply(consumer::Change::Head(head))?;
                for (id, row) in members {
                    let row = Box::new(ConsumerMemberRow::decode(row)?);
                    group.apply(consumer::Change::Member(id.clone(), row))?;
                }
                group.start_timers(&cx.consumer());
                Kind::Consumer(group)
            }
        };
        Ok(Group { kind, rows: members.keys().cloned().collect(), exists: true, ..Group::default() })
    }

    /// Which protocol it speaks, with what that protocol has to show.
    pub fn kind(&self) -> &Kind {
        &self.kind
    }

    /// Whether nobody is in it or about to join.
    pub fn is_idle(&self) -> bool {
        match &self.kind {
            Kind::Classic(group) => group.is_idle(),
            Kind::Consumer(group) => group.is_empty(),
        }
    }

    /// Makes it exist, for the offsets of someone who joins no group.
    pub fn exist(&mut self, cx: &Context<'_>) {
        if let Kind::Classic(group) = &mut self.kind {
            group.exist(&cx.classic());
        }
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        match &self.kind {
            Kind::Classic(group) => group.deadline(),
            Kind::Consumer(group) => group.deadline(),
        }
    }

    /// Puts out whoever was silent or slow, and ends what has taken its time.
    pub fn expire(&mut self, cx: &Context<'_>) {
        match &mut self.kind {
            Kind::Classic(group) => group.expire(&cx.classic()),
            Kind::Consumer(group) => drop(group.expire(&cx.consumer())),
        }
        self.go_back(cx);
    }

    /// Rows that changed, to be written in one transaction.
    pub fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = match &mut self.kind {
            Kind::Classic(group) => group.take_changes().into_iter().map(Change::from).collect::<Vec<_>>(),
            Kind::Consumer(group) => group.take_changes().into_iter().map(Change::from).collect(),
        };
        if std::mem::take(&mut self.converted) {
            let written = |id: &String| {
                changes.iter().any(|change| matches!(change, Change::Member(new, _) if new == id))
            };
            let stale: Vec<String> = self.rows.iter().filter(|id| !written(id)).cloned().collect();
            changes.retain(|change| !matches!(change, Change::Left(_)));
            changes.extend(stale.into_iter().map(Change::Left));
        }
        for change in &changes {
            match change {
                Change::Head(_) => self.exists = true,
                Change::Member(id, _) => drop(self.rows.insert(id.clone())),
                Change::Left(id) => drop(self.rows.remove(id)),
            }
        }
        changes
    }

    /// As [`take_changes`](Self::take_changes), for the case that all is more than one transaction takes.
    pub fn take_changes_apart(&mut self) -> Apart {
        let (undecided, early) = match &self.kind {
            Kind::Consumer(group) if !self.converted => {
                (Some(Change::Head(GroupHeadRow::Consumer(group.undecided()))), group.retargeted().clone())
            }
            _ => (None, BTreeSet::new()),
        };
        let is_early = |change: &Change| matches!(change, Change::Member(id, _) if early.contains(id));
        let (targets, rest) = self.take_changes().into_iter().partition(is_early);
        Apart { undecided, targets, rest }
    }

    /// Answers to joins and syncs, also to those that had to wait.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        let mut answers = std::mem::take(&mut self.answers);
        if let Kind::Classic(group) = &mut self.kind {
            answers.extend(group.take_answers());
        }
        answers
    }

    fn become_kind(&mut self, kind: Kind) {
        if let Kind::Classic(group) = &mut self.kind {
            group.dissolve();
            self.answers.extend(group.take_answers());
        }
        self.kind = kind;
        self.converted = true;
    }

    /// Only members of the classic protocol are left.
    fn go_back(&mut self, cx: &Context<'_>) {
        let Kind::Consumer(group) = &mut self.kind else { return };
        if let Some(state) = group.take_downgraded() {
            self.become_kind(Kind::Classic(ClassicGroup::from_state(&cx.classic(), state)));
        }
    }
}

impl From<classic::Change> for Change {
    fn from(change: classic::Change) -> Self {
        match change {
            classic::Change::Head(head) => Change::Head(GroupHeadRow::Classic(head)),
            classic::Change::Member(id, row) => Change::Member(id, row.encode().into()),
            classic::Change::Left(id) => Change::Left(id),
        }
    }
}

impl From<consumer::Change> for Change {
    fn from(change: consumer::Change) -> Self {
        match change {
            consumer::Change::Head(head) => Change::Head(GroupHeadRow::Consumer(head)),
            consumer::Change::Member(id, row) => Change::Member(id, row.encode().into()),
            consumer::Change::Left(id) => Change::Left(id),
        }
    }
}
