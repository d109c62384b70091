//! What members of the classic protocol keep in opaque bytes: their subscriptions and assignments (the "consumer" embedded protocol).

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_kafka::consumer_protocol_assignment::TopicPartitions;
use siltstone_kafka::{ConsumerProtocolAssignment, ConsumerProtocolSubscription, versioned};
use siltstone_log::Partitions;

use super::Refusal;
use crate::catalog::CatalogState;

/// The protocol type of groups that keep these bytes.
pub const PROTOCOL_TYPE: &str = "consumer";

/// What a member subscribes to, and what it has.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscription {
    pub(super) version: i16,
    pub(super) topics: BTreeSet<String>,
    pub(super) owned: Partitions,
    /// Whether it says that it has anything, if only of topics that are gone.
    pub(super) owns_any: bool,
    pub(super) rack: Option<String>,
}

/// Reads the subscription in the first of a member's protocols: a client puts the same into each.
pub(super) fn subscription(
    protocols: &[(String, Bytes)],
    catalog: &CatalogState,
) -> Result<Subscription, Refusal> {
    let (_, bytes) = protocols.first().ok_or(Refusal::InconsistentProtocol)?;
    let read = versioned::decode::<ConsumerProtocolSubscription>(bytes);
    let (version, read) = read.map_err(|_| Refusal::InconsistentProtocol)?;
    let owned = read.owned_partitions.iter().map(|topic| (topic.topic.as_str(), topic.partitions.as_slice()));
    Ok(Subscription {
        version,
        owned: partitions(owned, catalog),
        owns_any: !read.owned_partitions.is_empty(),
        topics: read.topics.into_iter().collect(),
        rack: read.rack_id.filter(|rack| !rack.is_empty()),
    })
}

/// Reads an assignment; no bytes are none. Topics that are not there, and partitions that they don't have, are left out.
pub(super) fn assignment(bytes: &Bytes, catalog: &CatalogState) -> Result<Partitions, Refusal> {
    if bytes.is_empty() {
        return Ok(Partitions::new());
    }
    let read = versioned::decode::<ConsumerProtocolAssignment>(bytes);
    let (_, read) = read.map_err(|_| Refusal::InconsistentProtocol)?;
    let topics = read.assigned_partitions.iter();
    Ok(partitions(topics.map(|topic| (topic.topic.as_str(), topic.partitions.as_slice())), catalog))
}

fn partitions<'a>(topics: impl Iterator<Item = (&'a str, &'a [i32])>, catalog: &CatalogState) -> Partitions {
    let mut all = Partitions::new();
    for (name, indices) in topics {
        let Some(topic) = catalog.topic(name) else { continue };
        let indices = indices.iter().filter_map(|index| u32::try_from(*index).ok());
        let indices: BTreeSet<u32> = indices.filter(|index| *index < topic.partitions).collect();
        if !indices.is_empty() {
            all.entry(topic.id).or_default().extend(indices);
        }
    }
    all
}

/// Writes an assignment in the version of the member's subscription. Topics that are not there any more are left out.
pub(super) fn encode(assigned: &Partitions, version: i16, catalog: &CatalogState) -> Bytes {
    let topics = assigned.iter().filter_map(|(id, indices)| {
        let topic = catalog.by_id(*id)?.name.clone();
        let partitions = indices.iter().filter_map(|index| i32::try_from(*index).ok()).collect();
        Some(TopicPartitions { topic, partitions })
    });
    let message = ConsumerProtocolAssignment { assigned_partitions: topics.collect(), user_data: None };
    // The versions differ in name only, and nothing in the message is too long to be written.
    versioned::encode(&message, version.clamp(0, 3)).unwrap_or_default()
}
