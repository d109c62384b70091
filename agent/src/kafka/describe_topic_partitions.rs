//! DescribeTopicPartitions, version 0: the topics that Metadata answers, in pages.
//!
//! As in Kafka: topics in the order of their names, from the cursor on; no topics asked for means all. A page ends at the request's limit or
//! the broker's (`max.request.partition.size.limit`), and its cursor names the first partition that is not in it.

use std::collections::BTreeSet;
use std::ops::{Bound, Range};
use std::sync::Arc;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_topic_partitions::{Request, Response, request, response};
use siltstone_log::{PartitionId, TopicId, TopicRow};
use siltstone_metadata::catalog::CatalogState;

use super::context::Context;
use super::{metadata, topics};
use crate::placement::Placement;

/// Topics in an answer that refuses all.
const MOST_REFUSED: usize = 2000;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    if request.cursor.as_ref().is_some_and(|cursor| cursor.partition_index < 0) {
        return refuse(&request, ErrorCode::InvalidRequest);
    }
    let catalog = match topics::catalog(cx).await {
        Ok(catalog) => catalog,
        Err(refused) => return refuse(&request, refused.code),
    };
    let most = cx.broker.broker_config().max_request_partitions;
    let limit = u32::try_from(request.response_partition_limit).unwrap_or(0).min(most).max(1);
    let from = request.cursor.as_ref().map(|cursor| Place {
        topic: cursor.topic_name.clone(),
        partition: u32::try_from(cursor.partition_index).unwrap_or(0),
    });
    let names: BTreeSet<&str> = request.topics.iter().map(|topic| topic.name.as_str()).collect();
    let page = page(&catalog, &names, from.as_ref(), limit);
    let near = Near { placement: topics::placement(cx), zone: cx.zone(None) };
    let topics = page.parts.iter().map(|part| answer(&near, part)).collect();
    let next_cursor = page
        .next
        .map(|next| response::Cursor { topic_name: next.topic, partition_index: next.partition as i32 });
    Response { topics, next_cursor, ..Response::default() }
}

/// The answer has no error of its own: every topic carries it.
fn refuse(request: &Request, code: ErrorCode) -> Response {
    let topic = |asked: &request::Topic| response::Topic {
        error_code: code.code(),
        name: Some(asked.name.clone()),
        ..response::Topic::default()
    };
    Response { topics: request.topics.iter().take(MOST_REFUSED).map(topic).collect(), ..Response::default() }
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    topic: String,
    partition: u32,
}

/// One topic's part of a page.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    Known(&'a Arc<TopicRow>, Range<u32>),
    Unknown(&'a str),
}

#[derive(Debug, PartialEq, Eq)]
struct Page<'a> {
    parts: Vec<Part<'a>>,
    next: Option<Place>,
}

/// The page that begins at `from`, of up to `limit` partitions (at least 1). `names`: the topics asked for, or all if there are none. Pure.
fn page<'a>(
    catalog: &'a CatalogState,
    names: &BTreeSet<&'a str>,
    from: Option<&Place>,
    limit: u32,
) -> Page<'a> {
    let first = from.map_or("", |place| place.topic.as_str());
    if names.is_empty() {
        let known = catalog.topics().range::<str, _>((Bound::Included(first), Bound::Unbounded));
        return fill(known.map(|(name, row)| (name.as_str(), Some(row))), from, limit);
    }
    let wanted = names.iter().filter(|name| **name >= first);
    fill(wanted.map(|name| (*name, catalog.topic(name))), from, limit)
}

fn fill<'a>(
    topics: impl Iterator<Item = (&'a str, Option<&'a Arc<TopicRow>>)>,
    from: Option<&Place>,
    limit: u32,
) -> Page<'a> {
    let mut parts = Vec::new();
    let mut left = limit;
    for (name, row) in topics {
        if left == 0 {
            let next = Some(Place { topic: name.to_owned(), partition: 0 });
            return Page { parts, next };
        }
        let Some(row) = row else {
            // Counts as a partition: the answer is bounded also for names that nobody has.
            parts.push(Part::Unknown(name));
            left -= 1;
            continue;
        };
        let start = from.filter(|place| place.topic == name).map_or(0, |place| place.partition);
        let start = start.min(row.partitions);
        let end = row.partitions.min(start.saturating_add(left));
        parts.push(Part::Known(row, start..end));
        left -= end - start;
        if end < row.partitions {
            let next = Some(Place { topic: name.to_owned(), partition: end });
            return Page { parts, next };
        }
    }
    Page { parts, next: None }
}

