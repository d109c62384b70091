//! Answers without records that can be many times as large as what was asked: all topics, all configs of a thousand of them.
//!
//! Guarantees (S11): memory for such an answer is reserved before it is made, by what it is about to describe, and what it takes is held
//! until the client has read it. It is not begun before all that the connection asked earlier is answered and sent: so who holds such
//! memory waits for nothing but its own client. Where the catalog does not say how large an answer will be, its memory is reserved once
//! it is known.

use std::sync::Arc;

use siltstone_kafka::describe_configs::request as describe_configs_request;
use siltstone_kafka::{Request, metadata};
use siltstone_log::TopicId;
use siltstone_metadata::catalog::CatalogState;

use super::config_change::Resource;
use super::context::Context;
use super::describe_configs;
use super::held::{Held, Room};
use crate::produce::Reservation;

/// Answers up to this size are not counted: a connection has few of them.
const SMALL: usize = 64 << 10;
/// What a topic takes in an answer, while it is made.
const TOPIC: usize = 300;
/// What a partition takes, its replicas and its encoded form included.
const PARTITION: usize = 200;
/// What a config takes, with its synonyms and documentation.
const CONFIG: usize = 500;
/// How many configs a topic has, about; and a broker.
const TOPIC_CONFIGS: usize = 60;
const BROKER_CONFIGS: usize = 250;

/// Whether the answer may be large.
pub(super) fn may_be(request: &Request) -> bool {
    matches!(
        request,
        Request::Metadata(_)
            | Request::DescribeTopicPartitions(_)
            | Request::DescribeConfigs(_)
            | Request::DescribeLogDirs(_)
            | Request::DescribeProducers(_)
            | Request::DescribeGroups(_)
            | Request::ConsumerGroupDescribe(_)
            | Request::DescribeTransactions(_)
            | Request::ListConfigResources(_)
            | Request::ListGroups(_)
            | Request::ListTransactions(_)
            | Request::ListOffsets(_)
            | Request::OffsetForLeaderEpoch(_)
            | Request::OffsetFetch(_)
    )
}

/// A request whose answer may be made now.
pub(super) struct Admitted {
    room: Arc<Room>,
    memory: Option<Reservation>,
}

/// Waits for memory if it is known that much is needed.
pub(super) async fn admit(cx: &Context, version: i16, request: &Request) -> Admitted {
    let room = Arc::clone(&cx.broker.descriptions);
    let bytes = weight(&cx.engine().catalog().state(), version, request);
    let memory = if bytes > SMALL { Some(room.reserve(bytes).await) } else { None };
    Admitted { room, memory }
}

impl Admitted {
    /// What the answer holds until it is written, now that its length is known.
    pub(super) async fn held(self, length: usize) -> Option<Held> {
        let Admitted { room, memory } = self;
        if length <= SMALL {
            return None;
        }
        let memory = match memory {
            Some(memory) => memory,
            None => room.reserve(length).await,
        };
        let mut held = Held::new(memory, room, None);
        held.shrink_to(length);
        Some(held)
    }
}

/// Bytes that an answer takes while it is made, as far as the request and the catalog tell. Pure.
fn weight(catalog: &CatalogState, version: i16, request: &Request) -> usize {
    match request {
        Request::Metadata(request) => match &request.topics {
            None => all_topics(catalog),
            Some(topics) if topics.is_empty() && version == 0 => all_topics(catalog),
            Some(topics) => topics.iter().map(|topic| named(catalog, topic)).sum(),
        },
        Request::DescribeLogDirs(request) if request.topics.is_none() => all_topics(catalog),
        Request::DescribeConfigs(request) => {
            let configs: usize = request.resources.iter().map(configs).sum();
            TOPIC * request.resources.len() + CONFIG * configs.min(describe_configs::MOST_CONFIGS)
        }
        _ => 0,
    }
}

fn configs(asked: &describe_configs_request::Resource) -> usize {
    let all = match Resource::from_wire(asked.resource_type) {
        Some(Resource::Topic) => TOPIC_CONFIGS,
        _ => BROKER_CONFIGS,
    };
    asked.configuration_keys.as_ref().map_or(all, |keys| keys.len().min(all))
}

fn all_topics(catalog: &CatalogState) -> usize {
    catalog.topics().values().map(|row| topic(row.partitions)).sum()
}

fn named(catalog: &CatalogState, asked: &metadata::request::Topic) -> usize {
    let row = match &asked.name {
        Some(name) => catalog.topic(name),
        None => catalog.by_id(TopicId(asked.topic_id.as_u128())),
    };
    topic(row.map_or(0, |row| row.partitions))
}

fn topic(partitions: u32) -> usize {
    TOPIC + PARTITION * partitions as usize
}
