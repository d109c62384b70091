//! DescribeGroups and ListGroups.

use bytes::Bytes;

use super::{ClassicGroup, State};

/// A group as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Kafka's name of its state.
    pub state: &'static str,
    /// Its protocol type; empty if it never had members.
    pub protocol_type: String,
    /// The assignor, if all have their assignments.
    pub protocol: String,
    /// Its members.
    pub members: Vec<MemberView>,
}

/// A member as DescribeGroups shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MemberView {
    /// The member.
    pub id: String,
    /// The instance id of a static one.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where it is.
    pub client_host: String,
    /// Its subscription, if the group is stable.
    pub metadata: Bytes,
    /// Its assignment, if the group is stable.
    pub assignment: Bytes,
}

impl State {
    /// Kafka's name.
    pub fn name(self) -> &'static str {
        match self {
            State::Empty => "Empty",
            State::Preparing => "PreparingRebalance",
            State::Completing => "CompletingRebalance",
            State::Stable => "Stable",
        }
    }
}

impl ClassicGroup {
    /// The group's protocol type.
    pub fn protocol_type(&self) -> &str {
        &self.head.protocol_type
    }

    /// Since when it has been as its rows say, milliseconds since the Unix epoch.
    pub fn since(&self) -> i64 {
        self.head.since
    }

    /// The group as it is.
    pub fn view(&self) -> View {
        let stable = self.state == State::Stable;
        let protocol = self.head.protocol.clone().filter(|_| stable).unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| MemberView {
            id: id.clone(),
            instance: member.row.instance.clone(),
            client_id: member.row.client_id.clone(),
            client_host: member.row.client_host.clone(),
            metadata: if stable { member.metadata(&protocol).unwrap_or_default() } else { Bytes::new() },
            assignment: if stable { member.row.assignment.clone() } else { Bytes::new() },
        });
        View {
            state: self.state.name(),
            protocol_type: self.head.protocol_type.clone(),
            members: members.collect(),
            protocol,
        }
    }
}