/// Who leads what, as a client in this zone is told.
struct Near<'a> {
    placement: Arc<Placement>,
    zone: Option<&'a str>,
}

fn answer(near: &Near<'_>, part: &Part<'_>) -> response::Topic {
    match part {
        Part::Unknown(name) => response::Topic {
            error_code: metadata::code_of_absent(name).code(),
            name: Some((*name).to_owned()),
            is_internal: topics::is_internal(name),
            topic_authorized_operations: topics::TOPIC_OPERATIONS,
            ..response::Topic::default()
        },
        Part::Known(row, range) => response::Topic {
            name: Some(row.name.clone()),
            topic_id: row.id.uuid(),
            is_internal: topics::is_internal(&row.name),
            partitions: range.clone().map(|index| partition(near, row.id, index)).collect(),
            topic_authorized_operations: topics::TOPIC_OPERATIONS,
            ..response::Topic::default()
        },
    }
}

fn partition(near: &Near<'_>, topic: TopicId, index: u32) -> response::Partition {
    let (leader_id, nodes) = topics::nodes(&near.placement, PartitionId { topic, index }, near.zone);
    response::Partition {
        error_code: 0,
        partition_index: index as i32,
        leader_id,
        leader_epoch: 0,
        replica_nodes: nodes.clone(),
        isr_nodes: nodes,
        eligible_leader_replicas: Some(Vec::new()),
        last_known_elr: Some(Vec::new()),
        offline_replicas: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::Position;

    fn catalog(topics: &[(&str, u32)]) -> CatalogState {
        let mut state = CatalogState::new(Position::ZERO, 1);
        for (number, (name, partitions)) in topics.iter().enumerate() {
            state.put(TopicRow {
                name: (*name).to_owned(),
                id: TopicId(number as u128 + 1),
                partitions: *partitions,
                replication_factor: 1,
                created: 0,
                configs: std::collections::BTreeMap::new(),
            });
        }
        state
    }

    /// What all pages together hold, following the cursors.
    fn walk(catalog: &CatalogState, names: &[&str], limit: u32) -> Vec<String> {
        let names: BTreeSet<&str> = names.iter().copied().collect();
        let (mut from, mut all) = (None, Vec::new());
        for _ in 0..1000 {
            let page = page(catalog, &names, from.as_ref(), limit);
            let mut count = 0;
            for part in &page.parts {
                match part {
                    Part::Unknown(name) => all.push(format!("{name}?")),
                    Part::Known(row, range) => {
                        count += range.len();
                        all.extend(range.clone().map(|index| format!("{}-{index}", row.name)));
                    }
                }
            }
            assert!(count <= limit as usize);
            from = page.next;
            if from.is_none() {
                return all;
            }
        }
        panic!("the cursor never ends");
    }

    #[test]
    fn pages_of_any_size_hold_everything_once() {
        let catalog = catalog(&[("a", 3), ("b", 1), ("c", 4)]);
        let whole = ["a-0", "a-1", "a-2", "b-0", "c-0", "c-1", "c-2", "c-3"];
        for limit in 1..10 {
            assert_eq!(walk(&catalog, &[], limit), whole, "limit {limit}");
            assert_eq!(walk(&catalog, &["c", "nope", "b"], limit)[..5], ["b-0", "c-0", "c-1", "c-2", "c-3"]);
        }
        assert_eq!(walk(&catalog, &["nope", "a"], 100), ["a-0", "a-1", "a-2", "nope?"]);
    }

    #[test]
    fn a_cursor_beyond_what_is_there_goes_on_with_the_next_topic() {
        let catalog = catalog(&[("a", 3), ("c", 2)]);
        let at = |topic: &str, partition| Place { topic: topic.to_owned(), partition };
        let none = BTreeSet::new();
        let page_at = |place: Place| page(&catalog, &none, Some(&place), 100);
        assert_eq!(page_at(at("a", 9)).parts.len(), 2);
        assert_eq!(page_at(at("b", 1)).parts, [Part::Known(catalog.topic("c").unwrap(), 0..2)]);
        assert_eq!(page_at(at("d", 0)).parts, []);
    }
}
