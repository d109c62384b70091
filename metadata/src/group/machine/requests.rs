//! Requests, passed to whichever machine the group is.

use std::time::Duration;

use super::{Context, Group, Kind};
use crate::group::classic::{self, Answer, ClassicGroup, JoinRequest, Joined, SyncRequest, Synced, Token};
use crate::group::consumer::{
    self, ClassicBeat, ClassicJoin, ClassicSync, Committer, Committing, ConsumerGroup, HeartbeatAnswer,
    HeartbeatRequest, Leaver,
};

impl Group {
    /// ConsumerGroupHeartbeat. A request that names no member id has been given one.
    ///
    /// # Errors
    /// Why it is refused; nothing has changed then.
    pub fn consumer_heartbeat(
        &mut self,
        cx: &Context<'_>,
        request: &HeartbeatRequest,
    ) -> Result<HeartbeatAnswer, consumer::Refusal> {
        match &mut self.kind {
            Kind::Consumer(group) => {
                let answer = group.heartbeat(&cx.consumer(), request);
                self.go_back(cx);
                answer
            }
            Kind::Classic(_) if request.epoch != 0 => {
                Err(consumer::Refusal::NotThisProtocol("The group is not a consumer group."))
            }
            Kind::Classic(group) => {
                let cx = cx.consumer();
                let mut new = if group.is_idle() {
                    ConsumerGroup::default()
                } else {
                    ConsumerGroup::from_classic(&cx, &group.to_state())?
                };
                let answer = new.heartbeat(&cx, request)?;
                self.become_kind(Kind::Consumer(new));
                Ok(answer)
            }
        }
    }

    /// JoinGroup, to be answered under `token`.
    pub fn join(&mut self, cx: &Context<'_>, token: Token, request: JoinRequest) {
        if matches!(&self.kind, Kind::Consumer(group) if group.is_empty()) {
            self.become_kind(Kind::Classic(ClassicGroup::default()));
        }
        match &mut self.kind {
            Kind::Classic(group) => group.join(&cx.classic(), token, request),
            Kind::Consumer(group) => {
                let joined = join_consumer(cx, group, request);
                self.answers.push(Answer::Join(token, joined));
                self.go_back(cx);
            }
        }
    }

    /// SyncGroup, to be answered under `token`.
    pub fn sync(&mut self, cx: &Context<'_>, token: Token, request: SyncRequest) {
        match &mut self.kind {
            Kind::Classic(group) => group.sync(&cx.classic(), token, request),
            Kind::Consumer(group) => {
                let SyncRequest { member, instance, generation, protocol_type, protocol, .. } = request;
                let sync =
                    ClassicSync { member, instance, generation, protocol_type, protocol: protocol.clone() };
                let synced = group.classic_sync(&cx.consumer(), &sync).map_err(as_classic);
                let synced = synced.map(|synced| Synced {
                    protocol_type: consumer::PROTOCOL_TYPE.to_owned(),
                    protocol,
                    assignment: synced.assignment,
                });
                self.answers.push(Answer::Sync(token, synced));
            }
        }
    }

    /// Heartbeat.
    ///
    /// # Errors
    /// Why it is refused; `RebalanceInProgress`: the member should join again.
    pub fn heartbeat(
        &mut self,
        cx: &Context<'_>,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), classic::Refusal> {
        match &mut self.kind {
            Kind::Classic(group) => group.heartbeat(&cx.classic(), member, instance, generation),
            Kind::Consumer(group) => {
                let (member, instance) = (member.to_owned(), instance.map(str::to_owned));
                let beat = ClassicBeat { member, instance, generation };
                group.classic_heartbeat(&cx.consumer(), &beat).map_err(as_classic)
            }
        }
    }

    /// LeaveGroup: for each leaver the member id, found out if only the instance id was given, and whether it has left.
    pub fn leave(
        &mut self,
        cx: &Context<'_>,
        leavers: &[Leaver],
    ) -> Vec<(String, Result<(), classic::Refusal>)> {
        let results = match &mut self.kind {
            Kind::Classic(group) => {
                let cx = cx.classic();
                let mut leave = |leaver: &Leaver| {
                    let result = group.leave(&cx, &leaver.member, leaver.instance.as_deref());
                    (leaver.member.clone(), result)
                };
                leavers.iter().map(&mut leave).collect()
            }
            Kind::Consumer(group) => {
                let left = group.leave(&cx.consumer(), leavers);
                left.into_iter().map(|left| (left.member, left.result.map_err(as_classic))).collect()
            }
        };
        self.go_back(cx);
        results
    }

