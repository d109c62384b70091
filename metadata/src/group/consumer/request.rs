//! ConsumerGroupHeartbeat, apart from its wire format: what it says, and what makes it invalid by itself.

use siltstone_log::{ConsumerMemberRow, Partitions};

use super::assign::Assignor;
use super::{Refusal, Settings};

/// The epoch of a member that leaves.
pub const LEAVE_EPOCH: i32 = -1;
/// The epoch of a static member that leaves for a while.
pub const AWAY_EPOCH: i32 = -2;
const JOIN_EPOCH: i32 = 0;

/// One heartbeat. What is `None` is as it was before.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HeartbeatRequest {
    /// The member; drawn by the client, or, in version 0 and when it joins, empty: then the driver draws one and sets it.
    pub member: String,
    /// The member's epoch, 0 to join, [`LEAVE_EPOCH`] or [`AWAY_EPOCH`].
    pub epoch: i32,
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// Where the member is.
    pub rack: Option<String>,
    /// How long it may take to give up partitions, milliseconds.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics by name.
    pub topics: Option<Vec<String>>,
    /// A pattern for more topics; empty takes the one that was back.
    pub regex: Option<String>,
    /// The assignor that it asks for.
    pub assignor: Option<String>,
    /// All that it owns.
    pub owned: Option<Partitions>,
    /// Its client id.
    pub client_id: String,
    /// Where the request came from.
    pub client_host: String,
}

/// What a heartbeat is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeartbeatAnswer {
    /// The member.
    pub member: String,
    /// Its epoch from now on.
    pub epoch: i32,
    /// When to heartbeat next, milliseconds; 0 for one that leaves.
    pub interval_ms: i32,
    /// What it is to own, if that changed or the request told all about the member.
    pub assignment: Option<Partitions>,
}

impl HeartbeatRequest {
    /// What is wrong with the request by itself, in this version of the API.
    ///
    /// # Errors
    /// `InvalidRequest`, `UnsupportedAssignor`.
    pub fn check(&self, version: i16, settings: &Settings) -> Result<(), Refusal> {
        let named = version >= 1 || self.epoch > 0 || self.epoch == LEAVE_EPOCH;
        if named && self.member.is_empty() {
            return Err(Refusal::InvalidRequest("MemberId can't be empty."));
        }
        if self.instance.as_deref() == Some("") {
            return Err(Refusal::InvalidRequest("InstanceId can't be empty."));
        }
        if self.rack.as_deref() == Some("") {
            return Err(Refusal::InvalidRequest("RackId can't be empty."));
        }
        self.check_epoch()?;
        let known = |name: &String| {
            Assignor::by_name(name).is_some_and(|assignor| settings.assignors.contains(&assignor))
        };
        match self.assignor.as_ref().filter(|name| !known(name)) {
            Some(name) => {
                let all: Vec<&str> = settings.assignors.iter().map(|assignor| assignor.name()).collect();
                Err(Refusal::UnsupportedAssignor(name.clone(), all.join(", ")))
            }
            None => Ok(()),
        }
    }

    fn check_epoch(&self) -> Result<(), Refusal> {
        let wrong = match self.epoch {
            JOIN_EPOCH if self.rebalance_timeout_ms.is_none() => {
                "RebalanceTimeoutMs must be provided in first request."
            }
            JOIN_EPOCH if self.owned.as_ref().is_none_or(|owned| !owned.is_empty()) => {
                "TopicPartitions must be empty when (re-)joining."
            }
            JOIN_EPOCH if self.topics.is_none() && self.regex.is_none() => {
                "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."
            }
            AWAY_EPOCH if self.instance.is_none() => "InstanceId can't be null.",
            ..AWAY_EPOCH => "MemberEpoch is invalid.",
            _ => return Ok(()),
        };
        Err(Refusal::InvalidRequest(wrong))
    }

    pub(super) fn joins(&self) -> bool {
        self.epoch == JOIN_EPOCH
    }

    /// Whether it tells all about the member, as clients do when they join and after errors: then it wants to hear all, too.
    pub(super) fn is_full(&self) -> bool {
        let subscribed = self.topics.is_some() || self.regex.is_some();
        self.joins() || self.rebalance_timeout_ms.is_some() && subscribed && self.owned.is_some()
    }

    /// The pattern that it subscribes to, if it names one.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.regex.as_deref().filter(|regex| !regex.is_empty())
    }

    /// Puts what it says of the member into its row.
    pub(super) fn update(&self, row: &mut ConsumerMemberRow) {
        replace(&mut row.instance, &self.instance);
        replace(&mut row.rack, &self.rack);
        replace(&mut row.assignor, &self.assignor);
        if let Some(timeout) = self.rebalance_timeout_ms {
            row.rebalance_timeout_ms = timeout.max(0);
        }
        if let Some(topics) = &self.topics {
            row.topics = topics.iter().cloned().collect();
        }
        if self.regex.is_some() {
            row.regex = self.pattern().map(str::to_owned);
        }
        row.client_id.clone_from(&self.client_id);
        row.client_host.clone_from(&self.client_host);
        row.classic = None;
    }

    /// Whether [`update`](Self::update) would change the row.
    pub(super) fn changes(&self, row: &ConsumerMemberRow) -> bool {
        let same = |new: &Option<String>, old: &Option<String>| new.is_none() || new == old;
        let topics = self.topics.as_ref().is_none_or(|topics| {
            topics.iter().all(|topic| row.topics.contains(topic)) && topics.len() == row.topics.len()
        });
        let regex = self.regex.is_none() || self.pattern() == row.regex.as_deref();
        let timeout =
            self.rebalance_timeout_ms.is_none_or(|timeout| timeout.max(0) == row.rebalance_timeout_ms);
        let named = same(&self.instance, &row.instance)
            && same(&self.rack, &row.rack)
            && same(&self.assignor, &row.assignor);
        let client = self.client_id == row.client_id && self.client_host == row.client_host;
        !(topics && regex && timeout && named && client && row.classic.is_none())
    }
}

fn replace(old: &mut Option<String>, new: &Option<String>) {
    if new.is_some() {
        old.clone_from(new);
    }
}
