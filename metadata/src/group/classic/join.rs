//! JoinGroup.

use std::time::Duration;

use bytes::Bytes;
use siltstone_log::ClassicMemberRow;

use super::group::{Joining, Member};
use super::{Answer, ClassicGroup, Context, JoinRequest, Joined, Refusal, State, Token};

/// Most bytes that all members' rows count in a transaction, without their assignments: those come in one request, which the agent bounds by 4 MiB.
const MOST_BYTES: usize = 5_000_000;
/// What a row counts beside its key and what members say.
const ROW_BYTES: usize = 300;

/// A new member is kept so long for the others to come, however short its session timeout is: it can't heartbeat yet.
const NEW_MEMBER: Duration = Duration::from_secs(300);

impl ClassicGroup {
    /// A member joins, now or once all others have.
    pub fn join(&mut self, cx: &Context<'_>, token: Token, request: JoinRequest) {
        match self.try_join(cx, token, request) {
            Ok(None) => {}
            Ok(Some(joined)) => self.answers.push(Answer::Join(token, Ok(joined))),
            Err(refusal) => self.answers.push(Answer::Join(token, Err(refusal))),
        }
    }

    /// `None`: it waits.
    fn try_join(
        &mut self,
        cx: &Context<'_>,
        token: Token,
        request: JoinRequest,
    ) -> Result<Option<Joined>, Refusal> {
        let session = Duration::from_millis(u64::from(request.session_timeout_ms));
        if session < cx.settings.min_session || session > cx.settings.max_session {
            return Err(Refusal::InvalidSessionTimeout);
        }
        if !self.has_room_for(cx, &request.member) || !self.fits(cx, &request) {
            return Err(Refusal::GroupFull);
        }
        if !self.supports(&request) {
            return Err(Refusal::InconsistentProtocol);
        }
        if request.member.is_empty() {
            self.join_new(cx, token, request, session)
        } else {
            self.join_again(cx, token, request)
        }
    }

    fn has_room_for(&self, cx: &Context<'_>, member: &str) -> bool {
        let most = cx.settings.max_size;
        match self.state {
            State::Empty => true,
            State::Preparing => {
                let joining = self.members.values().filter(|member| member.joining.is_some()).count();
                let waits = self.members.get(member).is_some_and(|member| member.joining.is_some());
                waits || joining < most
            }
            State::Completing | State::Stable => {
                self.members.contains_key(member) || self.members.len() < most
            }
        }
    }

    /// Whether all members' rows, with what a leader can assign in one request, fit one transaction of the store. Kafka's bound is its memory.
    fn fits(&self, cx: &Context<'_>, request: &JoinRequest) -> bool {
        let id = if request.member.is_empty() { &request.new_id } else { &request.member };
        // A key counts three times when it is set, and four times when its range is cleared.
        let key = |id: &str| ROW_BYTES + 7 * (cx.settings.key_bytes + id.len());
        let protocols = |protocols: &[(String, Bytes)]| {
            protocols.iter().map(|(name, metadata)| 8 + name.len() + metadata.len()).sum::<usize>()
        };
        let others = self.members.iter().filter(|(other, _)| *other != id);
        let others = others.map(|(id, member)| {
            let row = &member.row;
            key(id) + row.client_id.len() + row.client_host.len() + protocols(&row.protocols)
        });
        let own =
            key(id) + request.client_id.len() + request.client_host.len() + protocols(&request.protocols);
        others.sum::<usize>() + own <= MOST_BYTES
    }

    /// Whether the group can work with a member that knows these protocols.
    fn supports(&self, request: &JoinRequest) -> bool {
        if request.protocol_type.is_empty() || request.protocols.is_empty() {
            return false;
        }
        if self.members.is_empty() {
            return true;
        }
        let everyone = |name: &String| self.members.values().all(|member| member.knows(name));
        self.head.protocol_type == request.protocol_type
            && request.protocols.iter().any(|(name, _)| everyone(name))
    }

    fn join_new(
        &mut self,
        cx: &Context<'_>,
        token: Token,
        request: JoinRequest,
        session: Duration,
    ) -> Result<Option<Joined>, Refusal> {
        if let Some(old) = request.instance.as_ref().and_then(|instance| self.statics.get(instance)) {
            let old = old.clone();
            return Ok(self.replace(cx, token, &old, request));
        }
        if request.instance.is_none() && request.needs_id {
            self.pending.insert(request.new_id.clone(), cx.now + session);
            return Err(Refusal::MemberIdRequired(request.new_id));
        }
        let id = request.new_id.clone();
        self.add(cx, token, id, request);
        Ok(None)
    }

