//! What a group of the classic protocol hands to one of the consumer protocol, and takes from it (KIP-848, online migration).

use siltstone_log::{ClassicHeadRow, ClassicMemberRow};

use super::group::Member;
use super::{ClassicGroup, Context, Refusal, State};
use crate::group::consumer::{ClassicMemberState, ClassicState};

impl ClassicGroup {
    /// The group, as far as the other protocol can know it.
    pub(in crate::group) fn to_state(&self) -> ClassicState {
        let signed = |millis: u32| i32::try_from(millis).unwrap_or(i32::MAX);
        let members = self.members.iter().map(|(id, Member { row, .. })| ClassicMemberState {
            member: id.clone(),
            instance: row.instance.clone(),
            client_id: row.client_id.clone(),
            client_host: row.client_host.clone(),
            session_timeout_ms: signed(row.session_timeout_ms),
            rebalance_timeout_ms: signed(row.rebalance_timeout_ms),
            protocols: row.protocols.clone(),
            assignment: row.assignment.clone(),
        });
        ClassicState {
            protocol_type: self.head.protocol_type.clone(),
            generation: self.head.generation,
            members: members.collect(),
            rebalance: self.state != State::Stable,
        }
    }

    /// A group that was one of the consumer protocol, with members that know nothing of it.
    pub(in crate::group) fn from_state(cx: &Context<'_>, state: ClassicState) -> Self {
        let ClassicState { protocol_type, generation, members, rebalance } = state;
        let head = ClassicHeadRow { generation, protocol_type, since: cx.wall, ..ClassicHeadRow::default() };
        let mut group = ClassicGroup::default();
        (group.head, group.state, group.persist) = (head, State::Stable, true);
        for member in members {
            let (id, row) = row(member);
            if let Some(instance) = &row.instance {
                group.statics.insert(instance.clone(), id.clone());
            }
            group.head.leader.get_or_insert_with(|| id.clone());
            group.members.insert(id, Member { row, synced: true, ..Member::default() });
        }
        group.head.protocol = group.selected();
        group.start_timers(cx);
        if rebalance {
            group.rebalance(cx);
        }
        group
    }

    /// Tells all that wait to join again: the group is about to be one of the other protocol.
    pub(in crate::group) fn dissolve(&mut self) {
        for mut member in std::mem::take(&mut self.members).into_values() {
            self.refuse_waiting(&mut member, &Refusal::RebalanceInProgress);
        }
    }
}

fn row(member: ClassicMemberState) -> (String, ClassicMemberRow) {
    let unsigned = |millis: i32| u32::try_from(millis).unwrap_or(0);
    let row = ClassicMemberRow {
        instance: member.instance,
        client_id: member.client_id,
        client_host: member.client_host,
        session_timeout_ms: unsigned(member.session_timeout_ms),
        rebalance_timeout_ms: unsigned(member.rebalance_timeout_ms),
        protocols: member.protocols,
        assignment: member.assignment,
    };
    (member.member, row)
}
