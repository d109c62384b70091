//! Server-side assignors of the consumer group protocol (KIP-848): who shall own which partition.
//!
//! An assignor is a pure function of the members' subscriptions, what each of them was to own before, and how many partitions
//! the topics have. It guarantees that the result gives each partition of a subscribed topic to exactly one member that
//! subscribes to it, and that equal input gives equal output on every agent. It knows nothing of epochs and of how members
//! get from what they own to what they shall own; that is `reconcile`.

mod balance;
mod range;
mod uniform;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{Partitions, TopicId};

/// The assignors that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Assignor {
    /// Equal numbers of partitions for all members that may have them; what was assigned stays where it can.
    Uniform,
    /// Each topic cut into contiguous ranges, so that equally cut topics put equal partition numbers on one member.
    Range,
}

impl Assignor {
    /// All of them, the default first.
    pub const ALL: [Assignor; 2] = [Assignor::Uniform, Assignor::Range];

    /// Its name in requests and configs.
    pub fn name(self) -> &'static str {
        match self {
            Assignor::Uniform => "uniform",
            Assignor::Range => "range",
        }
    }

    /// The assignor of that name.
    pub fn by_name(name: &str) -> Option<Assignor> {
        Assignor::ALL.into_iter().find(|assignor| assignor.name() == name)
    }

    /// Decides who shall own what. Every member of `group` is in the result, if with nothing.
    pub fn assign(self, group: &Group<'_>) -> Assignment {
        match self {
            Assignor::Uniform => uniform::assign(group),
            Assignor::Range => range::assign(group),
        }
    }
}

/// What a member wants and has.
#[derive(Debug, Clone)]
pub struct Subscriber<'a> {
    /// Its instance id, if it is a static member.
    pub instance: Option<&'a str>,
    /// The topics that it subscribes to; those that aren't among the group's topics don't exist.
    pub topics: &'a BTreeSet<TopicId>,
    /// What it was to own until now.
    pub current: &'a Partitions,
}

/// A group as an assignor sees it.
#[derive(Debug, Clone, Default)]
pub struct Group<'a> {
    /// By member id.
    pub members: BTreeMap<&'a str, Subscriber<'a>>,
    /// How many partitions each topic has that somebody subscribes to and that exists.
    pub topics: BTreeMap<TopicId, u32>,
}

/// What each member shall own, by member id.
pub type Assignment = BTreeMap<String, Partitions>;
