//! Members that leave, or that are put out because they were silent or too slow.

use std::collections::BTreeSet;

use siltstone_log::ConsumerMemberRow;

use super::timers::Timer;
use super::{AWAY_EPOCH, Change, ConsumerGroup, Context, HeartbeatAnswer, HeartbeatRequest, Refusal};

/// Somebody named in a LeaveGroup request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaver {
    /// The member id; may be empty if an instance id is given.
    pub member: String,
    /// The instance id.
    pub instance: Option<String>,
}

/// What became of a [`Leaver`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    /// The member id, also where the request had none.
    pub member: String,
    /// The instance id, as in the request.
    pub instance: Option<String>,
    /// Whether it has left.
    pub result: Result<(), Refusal>,
}

impl ConsumerGroup {
    pub(super) fn leave_by_heartbeat(
        &mut self,
        cx: &Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, Refusal> {
        let id = self.find(&request.member, request.instance.as_deref())?;
        if request.epoch == AWAY_EPOCH {
            self.go_away(&id);
        } else {
            self.put_out(cx, &BTreeSet::from([id]));
        }
        Ok(HeartbeatAnswer {
            member: request.member.clone(),
            epoch: request.epoch,
            interval_ms: 0,
            assignment: None,
        })
    }

    /// The member of these ids.
    pub(super) fn find(&self, member: &str, instance: Option<&str>) -> Result<String, Refusal> {
        let Some(instance) = instance else {
            return if self.has_member(member) { Ok(member.to_owned()) } else { Err(Refusal::UnknownMember) };
        };
        let holder = self.statics.get(instance).ok_or(Refusal::UnknownMember)?;
        if holder == member { Ok(holder.clone()) } else { Err(Refusal::FencedInstance) }
    }

    /// A static member will be back: it keeps what it has until its session ends. What it was to give up it has given up.
    fn go_away(&mut self, id: &str) {
        let Some(row) = self.members.get(id) else { return };
        let row = ConsumerMemberRow { epoch: AWAY_EPOCH, revoking: Default::default(), ..row.clone() };
        self.timers.cancel(id, Timer::Revoke(0));
        self.change_member(id, row);
    }

    /// LeaveGroup: only members of the classic protocol leave in this way.
    pub fn leave(&mut self, cx: &Context<'_>, leavers: &[Leaver]) -> Vec<Left> {
        let mut gone = BTreeSet::new();
        let mut results = Vec::with_capacity(leavers.len());
        for Leaver { member, instance } in leavers {
            let found = self.find_leaver(member, instance.as_deref());
            let found =
                found.and_then(|id| if gone.contains(&id) { Err(Refusal::UnknownMember) } else { Ok(id) });
            let id = found.as_ref().map_or(member, |id| id).clone();
            results.push(Left { member: id, instance: instance.clone(), result: found.clone().map(drop) });
            gone.extend(found);
        }
        if !gone.is_empty() {
            self.put_out(cx, &gone);
        }
        results
    }

    /// An administrator removes static members without knowing their ids.
    fn find_leaver(&self, member: &str, instance: Option<&str>) -> Result<String, Refusal> {
        let holder = instance.and_then(|instance| self.statics.get(instance));
        let id = match holder {
            Some(holder) if member.is_empty() => holder.clone(),
            _ => self.find(member, instance)?,
        };
        match self.members.get(&id) {
            Some(row) if row.classic.is_some() => Ok(id),
            _ => Err(Refusal::UnknownMember),
        }
    }

    /// Puts out members whose time is over. To be called when [`deadline`](Self::deadline) has come; answers whom.
    pub fn expire(&mut self, cx: &Context<'_>) -> Vec<String> {
        let mut out = BTreeSet::new();
        // Each turn takes a timer away.
        while let Some((id, timer)) = self.timers.take_due(cx.now) {
            let Some(row) = self.members.get(&id) else { continue };
            // It has left the epoch in which it was slow.
            let late = !matches!(timer, Timer::Revoke(epoch) if epoch != row.epoch);
            if late {
                out.insert(id);
            }
        }
        if !out.is_empty() {
            self.put_out(cx, &out);
        }
        out.into_iter().collect()
    }

    /// Removes members and raises the epoch, or makes the group a classic one if only classic members stay. The next heartbeat decides who gets
    /// what they had.
    fn put_out(&mut self, cx: &Context<'_>, ids: &BTreeSet<String>) {
        if self.may_downgrade(cx, ids) {
            self.downgrade(cx, ids, true);
            return;
        }
        for id in ids {
            self.timers.forget(id);
            self.change(Change::Left(id.clone()));
        }
        self.refresh(cx, true);
    }
}
