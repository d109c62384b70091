//! A group of the classic protocol, as Kafka 4.2 serves it: JoinGroup, SyncGroup, Heartbeat, LeaveGroup. A pure machine.
//!
//! ```text
//!            join                 all have joined,            the leader's sync
//!  Empty ───────────▶ Preparing ──── or time is up ──▶ Completing ─────────────▶ Stable
//!    ▲                 ▲   │  ▲                            │                       │
//!    └── none is left ─┼───┘  └── join, leave, silence ────┴───────────────────────┘
//! ```
//!
//! [`ClassicGroup`] takes one request at a time, with the time and the settings as arguments. Answers, also those to requests that had to wait, are
//! fetched with [`ClassicGroup::take_answers`]; what must be durable before they are given, with [`ClassicGroup::take_changes`].
//!
//! Rows say what the group was when its last generation was complete. A coordinator that takes over begins there, with all timers anew: members that go
//! on heartbeating keep place, generation and assignment; those that were joining are told to find the new coordinator and join again.
//!
//! What it deliberately does not do: no clock, chance, I/O or waiting; it looks into no subscription and no assignment; of committed offsets it
//! only says who may touch them.

mod convert;
mod group;
mod join;
mod leave;
mod offsets;
mod rebalance;
mod sync;
mod view;

#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{ClassicHeadRow, ClassicMemberRow};

pub use group::ClassicGroup;
pub use view::{MemberView, View};

/// Names a request whose answer may have to wait. The caller's, never the same twice in a group.
pub type Token = u64;

/// What the cluster's configs say of classic groups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// `group.initial.rebalance.delay.ms`: how long a new group waits for more members.
    pub initial_delay: Duration,
    /// `group.min.session.timeout.ms`.
    pub min_session: Duration,
    /// `group.max.session.timeout.ms`.
    pub max_session: Duration,
    /// `group.max.size`: most members of a group.
    pub max_size: usize,
    /// Bytes of the group's id, which is part of every row's key.
    pub key_bytes: usize,
}

/// What every request is judged by.
#[derive(Debug, Clone, Copy)]
pub struct Context<'a> {
    /// Since the driver's start, on a clock that never goes back.
    pub now: Duration,
    /// Milliseconds since the Unix epoch, for the record.
    pub wall: i64,
    /// The configs.
    pub settings: &'a Settings,
}

/// Where a group is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// It has no members.
    #[default]
    Empty,
    /// Members join.
    Preparing,
    /// All have joined; the leader assigns.
    Completing,
    /// Every member has its assignment, or can fetch it.
    Stable,
}

/// Why a request is refused. The names are those of Kafka's errors.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Join anew, without an id.
    #[error("the group has no such member")]
    UnknownMember,
    /// Join again.
    #[error("the generation is not the group's")]
    IllegalGeneration,
    /// Join again.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// Nothing to retry: the others speak another protocol.
    #[error("the member's protocols are not supported by the group")]
    InconsistentProtocol,
    /// Another process has this instance id now: this one is over.
    #[error("another member has the instance id now")]
    FencedInstance,
    /// Nothing to retry.
    #[error(
        "the session timeout is not within group.min.session.timeout.ms and group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    /// The group has as many members as it may.
    #[error("the group has group.max.size members")]
    GroupFull,
    /// Join again under this id.
    #[error("join again with the member id {0}")]
    MemberIdRequired(String),
}

/// JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinRequest {
    /// The member; empty for a new one.
    pub member: String,
    /// The id that a new one gets, drawn by the driver.
    pub new_id: String,
    /// Whether a new one is first told its id and has to ask again (version 4 and above).
    pub needs_id: bool,
    /// Whether the client knows that a leader may have nothing to assign (version 9 and above).
    pub can_skip: bool,
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// Its client id.
    pub client_id: String,
    /// Where the request came from.
    pub client_host: String,
    /// How long it may be silent, milliseconds.
    pub session_timeout_ms: u32,
    /// How long it may take to join again, milliseconds.
    pub rebalance_timeout_ms: u32,
    /// `consumer`, `connect`, ….
    pub protocol_type: String,
    /// The assignors that it knows, by preference, each with its metadata.
    pub protocols: Vec<(String, Bytes)>,
}

/// What JoinGroup is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The member.
    pub member: String,
    /// The generation.
    pub generation: i32,
    /// The group's protocol type.
    pub protocol_type: String,
    /// The assignor.
    pub protocol: Option<String>,
    /// Who assigns.
    pub leader: String,
    /// The leader has nothing to do.
    pub skip_assignment: bool,
    /// For the leader: all members, with instance id and metadata.
    pub members: Vec<(String, Option<String>, Bytes)>,
}

/// SyncGroup.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SyncRequest {
    /// The member.
    pub member: String,
    /// Its instance id.
    pub instance: Option<String>,
    /// The generation that it joined.
    pub generation: i32,
    /// The group's protocol type, as it knows it.
    pub protocol_type: Option<String>,
    /// The assignor, as it knows it.
    pub protocol: Option<String>,
    /// From the leader: who gets what.
    pub assignments: Vec<(String, Bytes)>,
}

/// What SyncGroup is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Synced {
    /// The group's protocol type.
    pub protocol_type: String,
    /// The assignor.
    pub protocol: Option<String>,
    /// What the member gets.
    pub assignment: Bytes,
}

/// An answer to a request that was given a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// To a join.
    Join(Token, Result<Joined, Refusal>),
    /// To a sync.
    Sync(Token, Result<Synced, Refusal>),
}

/// One row that changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The head is this.
    Head(ClassicHeadRow),
    /// The member of this id is this.
    Member(String, Box<ClassicMemberRow>),
    /// There is no member of this id any more.
    Left(String),
}
