//! A group of the consumer protocol (KIP-848), as Kafka 4.2 serves it: a pure machine.
//!
//! [`ConsumerGroup`] takes one request at a time, with the time, the settings and the catalog as arguments, and answers at once; no answer of this
//! protocol waits for other members. What changed is in [`ConsumerGroup::take_changes`]: the driver writes it, and only then gives the
//! answers. A group is loaded by putting its rows through the same door, [`ConsumerGroup::apply`].
//!
//! How it works: members subscribe; each change of members, subscriptions or topics raises the *group epoch*; the next heartbeat makes
//! an assignor decide anew what each member shall own, its *target*; and each member is led to its target by its own heartbeats (`reconcile`):
//! it gives up what it must, then passes to the target's epoch and gets what is free. Members that speak the classic protocol
//! are served in the same way through JoinGroup, SyncGroup and Heartbeat (`classic`).
//!
//! What is guaranteed: a partition has at most one owner, and nobody is told to own it before its last owner said that it gave it up, left, or was
//! put out (`owners` refuses anything else); epochs only rise; members that go on heartbeating reach a full assignment.
//!
//! What it deliberately does not do: no clock, chance, I/O or waiting; no knowledge of leases; no committed offsets, of which it only says
//! who may touch them (`offsets`).

pub mod assign;
mod beat;
mod classic;
mod convert;
mod describe;
mod embedded;
mod leave;
mod machine;
mod offsets;
mod owners;
mod pattern;
mod reconcile;
mod request;
mod subscriptions;
mod timers;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use classic::{ClassicBeat, ClassicJoin, ClassicJoined, ClassicSync, ClassicSynced};
pub use convert::{ClassicMemberState, ClassicState};
pub use describe::{GroupState, MemberView, View};
pub use embedded::PROTOCOL_TYPE;
pub use leave::{Leaver, Left};
pub use machine::{Change, ConsumerGroup};
pub use offsets::{Committer, Committing};
pub use owners::TwoOwners;
pub use pattern::compile as compile_pattern;
pub use request::{AWAY_EPOCH, HeartbeatAnswer, HeartbeatRequest, LEAVE_EPOCH};

use crate::catalog::CatalogState;
use assign::Assignor;
use owners::TopicIdText;

/// What the cluster's configs say of consumer groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `group.consumer.session.timeout.ms`.
    pub session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub heartbeat_interval: Duration,
    /// `group.consumer.max.size`: most members of a group.
    pub max_size: usize,
    /// `group.max.size`: most members of a group of the classic protocol.
    pub classic_max_size: usize,
    /// `group.consumer.assignors`, the default first. Not empty.
    pub assignors: Vec<Assignor>,
    /// `group.consumer.migration.policy` is `upgrade` or `bidirectional`.
    pub upgrade: bool,
    /// `group.consumer.migration.policy` is `downgrade` or `bidirectional`.
    pub downgrade: bool,
}

impl Default for Settings {
    /// Kafka's defaults.
    fn default() -> Self {
        Settings {
            session_timeout: Duration::from_secs(45),
            heartbeat_interval: Duration::from_secs(5),
            max_size: i32::MAX as usize,
            classic_max_size: i32::MAX as usize,
            assignors: Assignor::ALL.to_vec(),
            upgrade: true,
            downgrade: true,
        }
    }
}

/// What every request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Since the driver's start, on a clock that never goes back.
    pub now: Duration,
    /// The configs.
    pub settings: &'a Settings,
    /// The topics.
    pub catalog: &'a CatalogState,
}

/// Why a request is refused. The names are those of Kafka's errors; what a caller should do is what its client does on them.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The request contradicts itself: nothing to retry.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// No such member: it should join anew.
    #[error("the group has no such member")]
    UnknownMember,
    /// The epoch is not the member's: it should give up all and join anew.
    #[error(
        "the member epoch {received} is not {expected}, the one known by the group coordinator: the member must abandon all its partitions and rejoin"
    )]
    FencedMemberEpoch {
        /// What the request said.
        received: i32,
        /// What the member is at.
        expected: i32,
    },
    /// The epoch of a request about offsets is not the member's: ask again with the epoch of the next heartbeat.
    #[error("the member epoch {received} is not {expected}")]
    StaleMemberEpoch {
        /// What the request said.
        received: i32,
        /// What the member is at.
        expected: i32,
    },
    /// Another member has this instance id now: this one is over.
    #[error("another member has the instance id now")]
    FencedInstance,
    /// A member that is not away has this instance id.
    #[error("the instance id is still owned by member {0}")]
    UnreleasedInstance(String),
    /// The group has no such assignor.
    #[error("the assignor {0} is not supported, only {1}")]
    UnsupportedAssignor(String, String),
    /// The pattern is not a regular expression.
    #[error("SubscribedTopicRegex is not a valid regular expression: {0}")]
    InvalidRegex(String),
    /// The group has as many members as it may.
    #[error("the group has reached its maximum capacity of {0} members")]
    GroupFull(usize),
    /// The group can't be converted, so that to this protocol it isn't there.
    #[error("{0}")]
    NotThisProtocol(&'static str),
    /// A member that speaks the classic protocol: not its generation.
    #[error("the generation {received} is not {expected}")]
    IllegalGeneration {
        /// What the request said.
        received: i32,
        /// What the member is at.
        expected: i32,
    },
    /// A member that speaks the classic protocol: no assignor that all such members know, or bytes that aren't a subscription.
    #[error("the member's protocols are not supported by the group")]
    InconsistentProtocol,
    /// A member that speaks the classic protocol should join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// A member that speaks the classic protocol should join again under this id.
    #[error("join again with the member id {0}")]
    MemberIdRequired(String),
    /// An offset of a partition that another member has by now: what was done with its records must not take effect.
    #[error("partition {partition} of topic {topic} is another member's by now")]
    OwnedByAnother {
        /// The topic.
        topic: TopicIdText,
        /// The partition.
        partition: u32,
    },
    /// Members of the consumer protocol commit with version 9 or above.
    #[error("OffsetCommit version 9 or above must be used by members of the consumer group protocol")]
    UnsupportedVersion,
}
