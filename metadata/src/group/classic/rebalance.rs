//! From one generation to the next.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::group::JoinPhase;
use super::{Answer, ClassicGroup, Context, Refusal, State};

impl ClassicGroup {
    /// A rebalance begins, or the one that is under way may have come to its end.
    pub(super) fn rebalance(&mut self, cx: &Context<'_>) {
        if self.state != State::Preparing {
            self.prepare(cx);
        }
        self.complete_if_all_joined(cx);
    }

    fn prepare(&mut self, cx: &Context<'_>) {
        if self.state == State::Completing {
            let mut refused = Vec::new();
            for member in self.members.values_mut() {
                member.row.assignment = Bytes::new();
                refused.extend(member.syncing.take());
                member.touch(cx.now);
            }
            let refuse = |token| Answer::Sync(token, Err(Refusal::RebalanceInProgress));
            self.answers.extend(refused.into_iter().map(refuse));
        }
        let (delay, timeout) = (cx.settings.initial_delay, self.rebalance_timeout());
        let waits = self.state == State::Empty && !delay.is_zero();
        self.join_phase = Some(if waits {
            JoinPhase { at: cx.now + delay, initial: Some(timeout.saturating_sub(delay)) }
        } else {
            JoinPhase { at: cx.now + timeout, initial: None }
        });
        self.newcomers = false;
        self.sync_until = None;
        self.state = State::Preparing;
    }

    /// Ends the join phase, unless somebody is missing. A group that was empty waits in any case.
    pub(super) fn complete_if_all_joined(&mut self, cx: &Context<'_>) {
        let initial = self.join_phase.is_some_and(|phase| phase.initial.is_some());
        let all = self.members.values().all(|member| member.joining.is_some()) && self.pending.is_empty();
        if self.state == State::Preparing && !initial && all {
            self.complete_join(cx);
        }
    }

    /// The time to join is over.
    pub(super) fn join_phase_over(&mut self, cx: &Context<'_>) {
        let Some(JoinPhase { initial, .. }) = self.join_phase else { return };
        match initial {
            Some(left) if self.newcomers && !left.is_zero() => {
                let delay = cx.settings.initial_delay.min(left);
                self.newcomers = false;
                self.join_phase = Some(JoinPhase { at: cx.now + delay, initial: Some(left - delay) });
            }
            _ => self.complete_join(cx),
        }
    }

    /// Whoever has joined is in the next generation. Static members stay even if they have not.
    fn complete_join(&mut self, cx: &Context<'_>) {
        let missing =
            |member: &super::group::Member| member.joining.is_none() && member.row.instance.is_none();
        let gone: Vec<String> =
            self.members.iter().filter(|(_, member)| missing(member)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| drop(self.remove(id, &Refusal::UnknownMember)));
        if !self.elect() {
            // Only static members, and none of them is here: they have their session's time to come.
            let at = cx.now + self.rebalance_timeout().max(Duration::from_millis(1));
            self.join_phase = Some(JoinPhase { at, initial: None });
            return;
        }
        self.join_phase = None;
        self.head.generation = self.head.generation.checked_add(1).unwrap_or(1);
        self.head.since = cx.wall;
        if self.members.is_empty() {
            self.state = State::Empty;
            self.head.protocol = None;
            self.head.leader = None;
            self.persist = true;
            return;
        }
        self.head.protocol = self.selected();
        self.state = State::Completing;
        self.sync_until = Some(cx.now + self.rebalance_timeout());
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let Some(member) = self.members.get_mut(&id) else { continue };
            member.synced = false;
            let joining = member.joining.take();
            member.touch(cx.now);
            if let Some(joining) = joining {
                let joined = self.current(cx, &id);
                self.answers.push(Answer::Join(joining.token, Ok(joined)));
            }
        }
    }

    /// Sees to it that the leader is one who has joined. `false`: there are members, and none has.
    fn elect(&mut self) -> bool {
        let joined = |id: &String| self.members.get(id).is_some_and(|member| member.joining.is_some());
        if self.members.is_empty() || self.head.leader.as_ref().is_some_and(joined) {
            return true;
        }
        let first =
            self.members.iter().find(|(_, member)| member.joining.is_some()).map(|(id, _)| id.clone());
        let found = first.is_some();
        if found {
            self.head.leader = first;
        }
        found
    }

    /// The assignor that all members know and most of them like best.
    pub(super) fn selected(&self) -> Option<String> {
        let known: BTreeSet<&String> = self
            .members
            .values()
            .flat_map(|member| member.row.protocols.iter().map(|(name, _)| name))
            .filter(|name| self.members.values().all(|member| member.knows(name)))
            .collect();
        let mut votes: BTreeMap<&String, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.row.protocols.iter().map(|(name, _)| name).find(|name| known.contains(name));
            choice.into_iter().for_each(|name| *votes.entry(name).or_default() += 1);
        }
        votes.into_iter().max_by_key(|(_, votes)| *votes).map(|(name, _)| name.clone())
    }
}
