//! What is asked about a group without changing it.

use super::{Context, Group, Kind};
use crate::group::consumer;

impl Group {
    /// Whether its members are consumers, so that what they subscribe to can be known.
    pub fn speaks_consumer(&self) -> bool {
        match &self.kind {
            Kind::Classic(group) => group.speaks_consumer(),
            Kind::Consumer(_) => true,
        }
    }

    /// Whether a member subscribes to the topic, so that its offsets must stay. Where that can't be known, all topics are taken to be subscribed to.
    pub fn is_subscribed_to(&self, cx: &Context<'_>, topic: &str) -> bool {
        match &self.kind {
            Kind::Classic(group) => group.is_subscribed_to(topic),
            Kind::Consumer(group) => {
                group.is_subscribed_to(topic, cx.catalog.topic(topic).map(|topic| topic.id))
            }
        }
    }

    /// Whether rows say that there is such a group.
    pub fn is_written(&self) -> bool {
        self.exists
    }

    /// `consumer`, `connect`, …; empty if it never had members.
    pub fn protocol_type(&self) -> &str {
        match &self.kind {
            Kind::Classic(group) => group.protocol_type(),
            Kind::Consumer(_) => consumer::PROTOCOL_TYPE,
        }
    }

    /// Kafka's name of where it is.
    pub fn state_name(&self) -> &'static str {
        match &self.kind {
            Kind::Classic(group) => group.state().name(),
            Kind::Consumer(group) => group.state().name(),
        }
    }

    /// Kafka's name of its protocol.
    pub fn kind_name(&self) -> &'static str {
        match &self.kind {
            Kind::Classic(_) => "classic",
            Kind::Consumer(_) => "consumer",
        }
    }

    /// From when on the offsets of a group without members expire, milliseconds since the Unix epoch; `None`: from when each was committed.
    pub fn since(&self) -> Option<i64> {
        match &self.kind {
            Kind::Classic(group) => (!group.protocol_type().is_empty()).then(|| group.since()),
            Kind::Consumer(_) => None,
        }
    }
}
