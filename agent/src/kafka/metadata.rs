//! Metadata, versions 0 to 13.
//!
//! As in Kafka: no list of topics means all of them (an empty one in version 0); a topic that is not there is made if request and broker allow
//! it. Kafka answers UNKNOWN_TOPIC_OR_PARTITION then and lets the client ask again; here the topic is there by the time of the answer.
//! Brokers are the agents that live and do not drain; a partition's replicas are those that [`crate::placement`] names, one in each zone, the same in
//! every agent's answer, and its leader is the one in the client's zone. The leader epoch is 0: any agent serves any partition, so that it
//! never matters who was asked before.

use std::collections::BTreeSet;
use std::sync::Arc;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::metadata::{Request, Response, request, response};
use siltstone_log::{PartitionId, TopicId, TopicRow};
use siltstone_metadata::catalog::CatalogState;

use super::context::Context;
use super::refused::Refused;
use super::{new_topic, topics};
use crate::placement::{Broker, Placement};

/// The first version in which topics are asked for by id.
const BY_ID: i16 = 12;
/// Versions in which the cluster's operations can be asked for.
const CLUSTER_OPERATIONS: std::ops::RangeInclusive<i16> = 8..=10;
/// Topics that one request may ask for: every topic of a large cluster.
const MOST_TOPICS: usize = 200_000;
/// Topics that are made for one request. The client asks again for the others.
const MOST_MADE: usize = 1_000;
/// How long a client waits for topics that are made for it.
const CREATE_MS: i32 = 30_000;

/// What a client wants to know of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Name(String),
    Id(TopicId),
}

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let wanted = match &request.topics {
        None => None,
        Some(topics) if topics.is_empty() && version == 0 => None,
        Some(topics) if topics.len() > MOST_TOPICS => {
            return refuse(&topics[..MOST_TOPICS], ErrorCode::InvalidRequest);
        }
        Some(topics) => match wanted(version, topics) {
            Ok(wanted) => Some(wanted),
            Err(code) => return refuse(topics, code),
        },
    };
    let (topics, error_code) = match &wanted {
        None => all(cx).await,
        Some(wanted) => {
            let create = request.allow_auto_topic_creation && cx.broker.broker_config().auto_create_topics;
            (named(cx, wanted, create).await, ErrorCode::None)
        }
    };
    let mut response = Response { topics, error_code: error_code.code(), ..cluster(cx) };
    if request.include_topic_authorized_operations {
        for topic in response.topics.iter_mut().filter(|topic| topic.error_code == 0) {
            topic.topic_authorized_operations = topics::TOPIC_OPERATIONS;
        }
    }
    if request.include_cluster_authorized_operations && CLUSTER_OPERATIONS.contains(&version) {
        response.cluster_authorized_operations = topics::CLUSTER_OPERATIONS;
    }
    response
}

/// What is asked for, each once. Pure.
///
/// # Errors
/// The code for all of it: a name is missing, or an id is given where there can't be one.
fn wanted(version: i16, topics: &[request::Topic]) -> Result<Vec<Wanted>, ErrorCode> {
    let mut seen = BTreeSet::new();
    let mut wanted = Vec::with_capacity(topics.len());
    for topic in topics {
        let id = TopicId(topic.topic_id.as_u128());
        let one = match &topic.name {
            _ if id != TopicId(0) && version < BY_ID => return Err(ErrorCode::InvalidRequest),
            None if version < BY_ID => return Err(ErrorCode::InvalidRequest),
            // Kafka has no better code for it.
            None if id == TopicId(0) => return Err(ErrorCode::UnknownServerError),
            Some(name) if id == TopicId(0) => Wanted::Name(name.clone()),
            _ => Wanted::Id(id),
        };
        if seen.insert(one.clone()) {
            wanted.push(one);
        }
    }
    Ok(wanted)
}

