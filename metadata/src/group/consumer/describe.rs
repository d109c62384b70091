//! What ConsumerGroupDescribe and ListGroups show of a group.

use siltstone_log::{ConsumerMemberRow, ConsumerMemberState, Partitions};

use super::{ConsumerGroup, Settings};

/// How far a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupState {
    /// Nobody is in it.
    Empty,
    /// Who shall own what is to be decided anew.
    Assigning,
    /// Members are on the way to their targets.
    Reconciling,
    /// All members own what they shall.
    Stable,
}

impl GroupState {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            GroupState::Empty => "Empty",
            GroupState::Assigning => "Assigning",
            GroupState::Reconciling => "Reconciling",
            GroupState::Stable => "Stable",
        }
    }
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// How far it is.
    pub state: GroupState,
    /// Its epoch.
    pub epoch: i32,
    /// The epoch of the targets.
    pub assignment_epoch: i32,
    /// The assignor in use.
    pub assignor: &'static str,
    /// Its members, by id.
    pub members: Vec<MemberView>,
}

/// A member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// Its id.
    pub member: String,
    /// Its instance id.
    pub instance: Option<String>,
    /// Where it is.
    pub rack: Option<String>,
    /// Its epoch.
    pub epoch: i32,
    /// Its client id.
    pub client_id: String,
    /// Where its last request came from.
    pub client_host: String,
    /// Topics by name, in order.
    pub topics: Vec<String>,
    /// Its pattern.
    pub regex: Option<String>,
    /// What it owns.
    pub assigned: Partitions,
    /// What it shall own.
    pub target: Partitions,
    /// Whether it speaks the classic protocol.
    pub classic: bool,
}

impl ConsumerGroup {
    /// How far the group is.
    pub fn state(&self) -> GroupState {
        let reconciled = |row: &ConsumerMemberRow| {
            row.state == ConsumerMemberState::Stable && row.epoch == self.head.target_epoch
        };
        if self.members.is_empty() {
            GroupState::Empty
        } else if self.head.epoch > self.head.target_epoch {
            GroupState::Assigning
        } else if self.members.values().all(reconciled) {
            GroupState::Stable
        } else {
            GroupState::Reconciling
        }
    }

    /// All that is shown of it.
    pub fn describe(&self, settings: &Settings) -> View {
        let member = |(id, row): (&String, &ConsumerMemberRow)| MemberView {
            member: id.clone(),
            instance: row.instance.clone(),
            rack: row.rack.clone(),
            epoch: row.epoch,
            client_id: row.client_id.clone(),
            client_host: row.client_host.clone(),
            topics: row.topics.iter().cloned().collect(),
            regex: row.regex.clone(),
            assigned: row.assigned.clone(),
            target: row.target.clone(),
            classic: row.classic.is_some(),
        };
        View {
            state: self.state(),
            epoch: self.head.epoch,
            assignment_epoch: self.head.target_epoch,
            assignor: self.preferred(settings).name(),
            members: self.members.iter().map(member).collect(),
        }
    }
}
