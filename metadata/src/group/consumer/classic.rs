//! Members that speak the classic protocol within a group of the consumer protocol (KIP-848, online migration).
//!
//! Their generation is their member epoch. They are told to rejoin where members of the consumer protocol are just told what changed; their
//! subscription and what they own come with JoinGroup, their assignment goes with SyncGroup. None of them is ever the leader: the group's assignors decide.

use bytes::Bytes;
use siltstone_log::{ClassicPart, ConsumerMemberRow, ConsumerMemberState};

use super::beat::Seat;
use super::machine::rebalance;
use super::timers::Timer;
use super::{ConsumerGroup, Context, Refusal, embedded};

/// JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicJoin {
    /// The member; if the request has none, the id that the driver drew for it.
    pub member: String,
    /// Whether the id was drawn just now.
    pub drawn: bool,
    /// Whether a drawn id must first be sent back (version 4 and above).
    pub two_steps: bool,
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds; below version 1 the session timeout.
    pub rebalance_timeout_ms: i32,
    /// "consumer", or it can't be served.
    pub protocol_type: String,
    /// The assignors that it knows, each with its subscription.
    pub protocols: Vec<(String, Bytes)>,
    /// Its client id.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
}

/// The answer to JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicJoined {
    /// The member.
    pub member: String,
    /// Its epoch.
    pub generation: i32,
    /// The first of its protocols.
    pub protocol: String,
}

/// SyncGroup. What it brings in assignments is of no use.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicSync {
    /// The member.
    pub member: String,
    /// Its instance id.
    pub instance: Option<String>,
    /// Its epoch.
    pub generation: i32,
    /// The protocol type, if the version has it.
    pub protocol_type: Option<String>,
    /// The protocol's name, if the version has it.
    pub protocol: Option<String>,
}

/// The answer to SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicSynced {
    /// What the member is to own, in the embedded protocol.
    pub assignment: Bytes,
}

/// Heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicBeat {
    /// The member.
    pub member: String,
    /// Its instance id.
    pub instance: Option<String>,
    /// Its epoch.
    pub generation: i32,
}

impl ConsumerGroup {
    /// JoinGroup. Afterwards the group may have become a classic one: see [`take_downgraded`](Self::take_downgraded).
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn classic_join(&mut self, cx: &Context<'_>, join: &ClassicJoin) -> Result<ClassicJoined, Refusal> {
        if self.members.len() >= cx.settings.max_size && !self.has_member(&join.member) {
            return Err(Refusal::GroupFull(cx.settings.max_size));
        }
        let protocol = self.check_protocols(join)?;
        if join.drawn && join.two_steps && join.instance.is_none() {
            return Err(Refusal::MemberIdRequired(join.member.clone()));
        }
        let subscription = embedded::subscription(&join.protocols, cx.catalog)?;
        let seat = self.classic_seat(join)?;
        // An id that nobody has is one that was drawn a moment ago, unless its member was put out: that one must hear of it before it joins, as
        // what it owns may be somebody else's by now. Kafka 4.2 takes it in.
        if seat == Seat::New && !join.drawn && subscription.owns_any {
            return Err(Refusal::UnknownMember);
        }
        let before = self.row_for(&seat, &join.member);
        let row = join_row(join, &before, &subscription);
        let changed = row.topics != before.topics || row.regex != before.regex;
        self.sit(&seat, &join.member, row);
        self.timers.cancel(&join.member, Timer::Revoke(0));
        self.refresh(cx, changed);
        // A static member comes back with the old protocol, and was the last with the new one.
        let downgrade = join.instance.is_some() && before.classic.is_none() && before.instance.is_some();
        let downgrade = downgrade && self.may_downgrade(cx, &Default::default());
        if !(downgrade && changed) {
            if !downgrade {
                self.retarget(cx);
            }
            self.reconcile(cx, &join.member, Some(&subscription.owned), changed);
        }
        let generation = self.members.get(&join.member).map_or(0, |row| row.epoch);
        if downgrade {
            let rebalance = changed || self.head.epoch != self.head.target_epoch;
            self.downgrade(cx, &Default::default(), rebalance);
        } else {
            self.keep_alive(cx, &join.member);
            self.timers.cancel(&join.member, Timer::Join);
            let timeout = self.members.get(&join.member).map(rebalance).unwrap_or_default();
            self.timers.set(&join.member, Timer::Sync, cx.now + timeout);
        }
        Ok(ClassicJoined { member: join.member.clone(), generation, protocol })
    }