/// An answer to a request that is wrong as a whole.
fn refuse(asked: &[request::Topic], code: ErrorCode) -> Response {
    let topic = |asked: &request::Topic| response::Topic {
        error_code: code.code(),
        name: Some(asked.name.clone().unwrap_or_default()),
        topic_id: asked.topic_id,
        ..response::Topic::default()
    };
    Response { topics: asked.iter().map(topic).collect(), error_code: code.code(), ..Response::default() }
}

fn cluster(cx: &Context) -> Response {
    let placement = topics::placement(cx);
    let broker = |broker: &Broker| response::Broker {
        node_id: broker.node,
        host: broker.host.clone(),
        port: i32::from(broker.port),
        rack: broker.zone.clone(),
    };
    Response {
        cluster_id: Some(cx.engine().cluster().cluster_id.clone()),
        // Any of them does what a controller is asked for: the first that stays, so that all agents say the same.
        controller_id: placement.controller().map_or(-1, |broker| broker.node),
        brokers: placement.brokers().iter().map(broker).collect(),
        ..Response::default()
    }
}

/// All topics. If the catalog can't be confirmed, those that were there, and a code that says so.
async fn all(cx: &Context) -> (Vec<response::Topic>, ErrorCode) {
    let (catalog, code) = match topics::catalog(cx).await {
        Ok(catalog) => (catalog, ErrorCode::None),
        Err(refused) => (cx.engine().catalog().state(), refused.code),
    };
    let (placement, zone) = (topics::placement(cx), cx.zone(None));
    (catalog.topics().values().map(|row| present(&placement, zone, row)).collect(), code)
}

async fn named(cx: &Context, wanted: &[Wanted], create: bool) -> Vec<response::Topic> {
    let mut catalog = cx.engine().catalog().state();
    let mut unconfirmed = None;
    if wanted.iter().any(|wanted| look(&catalog, wanted).is_none()) {
        // Only a catalog as new as the request may say that there is no such topic.
        match topics::catalog(cx).await {
            Ok(fresh) => catalog = fresh,
            Err(refused) => unconfirmed = Some(refused),
        }
    }
    let mut refused = std::collections::BTreeMap::new();
    if create && unconfirmed.is_none() {
        let missing: Vec<&str> = wanted
            .iter()
            .filter(|wanted| look(&catalog, wanted).is_none())
            .filter_map(|wanted| if let Wanted::Name(name) = wanted { Some(name.as_str()) } else { None })
            .collect();
        if !missing.is_empty() {
            refused = make(cx, &catalog, &missing).await;
            catalog = cx.engine().catalog().state();
        }
    }
    let (placement, zone) = (topics::placement(cx), cx.zone(None));
    let answer = |wanted: &Wanted| match (look(&catalog, wanted), &unconfirmed, wanted) {
        (Some(row), _, _) => present(&placement, zone, row),
        (None, Some(refused), _) => absent(wanted, refused.code),
        (None, None, Wanted::Id(_)) => absent(wanted, ErrorCode::UnknownTopicId),
        (None, None, Wanted::Name(name)) => {
            let code = refused.get(name).copied().unwrap_or_else(|| code_of_absent(name));
            absent(wanted, code)
        }
    };
    wanted.iter().map(answer).collect()
}

/// Why there is no topic of this name: nobody made it, or nobody could.
pub(super) fn code_of_absent(name: &str) -> ErrorCode {
    match siltstone_configs::topic_name::validate(name) {
        Ok(()) => ErrorCode::UnknownTopicOrPartition,
        Err(error) => super::errors::topic_name(&error),
    }
}