    /// Whether these offsets may be committed. `version` is OffsetCommit's, or `None` for a transaction.
    ///
    /// # Errors
    /// Why not.
    pub fn may_commit(
        &mut self,
        cx: &Context<'_>,
        who: &Committer<'_>,
        how: Committing<'_>,
    ) -> Result<(), consumer::Refusal> {
        match &mut self.kind {
            Kind::Classic(group) => {
                let transactional = matches!(how, Committing::With(_));
                let result =
                    group.may_commit(&cx.classic(), who.member, who.instance, who.epoch, transactional);
                result.map_err(|refusal| as_consumer(refusal, who.epoch, group.generation()))
            }
            Kind::Consumer(group) => group.may_commit(who, how),
        }
    }

    /// Whether these offsets may be read; `who` is `None` if the request names no member. Readers of classic groups needn't be members.
    ///
    /// # Errors
    /// Why not.
    pub fn may_fetch(&self, who: Option<&Committer<'_>>) -> Result<(), consumer::Refusal> {
        match &self.kind {
            Kind::Classic(_) => Ok(()),
            Kind::Consumer(group) => group.may_fetch(who),
        }
    }
}

/// A member of the classic protocol joins a group of the consumer protocol. It is never the leader.
fn join_consumer(
    cx: &Context<'_>,
    group: &mut ConsumerGroup,
    request: JoinRequest,
) -> Result<Joined, classic::Refusal> {
    let session = Duration::from_millis(u64::from(request.session_timeout_ms));
    let classic::Settings { min_session, max_session, .. } = cx.settings.classic;
    if session < min_session || session > max_session {
        return Err(classic::Refusal::InvalidSessionTimeout);
    }
    let signed = |millis: u32| i32::try_from(millis).unwrap_or(i32::MAX);
    let drawn = request.member.is_empty();
    let join = ClassicJoin {
        member: if drawn { request.new_id } else { request.member },
        drawn,
        two_steps: request.needs_id,
        instance: request.instance,
        session_timeout_ms: signed(request.session_timeout_ms),
        rebalance_timeout_ms: signed(request.rebalance_timeout_ms),
        protocol_type: request.protocol_type,
        protocols: request.protocols,
        client_id: request.client_id,
        client_host: request.client_host,
    };
    let joined = group.classic_join(&cx.consumer(), &join).map_err(as_classic)?;
    Ok(Joined {
        member: joined.member,
        generation: joined.generation,
        protocol_type: consumer::PROTOCOL_TYPE.to_owned(),
        protocol: Some(joined.protocol),
        leader: String::new(),
        skip_assignment: false,
        members: Vec::new(),
    })
}

/// What a member of the classic protocol is told.
fn as_classic(refusal: consumer::Refusal) -> classic::Refusal {
    match refusal {
        consumer::Refusal::FencedInstance => classic::Refusal::FencedInstance,
        consumer::Refusal::GroupFull(_) => classic::Refusal::GroupFull,
        consumer::Refusal::IllegalGeneration { .. } => classic::Refusal::IllegalGeneration,
        consumer::Refusal::InconsistentProtocol => classic::Refusal::InconsistentProtocol,
        consumer::Refusal::MemberIdRequired(id) => classic::Refusal::MemberIdRequired(id),
        consumer::Refusal::RebalanceInProgress => classic::Refusal::RebalanceInProgress,
        // The others concern heartbeats of the consumer protocol alone.
        _ => classic::Refusal::UnknownMember,
    }
}

/// What is told to somebody who commits offsets.
fn as_consumer(refusal: classic::Refusal, received: i32, expected: i32) -> consumer::Refusal {
    match refusal {
        classic::Refusal::FencedInstance => consumer::Refusal::FencedInstance,
        classic::Refusal::IllegalGeneration => consumer::Refusal::IllegalGeneration { received, expected },
        classic::Refusal::RebalanceInProgress => consumer::Refusal::RebalanceInProgress,
        // The others concern joins alone.
        _ => consumer::Refusal::UnknownMember,
    }
}
