//! The online move of a group between the protocols (KIP-848): what one machine hands to the other.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::{ClassicPart, ConsumerHeadRow, ConsumerMemberRow, ConsumerMemberState};

use super::{Change, ConsumerGroup, Context, Refusal, embedded};

/// A classic group, as far as the other protocol can know it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicState {
    /// Its protocol type: only "consumer" can be converted.
    pub protocol_type: String,
    /// Its generation.
    pub generation: i32,
    /// Its members.
    pub members: Vec<ClassicMemberState>,
    /// Whether its members must join again, as some have left or want something else.
    pub rebalance: bool,
}

/// A member of a classic group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicMemberState {
    /// Its id.
    pub member: String,
    /// Its instance id.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Milliseconds.
    pub session_timeout_ms: i32,
    /// Milliseconds.
    pub rebalance_timeout_ms: i32,
    /// Its assignors with its subscription, by preference.
    pub protocols: Vec<(String, Bytes)>,
    /// What it was assigned in this generation.
    pub assignment: Bytes,
}

impl ConsumerGroup {
    /// Makes a group of the consumer protocol from a classic one. All of its rows are new: they replace the classic group's in the transaction of
    /// the heartbeat that brought it about. The members go on with what they have.
    ///
    /// # Errors
    /// The group can't be converted: it stays what it is.
    pub fn from_classic(cx: &Context<'_>, state: &ClassicState) -> Result<Self, Refusal> {
        if !cx.settings.upgrade {
            return Err(Refusal::NotThisProtocol(
                "Cannot upgrade the classic group because online upgrade is disabled.",
            ));
        }
        if state.protocol_type != embedded::PROTOCOL_TYPE {
            return Err(Refusal::NotThisProtocol(
                "Cannot upgrade the classic group because it does not use the consumer embedded protocol.",
            ));
        }
        if state.members.len() > cx.settings.max_size {
            return Err(Refusal::NotThisProtocol(
                "Cannot upgrade the classic group because its size exceeds the consumer group maximum size.",
            ));
        }
        let mut group = ConsumerGroup::default();
        for member in &state.members {
            let row = group.row_of(cx, state.generation, member).map_err(|_| {
                Refusal::NotThisProtocol(
                    "Cannot upgrade the classic group because its embedded protocol is malformed.",
                )
            })?;
            group.change_member(&member.member, row);
        }
        group.subscriptions.resolve(cx.catalog);
        let (epoch, topics_digest) = (state.generation.max(1), group.subscriptions.digest(cx.catalog));
        group.change(Change::Head(ConsumerHeadRow { epoch, target_epoch: epoch, topics_digest }));
        group.start_timers(cx);
        Ok(group)
    }

    fn row_of(
        &self,
        cx: &Context<'_>,
        generation: i32,
        member: &ClassicMemberState,
    ) -> Result<ConsumerMemberRow, Refusal> {
        let subscription = embedded::subscription(&member.protocols, cx.catalog)?;
        let mut assigned = embedded::assignment(&member.assignment, cx.catalog)?;
        // The bytes come from the group's leader. A partition that it gave to two members stays with the first.
        for (topic, partitions) in &mut assigned {
            partitions.retain(|partition| self.owners.free_for(&member.member, *topic, *partition));
        }
        assigned.retain(|_, partitions| !partitions.is_empty());
        Ok(ConsumerMemberRow {
            instance: member.instance.clone(),
            rack: subscription.rack,
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            rebalance_timeout_ms: member.rebalance_timeout_ms.max(0),
            topics: subscription.topics,
            classic: Some(ClassicPart {
                session_timeout_ms: member.session_timeout_ms.max(0),
                protocols: member.protocols.clone(),
            }),
            epoch: generation.max(1),
            previous_epoch: generation.max(1),
            state: ConsumerMemberState::Stable,
            target: assigned.clone(),
            assigned,
            ..ConsumerMemberRow::default()
        })
    }

    /// Whether the group becomes a classic one when these members go.
    pub(super) fn may_downgrade(&self, cx: &Context<'_>, going: &BTreeSet<String>) -> bool {
        let mut staying = self.members.iter().filter(|(id, _)| !going.contains(*id)).map(|(_, row)| row);
        let count = self.members.len() - going.iter().filter(|id| self.members.contains_key(*id)).count();
        cx.settings.downgrade
            && (1..=cx.settings.classic_max_size).contains(&count)
            && staying.all(|row| row.classic.is_some())
    }

    /// Becomes a classic group of the members that stay. This one is empty then.
    pub(super) fn downgrade(&mut self, cx: &Context<'_>, going: &BTreeSet<String>, rebalance: bool) {
        let staying = self.members.iter().filter(|(id, _)| !going.contains(*id));
        let members = staying.filter_map(|(id, row)| classic_member(cx, id, row)).collect();
        self.downgraded = Some(ClassicState {
            protocol_type: embedded::PROTOCOL_TYPE.to_owned(),
            generation: self.head.epoch,
            members,
            rebalance,
        });
        let all: Vec<String> = self.members.keys().cloned().collect();
        for id in all {
            self.timers.forget(&id);
            self.change(Change::Left(id));
        }
    }
}

fn classic_member(cx: &Context<'_>, id: &str, row: &ConsumerMemberRow) -> Option<ClassicMemberState> {
    let classic = row.classic.as_ref()?;
    // Read when the member joined, or it would not be here.
    let version =
        embedded::subscription(&classic.protocols, cx.catalog).map_or(0, |subscription| subscription.version);
    Some(ClassicMemberState {
        member: id.to_owned(),
        instance: row.instance.clone(),
        client_id: row.client_id.clone(),
        client_host: row.client_host.clone(),
        session_timeout_ms: classic.session_timeout_ms,
        rebalance_timeout_ms: row.rebalance_timeout_ms,
        protocols: classic.protocols.clone(),
        assignment: embedded::encode(&row.assigned, version, cx.catalog),
    })
}