/// Makes topics that a client asked for. Returns why those were not made that were not.
async fn make(
    cx: &Context,
    catalog: &CatalogState,
    missing: &[&str],
) -> std::collections::BTreeMap<String, ErrorCode> {
    let defaults = cx.broker.broker_config();
    let existing = catalog.topics().keys().map(String::as_str);
    let collisions = new_topic::collisions(missing.iter().copied(), existing);
    let mut refused = std::collections::BTreeMap::new();
    let mut accepted = Vec::new();
    for name in missing {
        let plan = match collisions.get(name) {
            Some(collision) => Err(Refused::from(collision.clone())),
            None => new_topic::automatic(name, &defaults),
        };
        match plan {
            Ok(_) if accepted.len() >= MOST_MADE => {
                refused.insert((*name).to_owned(), ErrorCode::LeaderNotAvailable);
            }
            Ok(new) => accepted.push(new),
            Err(error) => drop(refused.insert((*name).to_owned(), error.code)),
        }
    }
    let names: Vec<String> = accepted.iter().map(|new| new.name.clone()).collect();
    let made = topics::create(cx, accepted, topics::deadline(CREATE_MS)).await;
    for (name, result) in names.into_iter().zip(made) {
        match result {
            Ok(row) => {
                tracing::info!(topic = %row.name, partitions = row.partitions, "topic created on demand")
            }
            // Somebody else made it at the same time: the catalog may not have it here yet; the client asks again.
            Err(error) if error.code == ErrorCode::TopicAlreadyExists => {
                refused.insert(name, ErrorCode::LeaderNotAvailable);
            }
            Err(error) => drop(refused.insert(name, error.code)),
        }
    }
    refused
}

fn look<'a>(catalog: &'a CatalogState, wanted: &Wanted) -> Option<&'a Arc<TopicRow>> {
    match wanted {
        Wanted::Name(name) => catalog.topic(name),
        Wanted::Id(id) => catalog.by_id(*id),
    }
}

fn present(placement: &Placement, zone: Option<&str>, row: &TopicRow) -> response::Topic {
    let partition = |index: u32| {
        let (leader_id, nodes) = topics::nodes(placement, PartitionId { topic: row.id, index }, zone);
        response::Partition {
            error_code: 0,
            partition_index: index as i32,
            leader_id,
            leader_epoch: 0,
            replica_nodes: nodes.clone(),
            isr_nodes: nodes,
            offline_replicas: Vec::new(),
        }
    };
    response::Topic {
        name: Some(row.name.clone()),
        topic_id: row.id.uuid(),
        is_internal: topics::is_internal(&row.name),
        partitions: (0..row.partitions).map(partition).collect(),
        ..response::Topic::default()
    }
}

fn absent(wanted: &Wanted, code: ErrorCode) -> response::Topic {
    let mut topic = response::Topic { error_code: code.code(), name: None, ..response::Topic::default() };
    match wanted {
        Wanted::Name(name) => {
            topic.is_internal = topics::is_internal(name);
            topic.name = Some(name.clone());
        }
        Wanted::Id(id) => topic.topic_id = id.uuid(),
    }
    topic
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: Option<&str>, id: u128) -> request::Topic {
        request::Topic { name: name.map(str::to_owned), topic_id: TopicId(id).uuid() }
    }

    #[test]
    fn names_and_ids_are_taken_once_each_and_only_where_they_may_be() {
        let name = |name: &str| Wanted::Name(name.to_owned());
        assert_eq!(wanted(1, &[asked(Some("a"), 0), asked(Some("a"), 0)]), Ok(vec![name("a")]));
        assert_eq!(
            wanted(13, &[asked(None, 7), asked(Some("a"), 0)]),
            Ok(vec![Wanted::Id(TopicId(7)), name("a")])
        );
        // The id counts if both are given.
        assert_eq!(wanted(12, &[asked(Some("a"), 7)]), Ok(vec![Wanted::Id(TopicId(7))]));
        assert_eq!(wanted(11, &[asked(Some("a"), 7)]), Err(ErrorCode::InvalidRequest));
        assert_eq!(wanted(10, &[asked(None, 0)]), Err(ErrorCode::InvalidRequest));
        assert_eq!(wanted(13, &[asked(None, 0)]), Err(ErrorCode::UnknownServerError));
    }

    #[test]
    fn a_bad_name_is_told_from_an_unknown_one() {
        assert_eq!(code_of_absent("good"), ErrorCode::UnknownTopicOrPartition);
        assert_eq!(code_of_absent("not good"), ErrorCode::InvalidTopicException);
    }
}