    /// Members of the classic protocol must have a protocol in common; answers the joining one's first.
    fn check_protocols(&self, join: &ClassicJoin) -> Result<String, Refusal> {
        let (first, _) = join.protocols.first().ok_or(Refusal::InconsistentProtocol)?;
        let others = || {
            self.members
                .iter()
                .filter(|(id, _)| **id != join.member)
                .filter_map(|(_, row)| row.classic.as_ref())
        };
        let common =
            |name: &String| others().all(|part| part.protocols.iter().any(|(other, _)| other == name));
        let fits = join.protocol_type == embedded::PROTOCOL_TYPE
            && join.protocols.iter().any(|(name, _)| common(name));
        if fits { Ok(first.clone()) } else { Err(Refusal::InconsistentProtocol) }
    }

    fn classic_seat(&self, join: &ClassicJoin) -> Result<Seat, Refusal> {
        let holder = join.instance.as_ref().map(|instance| self.statics.get(instance));
        let known = self.has_member(&join.member);
        match holder {
            Some(Some(holder)) if *holder == join.member => Ok(Seat::Known),
            // Only one that has no id yet takes an instance id over: any other was fenced by the one that has it.
            Some(Some(holder)) if join.drawn => Ok(Seat::Replaces(holder.clone())),
            Some(Some(_)) => Err(Refusal::FencedInstance),
            Some(None) if !join.drawn => Err(Refusal::UnknownMember),
            None | Some(None) => Ok(if known { Seat::Known } else { Seat::New }),
        }
    }

    /// SyncGroup.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn classic_sync(&mut self, cx: &Context<'_>, sync: &ClassicSync) -> Result<ClassicSynced, Refusal> {
        let id = self.find(&sync.member, sync.instance.as_deref())?;
        let (row, part) = self.classic_member(&id, sync.generation)?;
        let name = part.protocols.first().map(|(name, _)| name);
        let other_type = sync.protocol_type.as_deref().is_some_and(|kind| kind != embedded::PROTOCOL_TYPE);
        if other_type || sync.protocol.is_some() && sync.protocol.as_ref() != name {
            return Err(Refusal::InconsistentProtocol);
        }
        // One that has to give up partitions has joined already; it hears of more when it has done so.
        if self.head.epoch > row.epoch && row.state != ConsumerMemberState::Unrevoked {
            let at = cx.now + rebalance(row);
            self.timers.set_if_absent(&id, Timer::Join, at);
            return Err(Refusal::RebalanceInProgress);
        }
        let version = embedded::subscription(&part.protocols, cx.catalog)?.version;
        let assignment = embedded::encode(&row.assigned, version, cx.catalog);
        self.timers.cancel(&id, Timer::Sync);
        self.keep_alive(cx, &id);
        Ok(ClassicSynced { assignment })
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// Why it is refused; `RebalanceInProgress` counts as a sign of life.
    pub fn classic_heartbeat(&mut self, cx: &Context<'_>, beat: &ClassicBeat) -> Result<(), Refusal> {
        let id = self.find(&beat.member, beat.instance.as_deref())?;
        self.classic_member(&id, beat.generation)?;
        // No heartbeat of another protocol may come to see that the topics have changed.
        self.refresh(cx, false);
        self.keep_alive(cx, &id);
        let Some(row) = self.members.get(&id) else { return Err(Refusal::UnknownMember) };
        let released = row.state == ConsumerMemberState::Unreleased && !self.waits(&id, row);
        if row.epoch < self.head.epoch || row.state == ConsumerMemberState::Unrevoked || released {
            let at = cx.now + rebalance(row);
            self.timers.set_if_absent(&id, Timer::Join, at);
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether something that the member shall own is still somebody else's.
    fn waits(&self, id: &str, row: &ConsumerMemberRow) -> bool {
        let mut target =
            row.target.iter().flat_map(|(topic, some)| some.iter().map(|partition| (*topic, *partition)));
        target.any(|(topic, partition)| !self.owners.free_for(id, topic, partition))
    }

    fn classic_member(
        &self,
        id: &str,
        generation: i32,
    ) -> Result<(&ConsumerMemberRow, &ClassicPart), Refusal> {
        let row = self.members.get(id).ok_or(Refusal::UnknownMember)?;
        let part = row.classic.as_ref().ok_or(Refusal::UnknownMember)?;
        if row.epoch == generation {
            return Ok((row, part));
        }
        Err(Refusal::IllegalGeneration { received: generation, expected: row.epoch })
    }
}

fn join_row(
    join: &ClassicJoin,
    before: &ConsumerMemberRow,
    subscription: &embedded::Subscription,
) -> ConsumerMemberRow {
    let kept = before.clone();
    ConsumerMemberRow {
        instance: join.instance.clone().or(kept.instance),
        rack: subscription.rack.clone().or(kept.rack),
        client_id: join.client_id.clone(),
        client_host: join.client_host.clone(),
        rebalance_timeout_ms: join.rebalance_timeout_ms.max(0),
        topics: subscription.topics.clone(),
        regex: None,
        classic: Some(ClassicPart {
            session_timeout_ms: join.session_timeout_ms.max(0),
            protocols: join.protocols.clone(),
        }),
        ..kept
    }
}
