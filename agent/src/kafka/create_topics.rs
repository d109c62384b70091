//! CreateTopics, versions 2 to 7.
//!
//! As in Kafka: each topic is made or refused for itself; one that is named twice is refused, once; what is made can be used by the
//! time of the answer. `validate_only` does everything but the change.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_configs::{Overrides, describe_topic};
use siltstone_kafka::ErrorCode;
use siltstone_kafka::create_topics::{Request, Response, request, response};
use siltstone_log::{TopicId, TopicRow};
use siltstone_metadata::catalog::{CatalogState, NewTopic};

use super::context::Context;
use super::refused::{Refused, outcome};
use super::{new_topic, topics};

/// The first version whose answer tells what the topic became.
const TELLS_CONFIGS: i16 = 5;
/// Topics that one request may make, as in Kafka, which counts partitions: the answer has some 40 configs for each.
const MOST_TOPICS: usize = 10_000;
/// Partitions that one request may make: as many as one topic may have.
const MOST_PARTITIONS: u64 = siltstone_log::MAX_PARTITIONS as u64;

pub(super) async fn handle(cx: &Context, version: i16, request: Request) -> Response {
    let deadline = topics::deadline(request.timeout_ms);
    let mut planned = plan(cx, &request.topics).await;
    let accepted: Vec<NewTopic> =
        planned.iter().filter_map(|(_, plan)| plan.as_ref().ok()).cloned().collect();
    let made: Vec<Result<TopicRow, Refused>> = if request.validate_only {
        accepted.into_iter().map(|new| Ok(imagined(cx, new))).collect()
    } else {
        topics::create(cx, accepted, deadline).await
    };
    let mut made = made.into_iter();
    let mut configs = Configs::default();
    let mut answer = |(name, plan): (String, Result<NewTopic, Refused>)| {
        let result = plan.and_then(|_| made.next().unwrap_or_else(|| Err(Refused::late())));
        answer(cx, version, name, result, &mut configs)
    };
    let topics = planned.drain(..).map(&mut answer).collect();
    Response { topics, ..Response::default() }
}

/// Each name once, in the request's order, with what is to be made of it.
async fn plan(cx: &Context, asked: &[request::Topic]) -> Vec<(String, Result<NewTopic, Refused>)> {
    let catalog = match topics::catalog(cx).await {
        Ok(catalog) => catalog,
        Err(refused) => {
            return asked.iter().map(|topic| (topic.name.clone(), Err(refused.clone()))).collect();
        }
    };
    let names = || asked.iter().map(|topic| topic.name.as_str());
    let twice = topics::twice(names());
    let collisions = new_topic::collisions(names(), catalog.topics().keys().map(String::as_str));
    let mut done = BTreeSet::new();
    let mut partitions = 0;
    let mut plans = Vec::with_capacity(asked.len());
    for (at, topic) in asked.iter().filter(|topic| done.insert(topic.name.as_str())).enumerate() {
        let mut plan = if twice.contains(topic.name.as_str()) {
            Err(Refused::new(ErrorCode::InvalidRequest, "Duplicate topic name."))
        } else {
            plan_one(cx, &catalog, topic)
        };
        if let (Ok(_), Some(collision)) = (&plan, collisions.get(topic.name.as_str())) {
            plan = Err(collision.clone().into());
        }
        partitions += plan.as_ref().map_or(0, |new| u64::from(new.partitions));
        if plan.is_ok() && (at >= MOST_TOPICS || partitions > MOST_PARTITIONS) {
            let message = format!(
                "One request may create {MOST_TOPICS} topics and {MOST_PARTITIONS} partitions at most."
            );
            plan = Err(Refused::new(ErrorCode::PolicyViolation, message));
        }
        plans.push((topic.name.clone(), plan));
    }
    plans
}

fn plan_one(cx: &Context, catalog: &CatalogState, topic: &request::Topic) -> Result<NewTopic, Refused> {
    if catalog.topic(&topic.name).is_some() {
        return Err(topics::exists(&topic.name));
    }
    let defaults = cx.broker.broker_config();
    cx.with_layers(|layers| new_topic::plan(topic, &defaults, layers))
}

/// What a topic would be. Kafka's answer has an id here too, though none will ever have it.
fn imagined(cx: &Context, new: NewTopic) -> TopicRow {
    let ambient = cx.engine().ambient();
    TopicRow {
        name: new.name,
        id: TopicId(ambient.chance.next() | 1),
        partitions: new.partitions,
        replication_factor: new.replication_factor,
        created: ambient.clock.now(),
        configs: new.configs,
    }
}

/// Descriptions of config sets: the topics of a request mostly have the same.
type Configs = BTreeMap<Overrides, Vec<response::Config>>;

fn answer(
    cx: &Context,
    version: i16,
    name: String,
    result: Result<TopicRow, Refused>,
    configs: &mut Configs,
) -> response::Topic {
    let (error_code, error_message) = outcome(&result);
    let topic = response::Topic { name, error_code, error_message, ..response::Topic::default() };
    let Ok(row) = result else { return topic };
    let described = if version < TELLS_CONFIGS {
        Vec::new()
    } else {
        configs.entry(row.configs).or_insert_with_key(|set| describe(cx, set)).clone()
    };
    response::Topic {
        topic_id: row.id.uuid(),
        num_partitions: row.partitions as i32,
        replication_factor: row.replication_factor,
        configs: Some(described),
        ..topic
    }
}

fn describe(cx: &Context, set: &Overrides) -> Vec<response::Config> {
    let described = cx.with_layers(|layers| describe_topic(set, layers, &[]));
    described
        .into_iter()
        .map(|config| response::Config {
            name: config.name.to_owned(),
            value: config.value,
            read_only: config.read_only,
            config_source: config.source.wire(),
            is_sensitive: config.sensitive,
        })
        .collect()
}