    fn join_again(
        &mut self,
        cx: &Context<'_>,
        token: Token,
        request: JoinRequest,
    ) -> Result<Option<Joined>, Refusal> {
        let id = request.member.clone();
        if self.pending.remove(&id).is_some() {
            self.add(cx, token, id, request);
            return Ok(None);
        }
        self.check_member(&id, request.instance.as_deref())?;
        let same = self.members.get(&id).is_some_and(|member| member.row.protocols == request.protocols);
        match self.state {
            State::Empty => return Err(Refusal::UnknownMember),
            // It has not heard of the answer to its first request.
            State::Completing if same => return Ok(Some(self.current(cx, &id))),
            // A leader that joins again wants to assign anew.
            State::Stable if same && !self.is_leader(&id) => return Ok(Some(self.current(cx, &id))),
            State::Preparing | State::Completing | State::Stable => {}
        }
        self.update(&id, token, request);
        self.rebalance(cx);
        Ok(None)
    }

    /// Takes a new member in.
    fn add(&mut self, cx: &Context<'_>, token: Token, id: String, request: JoinRequest) {
        if self.members.is_empty() {
            self.head.protocol_type.clone_from(&request.protocol_type);
        }
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        self.head.leader.get_or_insert_with(|| id.clone());
        let joining = Some(Joining { token, can_skip: request.can_skip });
        let deadline = Some(cx.now + NEW_MEMBER);
        let member = Member { row: row(request), joining, deadline, ..Member::default() };
        self.members.insert(id, member);
        self.newcomers = true;
        self.rebalance(cx);
    }

    /// A member waits for the next generation.
    fn update(&mut self, id: &str, token: Token, request: JoinRequest) {
        let Some(mut member) = self.members.remove(id) else { return };
        // What it asked before is answered to nobody who still listens.
        self.refuse_waiting(&mut member, &Refusal::RebalanceInProgress);
        member.joining = Some(Joining { token, can_skip: request.can_skip });
        member.deadline = None;
        member.row =
            ClassicMemberRow { assignment: std::mem::take(&mut member.row.assignment), ..row(request) };
        self.members.insert(id.to_owned(), member);
    }

    /// A static member has come back under a new id. Unless another assignor is to be chosen now, nothing else changes.
    fn replace(&mut self, cx: &Context<'_>, token: Token, old: &str, request: JoinRequest) -> Option<Joined> {
        let (id, can_skip, old_leader) = (request.new_id.clone(), request.can_skip, self.head.leader.clone());
        let was_leader = self.is_leader(old);
        let mut member = self.members.remove(old)?;
        self.refuse_waiting(&mut member, &Refusal::FencedInstance);
        if let Some(instance) = &request.instance {
            self.statics.insert(instance.clone(), id.clone());
        }
        if was_leader {
            self.head.leader = Some(id.clone());
        }
        let assignment = std::mem::take(&mut member.row.assignment);
        let row = ClassicMemberRow { assignment, ..row(request) };
        let member = Member { row, synced: member.synced, ..Member::default() };
        self.members.insert(id.clone(), member);
        if self.state == State::Stable && self.selected() == self.head.protocol {
            self.persist = true;
            let leads = can_skip && was_leader;
            let mut joined = self.current(cx, &id);
            if !leads {
                joined.members.clear();
            }
            joined.skip_assignment = leads;
            // Clients that don't know of skipping must not take themselves for the leader: they would assign anew.
            if !can_skip {
                joined.leader = old_leader.unwrap_or_default();
            }
            return Some(joined);
        }
        if let Some(member) = self.members.get_mut(&id) {
            member.joining = Some(Joining { token, can_skip });
        }
        self.rebalance(cx);
        None
    }

    /// What a member is told of the generation that there is.
    pub(super) fn current(&mut self, cx: &Context<'_>, id: &str) -> Joined {
        self.touch(cx, id);
        let protocol = self.head.protocol.as_deref().unwrap_or("");
        let members = self.members.iter().map(|(id, member)| {
            (id.clone(), member.row.instance.clone(), member.metadata(protocol).unwrap_or_default())
        });
        Joined {
            member: id.to_owned(),
            generation: self.head.generation,
            protocol_type: self.head.protocol_type.clone(),
            protocol: self.head.protocol.clone(),
            leader: self.head.leader.clone().unwrap_or_default(),
            skip_assignment: false,
            members: if self.is_leader(id) { members.collect() } else { Vec::new() },
        }
    }
}

impl Member {
    pub(super) fn knows(&self, protocol: &str) -> bool {
        self.row.protocols.iter().any(|(name, _)| name == protocol)
    }

    pub(super) fn metadata(&self, protocol: &str) -> Option<Bytes> {
        self.row.protocols.iter().find(|(name, _)| name == protocol).map(|(_, metadata)| metadata.clone())
    }
}

fn row(request: JoinRequest) -> ClassicMemberRow {
    ClassicMemberRow {
        instance: request.instance,
        client_id: request.client_id,
        client_host: request.client_host,
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        // Slices of the request would keep all of it.
        protocols: request
            .protocols
            .into_iter()
            .map(|(name, bytes)| (name, Bytes::copy_from_slice(&bytes)))
            .collect(),
        assignment: Bytes::new(),
    }
}
