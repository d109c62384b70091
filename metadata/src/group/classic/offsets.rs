//! Who may commit offsets of the group.

use siltstone_kafka::{ConsumerProtocolSubscription, versioned};

use super::{ClassicGroup, Context, Refusal, State};

impl ClassicGroup {
    /// Whether these offsets may be committed, by a member or, with a negative generation and no member, by a tool or a consumer that
    /// joins no group. To commit is a sign of life.
    ///
    /// # Errors
    /// `UnknownMember`, `FencedInstance`, `IllegalGeneration`, `RebalanceInProgress`.
    pub fn may_commit(
        &mut self,
        cx: &Context<'_>,
        member: &str,
        instance: Option<&str>,
        generation: i32,
        transactional: bool,
    ) -> Result<(), Refusal> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation >= 0 || !member.is_empty() || instance.is_some() {
            self.check_member(member, instance)?;
            if !transactional {
                self.touch(cx, member);
            }
            if generation != self.head.generation {
                return Err(Refusal::IllegalGeneration);
            }
        } else if !transactional {
            return Err(Refusal::UnknownMember);
        }
        // Members have been told to join, and some may own by now what others commit.
        if self.state == State::Completing && !transactional {
            return Err(Refusal::RebalanceInProgress);
        }
        Ok(())
    }

    /// Whether its members are consumers, so that what they subscribe to can be known.
    pub fn speaks_consumer(&self) -> bool {
        self.head.protocol_type == "consumer"
    }

    /// Whether a member subscribes to a topic, so that its offsets must stay. Where that can't be read, all are taken to be subscribed to.
    pub fn is_subscribed_to(&self, topic: &str) -> bool {
        self.members.values().any(|member| {
            let Some((_, bytes)) = member.row.protocols.first() else { return true };
            match versioned::decode::<ConsumerProtocolSubscription>(bytes) {
                Ok((_, subscription)) => subscription.topics.iter().any(|name| name == topic),
                Err(_) => true,
            }
        })
    }
}
