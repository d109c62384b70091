//! ConsumerGroupHeartbeat of a member that joins or stays.

use siltstone_log::{ConsumerMemberRow, ConsumerMemberState, Partitions};

use super::{
    AWAY_EPOCH, Change, ConsumerGroup, Context, HeartbeatAnswer, HeartbeatRequest, LEAVE_EPOCH, Refusal,
    pattern,
};

/// Where a member that heartbeats sits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Seat {
    /// It is new.
    New,
    /// It is there.
    Known,
    /// It takes the place of a static member with another id.
    Replaces(String),
}

impl ConsumerGroup {
    /// Takes a heartbeat in. The request's member id is not empty. A refusal changes nothing.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn heartbeat(
        &mut self,
        cx: &Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, Refusal> {
        if matches!(request.epoch, LEAVE_EPOCH | AWAY_EPOCH) {
            return self.leave_by_heartbeat(cx, request);
        }
        if self.members.len() >= cx.settings.max_size && !self.members.contains_key(&request.member) {
            return Err(Refusal::GroupFull(cx.settings.max_size));
        }
        let seat = self.seat(request)?;
        if seat == Seat::Known && self.is_settled(cx, request) {
            self.keep_alive(cx, &request.member);
            return Ok(self.answer(cx, request, None));
        }
        if let Some(text) = request.pattern() {
            pattern::compile(text)?;
        }
        let before = self.row_for(&seat, &request.member);
        let mut row = before.clone();
        request.update(&mut row);
        let subscription_changed = row.topics != before.topics || row.regex != before.regex;
        self.sit(&seat, &request.member, row);
        if before.classic.is_some() {
            self.timers.forget(&request.member);
        }
        self.refresh(cx, subscription_changed);
        self.retarget(cx);
        self.reconcile(cx, &request.member, request.owned.as_ref(), subscription_changed);
        self.keep_alive(cx, &request.member);
        Ok(self.answer(cx, request, Some(&before.assigned)))
    }

    fn seat(&self, request: &HeartbeatRequest) -> Result<Seat, Refusal> {
        let known = self.members.contains_key(&request.member);
        let holder = request.instance.as_ref().map(|instance| self.statics.get(instance));
        match (holder, request.joins()) {
            (None | Some(None), true) => Ok(if known { Seat::Known } else { Seat::New }),
            (Some(Some(holder)), true) => self.take_instance(holder, &request.member),
            (None, false) => self.check_epoch(&request.member, request).map(|()| Seat::Known),
            (Some(holder), false) => {
                let holder = holder.ok_or(Refusal::UnknownMember)?;
                if *holder != request.member {
                    return Err(Refusal::FencedInstance);
                }
                self.check_epoch(holder, request).map(|()| Seat::Known)
            }
        }
    }

    /// A static member joins whose instance id is known. Kafka 4.2 refuses it while the one before is not away, even under the same member id; here that
    /// id is taken for the same member, which may have lost an answer.
    fn take_instance(&self, holder: &str, member: &str) -> Result<Seat, Refusal> {
        let row = self.members.get(holder);
        let released = row.is_none_or(|row| row.epoch == AWAY_EPOCH || row.classic.is_some());
        match (holder == member, released) {
            (true, _) => Ok(Seat::Known),
            (false, true) => Ok(Seat::Replaces(holder.to_owned())),
            (false, false) => Err(Refusal::UnreleasedInstance(holder.to_owned())),
        }
    }

    /// The epoch before is good as well, from a member that owns nothing but what it was told to: the last answer may have been lost.
    fn check_epoch(&self, id: &str, request: &HeartbeatRequest) -> Result<(), Refusal> {
        let row = self.members.get(id).ok_or(Refusal::UnknownMember)?;
        let (received, expected) = (request.epoch, row.epoch);
        let lost_answer = received < expected
            && received == row.previous_epoch
            && request.owned.as_ref().is_some_and(|owned| is_subset(owned, &row.assigned));
        if received == expected || lost_answer {
            return Ok(());
        }
        Err(Refusal::FencedMemberEpoch { received, expected })
    }

    /// Whether there is nothing to do: the common case, so that it copies nothing.
    fn is_settled(&self, cx: &Context<'_>, request: &HeartbeatRequest) -> bool {
        self.members.get(&request.member).is_some_and(|row| {
            row.state == ConsumerMemberState::Stable
                && row.epoch == self.head.epoch
                && self.head.target_epoch == self.head.epoch
                && self.subscriptions.is_current(cx.catalog)
                && !request.changes(row)
        })
    }

    /// The member's row before the request.
    pub(super) fn row_for(&self, seat: &Seat, member: &str) -> ConsumerMemberRow {
        let copied = |id: &str| self.members.get(id).cloned().unwrap_or_default();
        match seat {
            Seat::New => ConsumerMemberRow::default(),
            Seat::Known => {
                let mut row = copied(member);
                if row.epoch == AWAY_EPOCH {
                    (row.epoch, row.previous_epoch) = (0, 0);
                }
                row
            }
            Seat::Replaces(old) => ConsumerMemberRow { epoch: 0, previous_epoch: 0, ..copied(old) },
        }
    }

    /// Puts the member where it sits. Before, its row may be that of the one that it replaces.
    pub(super) fn sit(&mut self, seat: &Seat, member: &str, row: ConsumerMemberRow) {
        if let Seat::Replaces(old) = seat {
            self.timers.forget(old);
            self.change(Change::Left(old.clone()));
        }
        if self.members.get(member) != Some(&row) {
            self.change_member(member, row);
        }
    }

    fn answer(
        &self,
        cx: &Context<'_>,
        request: &HeartbeatRequest,
        before: Option<&Partitions>,
    ) -> HeartbeatAnswer {
        let row = self.members.get(&request.member);
        let assigned = row.map(|row| &row.assigned);
        let tell = request.is_full() || before.is_some() && before != assigned;
        HeartbeatAnswer {
            member: request.member.clone(),
            epoch: row.map_or(request.epoch, |row| row.epoch),
            interval_ms: i32::try_from(self.interval(cx, &request.member).as_millis()).unwrap_or(i32::MAX),
            assignment: assigned.filter(|_| tell).cloned(),
        }
    }
}

fn is_subset(some: &Partitions, all: &Partitions) -> bool {
    some.iter().all(|(topic, partitions)| {
        partitions.is_empty() || all.get(topic).is_some_and(|all| partitions.is_subset(all))
    })
}
