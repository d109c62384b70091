//! LeaveGroup, and members that are put out.

use super::{ClassicGroup, Context, Refusal, State};

impl ClassicGroup {
    /// A member leaves; a static one may be named by its instance id alone, by an administrator.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstance`.
    pub fn leave(&mut self, cx: &Context<'_>, member: &str, instance: Option<&str>) -> Result<(), Refusal> {
        let id = match instance {
            Some(instance) => {
                let holder = self.statics.get(instance).ok_or(Refusal::UnknownMember)?;
                if !member.is_empty() && holder != member {
                    return Err(Refusal::FencedInstance);
                }
                holder.clone()
            }
            None if self.pending.remove(member).is_some() => {
                self.complete_if_all_joined(cx);
                return Ok(());
            }
            None if self.members.contains_key(member) => member.to_owned(),
            None => return Err(Refusal::UnknownMember),
        };
        self.remove(&id, &Refusal::UnknownMember);
        self.lost_a_member(cx);
        Ok(())
    }

    /// Puts out whoever was silent for too long, and ends what has taken its time.
    pub fn expire(&mut self, cx: &Context<'_>) {
        let pending = self.pending.len();
        self.pending.retain(|_, until| *until > cx.now);
        if self.pending.len() < pending {
            self.complete_if_all_joined(cx);
        }
        let late = |at: Option<std::time::Duration>| at.is_some_and(|at| at <= cx.now);
        let silent = self.members.iter().filter(|(_, member)| late(member.deadline));
        let silent: Vec<String> = silent.map(|(id, _)| id.clone()).collect();
        for id in &silent {
            self.remove(id, &Refusal::UnknownMember);
        }
        if !silent.is_empty() {
            self.lost_a_member(cx);
        }
        if late(self.join_phase.map(|phase| phase.at)) {
            self.join_phase_over(cx);
        }
        if late(self.sync_until) {
            self.sync_phase_over(cx);
        }
    }

    /// Members that never asked for their assignments are put out.
    fn sync_phase_over(&mut self, cx: &Context<'_>) {
        self.sync_until = None;
        let missing = self.members.iter().filter(|(_, member)| !member.synced);
        let missing: Vec<String> = missing.map(|(id, _)| id.clone()).collect();
        for id in &missing {
            self.remove(id, &Refusal::UnknownMember);
        }
        if !missing.is_empty() {
            self.lost_a_member(cx);
        }
    }

    fn lost_a_member(&mut self, cx: &Context<'_>) {
        match self.state {
            State::Completing | State::Stable => self.rebalance(cx),
            State::Preparing => self.complete_if_all_joined(cx),
            State::Empty => {}
        }
    }
}
