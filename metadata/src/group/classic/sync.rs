//! SyncGroup and Heartbeat.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{Answer, ClassicGroup, Context, Refusal, State, SyncRequest, Synced, Token};

impl ClassicGroup {
    /// A member asks for its assignment; the leader brings all of them. Answered now, or once the leader has.
    pub fn sync(&mut self, cx: &Context<'_>, token: Token, request: SyncRequest) {
        match self.try_sync(cx, token, request) {
            Ok(None) => {}
            Ok(Some(synced)) => self.answers.push(Answer::Sync(token, Ok(synced))),
            Err(refusal) => self.answers.push(Answer::Sync(token, Err(refusal))),
        }
    }

    /// `None`: it waits, or was answered with all others.
    fn try_sync(
        &mut self,
        cx: &Context<'_>,
        token: Token,
        request: SyncRequest,
    ) -> Result<Option<Synced>, Refusal> {
        self.check_member(&request.member, request.instance.as_deref())?;
        if request.generation != self.head.generation {
            return Err(Refusal::IllegalGeneration);
        }
        let other_type = request.protocol_type.is_some_and(|name| name != self.head.protocol_type);
        if other_type || request.protocol.is_some() && request.protocol != self.head.protocol {
            return Err(Refusal::InconsistentProtocol);
        }
        match self.state {
            State::Empty => Err(Refusal::UnknownMember),
            State::Preparing => Err(Refusal::RebalanceInProgress),
            State::Stable => {
                self.synced(&request.member);
                self.touch(cx, &request.member);
                Ok(Some(self.assignment(&request.member)))
            }
            State::Completing => {
                let leads = self.is_leader(&request.member);
                if let Some(member) = self.members.get_mut(&request.member) {
                    let before = member.syncing.replace(token);
                    member.deadline = None;
                    // A request that was sent again: nobody listens to the first.
                    let refuse = |token| Answer::Sync(token, Err(Refusal::RebalanceInProgress));
                    self.answers.extend(before.map(refuse));
                }
                self.synced(&request.member);
                if leads {
                    self.assign(cx, request.assignments);
                }
                Ok(None)
            }
        }
    }

    fn synced(&mut self, id: &str) {
        if let Some(member) = self.members.get_mut(id) {
            member.synced = true;
        }
        if self.members.values().all(|member| member.synced) {
            self.sync_until = None;
        }
    }

    /// The generation is complete: everybody gets what the leader gave.
    fn assign(&mut self, cx: &Context<'_>, assignments: Vec<(String, Bytes)>) {
        let mut assignments: BTreeMap<String, Bytes> = assignments.into_iter().collect();
        self.state = State::Stable;
        self.persist = true;
        let ids: Vec<String> = self.members.keys().cloned().collect();
        for id in ids {
            let assignment = assignments.remove(&id).unwrap_or_default();
            let Some(member) = self.members.get_mut(&id) else { continue };
            // A slice of the request would keep all of it.
            member.row.assignment = Bytes::copy_from_slice(&assignment);
            let waiting = member.syncing.take();
            member.touch(cx.now);
            if let Some(token) = waiting {
                let synced = self.assignment(&id);
                self.answers.push(Answer::Sync(token, Ok(synced)));
            }
        }
    }

    fn assignment(&self, id: &str) -> Synced {
        Synced {
            protocol_type: self.head.protocol_type.clone(),
            protocol: self.head.protocol.clone(),
            assignment: self.members.get(id).map(|member| member.row.assignment.clone()).unwrap_or_default(),
        }
    }

    /// A member lives.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstance`, `IllegalGeneration`; `RebalanceInProgress`: it should join again.
    pub fn heartbeat(
        &mut self,
        cx: &Context<'_>,
        member: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(), Refusal> {
        self.check_member(member, instance)?;
        if generation != self.head.generation {
            return Err(Refusal::IllegalGeneration);
        }
        match self.state {
            State::Empty => return Err(Refusal::UnknownMember),
            State::Preparing | State::Completing | State::Stable => self.touch(cx, member),
        }
        if self.state == State::Preparing { Err(Refusal::RebalanceInProgress) } else { Ok(()) }
    }
}
