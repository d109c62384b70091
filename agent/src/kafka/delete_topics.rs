//! DeleteTopics, versions 1 to 6; from version 6 on also by id.
//!
//! As in Kafka: a topic that is named twice, by name or by id or by both, is not deleted; what is deleted is gone here by the time of the answer.

use std::collections::BTreeSet;
use std::sync::Arc;

use siltstone_kafka::ErrorCode;
use siltstone_kafka::delete_topics::{Request, Response, request, response};
use siltstone_log::{TopicId, TopicRow};
use siltstone_metadata::catalog::CatalogState;
use tokio::time::Instant;

use super::context::Context;
use super::refused::{Refused, outcome};
use super::topics;

/// The first version in which topics may be named by id.
const BY_ID: i16 = 6;
/// The first version with a code of its own for "deleting is switched off".
const KNOWS_DISABLED: i16 = 3;

/// What one item of the request names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: Option<String>,
    id: TopicId,
}

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let deadline = topics::deadline(request.timeout_ms);
    let mut named = named(version, request);
    let twice = topics::twice(named.iter().cloned());
    let mut seen = BTreeSet::new();
    named.retain(|named| seen.insert(named.clone()));
    let results = if cx.broker.broker_config().delete_topics {
        delete(cx, &named, &twice, deadline).await
    } else {
        let code = if version < KNOWS_DISABLED {
            ErrorCode::InvalidRequest
        } else {
            ErrorCode::TopicDeletionDisabled
        };
        let refused = Refused::new(code, "Topics can't be deleted: delete.topic.enable is false.");
        named.iter().map(|_| Err(refused.clone())).collect()
    };
    let responses = named.into_iter().zip(results).map(|(named, result)| answer(named, &result)).collect();
    Response { responses, ..Response::default() }
}

/// What is named, in order.
fn named(version: i16, request: Request) -> Vec<Named> {
    if version >= BY_ID {
        let of = |topic: request::Topic| Named { name: topic.name, id: TopicId(topic.topic_id.as_u128()) };
        return request.topics.into_iter().map(of).collect();
    }
    request.topic_names.into_iter().map(|name| Named { name: Some(name), id: TopicId(0) }).collect()
}

fn answer(named: Named, result: &Result<Arc<TopicRow>, Refused>) -> response::Topic {
    let (error_code, error_message) = outcome(result);
    let (name, id) = match result {
        Ok(row) => (Some(row.name.clone()), row.id),
        Err(_) => (named.name, named.id),
    };
    response::Topic { name, topic_id: id.uuid(), error_code, error_message }
}

async fn delete(
    cx: &Context,
    named: &[Named],
    twice: &BTreeSet<Named>,
    deadline: Instant,
) -> Vec<Result<Arc<TopicRow>, Refused>> {
    let catalog = match topics::catalog(cx).await {
        Ok(catalog) => catalog,
        Err(refused) => return named.iter().map(|_| Err(refused.clone())).collect(),
    };
    let found = resolve(named, twice, &catalog);
    let changes = cx.engine().changes();
    let act = |found: Result<Arc<TopicRow>, Refused>| async move {
        let row = found?;
        topics::in_time(deadline, changes.delete(&row.name, row.id)).await?;
        Ok(row)
    };
    let mut deleted = topics::each(found, act).await;
    let rows = deleted.iter().filter_map(|result| result.as_ref().ok()).map(AsRef::as_ref);
    if let Err(refused) = topics::settle(cx, rows, deadline).await {
        deleted.iter_mut().filter(|result| result.is_ok()).for_each(|result| *result = Err(refused.clone()));
    }
    deleted
}

/// The topics that are named. Pure.
fn resolve(
    named: &[Named],
    twice: &BTreeSet<Named>,
    catalog: &CatalogState,
) -> Vec<Result<Arc<TopicRow>, Refused>> {
    let again = || Err(Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name or id."));
    let found: Vec<_> = named
        .iter()
        .map(|named| if twice.contains(named) { again() } else { resolve_one(named, catalog) })
        .collect();
    // Once by its name and once by its id is twice, too.
    let same = topics::twice(found.iter().flatten().map(|row| row.id));
    let check = |found: Result<Arc<TopicRow>, Refused>| {
        found.and_then(|row| if same.contains(&row.id) { again() } else { Ok(row) })
    };
    found.into_iter().map(check).collect()
}

fn resolve_one(named: &Named, catalog: &CatalogState) -> Result<Arc<TopicRow>, Refused> {
    match (&named.name, named.id) {
        (None, TopicId(0)) => {
            Err(Refused::new(ErrorCode::InvalidRequest, "A topic must be named by name or by id."))
        }
        (Some(name), TopicId(0)) => catalog.topic(name).cloned().ok_or_else(|| Refused::no_topic(name)),
        (None, id) => catalog.by_id(id).cloned().ok_or_else(|| {
            Refused::new(ErrorCode::UnknownTopicId, format!("There is no topic with id {id}."))
        }),
        (Some(_), _) => {
            Err(Refused::new(ErrorCode::InvalidRequest, "A topic is named by name or by id, not by both."))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::Position;

    fn by_name(name: &str) -> Named {
        Named { name: Some(name.to_owned()), id: TopicId(0) }
    }

    fn codes(named: &[Named], twice: &BTreeSet<Named>) -> Vec<Option<ErrorCode>> {
        let mut catalog = CatalogState::new(Position::ZERO, 1);
        for (name, id) in [("a", 1), ("b", 2)] {
            catalog.put(TopicRow {
                name: name.to_owned(),
                id: TopicId(id),
                partitions: 1,
                replication_factor: 1,
                created: 0,
                configs: std::collections::BTreeMap::new(),
            });
        }
        resolve(named, twice, &catalog).into_iter().map(|found| found.err().map(|error| error.code)).collect()
    }

    #[test]
    fn topics_are_found_by_name_or_id_and_never_twice() {
        let id = |id| Named { name: None, id: TopicId(id) };
        let none = BTreeSet::new();
        assert_eq!(codes(&[by_name("a"), id(2)], &none), [None, None]);
        assert_eq!(
            codes(&[by_name("c"), id(9), id(0), Named { id: TopicId(1), ..by_name("a") }], &none),
            [
                Some(ErrorCode::UnknownTopicOrPartition),
                Some(ErrorCode::UnknownTopicId),
                Some(ErrorCode::InvalidRequest),
                Some(ErrorCode::InvalidRequest)
            ]
        );
        let refused = Some(ErrorCode::InvalidRequest);
        assert_eq!(codes(&[by_name("a"), id(1), by_name("b")], &none), [refused, refused, None]);
        assert_eq!(codes(&[by_name("a")], &BTreeSet::from([by_name("a")])), [refused]);
    }

    #[test]
    fn ids_are_looked_at_from_version_six_on() {
        let request = Request {
            topics: vec![request::Topic { name: Some("new".into()), ..request::Topic::default() }],
            topic_names: vec!["old".into()],
            ..Request::default()
        };
        assert_eq!(named(5, request.clone()), [by_name("old")]);
        assert_eq!(named(6, request), [by_name("new")]);
    }
}
