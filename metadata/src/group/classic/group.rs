//! The state of a group, its rows, and what all requests have in common.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_log::{ClassicHeadRow, ClassicMemberRow};

use super::{Answer, Change, Context, Refusal, State, Token};

/// A request to join that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Joining {
    pub(super) token: Token,
    pub(super) can_skip: bool,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Member {
    pub(super) row: ClassicMemberRow,
    pub(super) joining: Option<Joining>,
    pub(super) syncing: Option<Token>,
    /// It has asked for its assignment in this generation.
    pub(super) synced: bool,
    /// When it is put out; `None` while it waits for us.
    pub(super) deadline: Option<Duration>,
}

/// The end of the time to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct JoinPhase {
    pub(super) at: Duration,
    /// A group that was empty waits for members that come; this is how much longer it may.
    pub(super) initial: Option<Duration>,
}

/// A group of the classic protocol. `Default` is one without members and rows.
#[derive(Debug, Clone, Default)]
pub struct ClassicGroup {
    pub(super) head: ClassicHeadRow,
    pub(super) state: State,
    pub(super) members: BTreeMap<String, Member>,
    /// Members by instance id.
    pub(super) statics: BTreeMap<String, String>,
    /// Ids that were given out and have yet to join, with the time until which they may.
    pub(super) pending: BTreeMap<String, Duration>,
    pub(super) join_phase: Option<JoinPhase>,
    /// Somebody new has come since the group began to wait.
    pub(super) newcomers: bool,
    /// Until when all members must have asked for their assignments.
    pub(super) sync_until: Option<Duration>,
    pub(super) answers: Vec<Answer>,
    /// What the rows say.
    written: Written,
    /// The state is one that rows shall say.
    pub(super) persist: bool,
}

#[derive(Debug, Clone, Default)]
struct Written {
    head: Option<ClassicHeadRow>,
    members: BTreeMap<String, ClassicMemberRow>,
}

impl ClassicGroup {
    /// A group as its rows say. Timers begin with [`start_timers`](Self::start_timers).
    pub fn load(head: ClassicHeadRow, members: BTreeMap<String, ClassicMemberRow>) -> Self {
        let statics = members.iter().filter_map(|(id, row)| Some((row.instance.clone()?, id.clone())));
        ClassicGroup {
            state: if members.is_empty() { State::Empty } else { State::Stable },
            statics: statics.collect(),
            members: members
                .iter()
                .map(|(id, row)| (id.clone(), Member { row: row.clone(), synced: true, ..Member::default() }))
                .collect(),
            written: Written { head: Some(head.clone()), members },
            head,
            ..ClassicGroup::default()
        }
    }

    /// Begins all members' timers, after the group was loaded.
    pub fn start_timers(&mut self, cx: &Context<'_>) {
        self.members.values_mut().for_each(|member| member.touch(cx.now));
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The generation.
    pub fn generation(&self) -> i32 {
        self.head.generation
    }

    /// Whether nobody is in it or about to join.
    pub fn is_idle(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    /// Whether rows say that there is such a group.
    pub fn is_written(&self) -> bool {
        self.written.head.is_some()
    }

    /// Makes it exist, for the offsets of someone who joins no group.
    pub fn exist(&mut self, cx: &Context<'_>) {
        if !self.is_written() && self.members.is_empty() {
            self.head.since = cx.wall;
            self.persist = true;
        }
    }

    /// Answers that may be given once the changes are durable.
    pub fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    /// Rows that changed: to be written in one transaction. If that fails the group must be dropped and loaded again.
    pub fn take_changes(&mut self) -> Vec<Change> {
        if !std::mem::take(&mut self.persist) {
            return Vec::new();
        }
        let mut changes = Vec::new();
        if self.written.head.as_ref() != Some(&self.head) {
            self.written.head = Some(self.head.clone());
            changes.push(Change::Head(self.head.clone()));
        }
        let gone = self.written.members.keys().filter(|id| !self.members.contains_key(*id)).cloned();
        let gone: Vec<String> = gone.collect();
        for id in gone {
            self.written.members.remove(&id);
            changes.push(Change::Left(id));
        }
        for (id, member) in &self.members {
            if self.written.members.get(id) != Some(&member.row) {
                self.written.members.insert(id.clone(), member.row.clone());
                changes.push(Change::Member(id.clone(), Box::new(member.row.clone())));
            }
        }
        changes
    }

    /// When [`expire`](Self::expire) has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        let members = self.members.values().filter_map(|member| member.deadline);
        let phases = self.join_phase.map(|phase| phase.at).into_iter().chain(self.sync_until);
        members.chain(self.pending.values().copied()).chain(phases).min()
    }

    /// The member, if the request may speak for it.
    pub(super) fn check_member(&self, member: &str, instance: Option<&str>) -> Result<(), Refusal> {
        if let Some(instance) = instance {
            return match self.statics.get(instance) {
                None => Err(Refusal::UnknownMember),
                Some(id) if id != member => Err(Refusal::FencedInstance),
                Some(_) => Ok(()),
            };
        }
        if self.members.contains_key(member) { Ok(()) } else { Err(Refusal::UnknownMember) }
    }

    /// Something was heard of the member.
    pub(super) fn touch(&mut self, cx: &Context<'_>, member: &str) {
        if let Some(member) = self.members.get_mut(member) {
            member.touch(cx.now);
        }
    }

    /// Takes a member out; whoever waits under its name is told `why`.
    pub(super) fn remove(&mut self, id: &str, why: &Refusal) -> Option<Member> {
        let mut member = self.members.remove(id)?;
        if let Some(instance) = &member.row.instance
            && self.statics.get(instance).is_some_and(|holder| holder == id)
        {
            self.statics.remove(instance);
        }
        self.refuse_waiting(&mut member, why);
        if self.head.leader.as_deref() == Some(id) {
            self.head.leader = self.members.keys().next().cloned();
        }
        Some(member)
    }

    pub(super) fn refuse_waiting(&mut self, member: &mut Member, why: &Refusal) {
        if let Some(joining) = member.joining.take() {
            self.answers.push(Answer::Join(joining.token, Err(why.clone())));
        }
        if let Some(token) = member.syncing.take() {
            self.answers.push(Answer::Sync(token, Err(why.clone())));
        }
    }

    /// The longest that any member may take to join again.
    pub(super) fn rebalance_timeout(&self) -> Duration {
        let longest = self.members.values().map(|member| member.row.rebalance_timeout_ms).max();
        Duration::from_millis(u64::from(longest.unwrap_or(0)))
    }

    pub(super) fn is_leader(&self, id: &str) -> bool {
        self.head.leader.as_deref() == Some(id)
    }
}

impl Member {
    pub(super) fn session(&self) -> Duration {
        Duration::from_millis(u64::from(self.row.session_timeout_ms))
    }

    /// Its time begins anew, unless it waits for us.
    pub(super) fn touch(&mut self, now: Duration) {
        if self.joining.is_none() && self.syncing.is_none() {
            self.deadline = Some(now + self.session());
        }
    }
}
