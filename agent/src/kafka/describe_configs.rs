//! DescribeConfigs, versions 1 to 4.
//!
//! Topics, this agent, and (with an empty broker name) what is set for all agents. As in Kafka: names that are not known are left out, and another
//! agent's configs are to be asked of that agent. Configs of groups, of client metrics and of loggers are not kept here: asking for
//! them is refused rather than answered with defaults that nothing follows.

use std::collections::BTreeSet;

use siltstone_configs::{Described, describe_broker, describe_cluster, describe_topic, topic_name};
use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_configs::{Request, Response, request, response};

use super::config_change::{self, Resource};
use super::context::Context;
use super::refused::{Refused, outcome};
use super::topics;

/// Configs that one answer holds, of all its resources together: those of some 7,000 topics.
pub(super) const MOST_CONFIGS: usize = 250_000;

/// What is wanted of each config.
#[derive(Debug, Clone, Copy)]
struct Detail {
    synonyms: bool,
    documentation: bool,
}

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    let detail = Detail { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let mut results = Vec::with_capacity(request.resources.len());
    let (mut seen, mut configs) = (BTreeSet::new(), 0);
    for resource in request.resources {
        // Once each: an answer must not be a multiple of what is there.
        if !seen.insert((resource.resource_type, resource.resource_name.clone())) {
            continue;
        }
        let described = if configs > MOST_CONFIGS {
            let message = format!("One answer holds {MOST_CONFIGS} configs at most: ask for fewer at once.");
            Err(Refused::new(ErrorCode::PolicyViolation, message))
        } else {
            describe(cx, &resource).await
        };
        configs += described.as_ref().map_or(0, Vec::len);
        let (error_code, error_message) = outcome(&described);
        results.push(response::Resource {
            error_code,
            // Kafka has an empty message where there is no error.
            error_message: Some(error_message.unwrap_or_default()),
            resource_type: resource.resource_type,
            resource_name: resource.resource_name,
            configs: described.unwrap_or_default().into_iter().map(|one| config(one, detail)).collect(),
        });
    }
    Response { results, ..Response::default() }
}

async fn describe(cx: &Context, asked: &request::Resource) -> Result<Vec<Described>, Refused> {
    let names: Vec<&str> = asked.configuration_keys.iter().flatten().map(String::as_str).collect();
    let name = asked.resource_name.as_str();
    match Resource::from_wire(asked.resource_type) {
        Some(Resource::Topic) => {
            topic_name::validate(name)?;
            let catalog = topics::catalog(cx).await?;
            let row = catalog.topic(name).ok_or_else(|| Refused::no_topic(name))?;
            Ok(cx.with_layers(|layers| describe_topic(&row.configs, layers, &names)))
        }
        Some(Resource::Broker) => {
            let own = config_change::broker(cx, name)?;
            topics::catalog(cx).await?;
            Ok(cx.with_layers(|layers| match own {
                Some(_) => describe_broker(layers, &names),
                None => describe_cluster(layers.cluster, &names),
            }))
        }
        Some(other) => Err(Refused::new(ErrorCode::InvalidRequest, other.why_not())),
        None => Err(config_change::unknown(asked.resource_type)),
    }
}

fn config(described: Described, detail: Detail) -> response::Config {
    let synonyms = described.synonyms.into_iter().filter(|_| detail.synonyms);
    let synonyms = synonyms.map(|one| response::Synonym {
        name: one.name.to_owned(),
        value: one.value,
        source: one.source.wire(),
    });
    response::Config {
        name: described.name.to_owned(),
        value: described.value,
        read_only: described.read_only,
        config_source: described.source.wire(),
        is_sensitive: described.sensitive,
        synonyms: synonyms.collect(),
        config_type: described.kind.wire(),
        documentation: detail.documentation.then_some(described.documentation),
    }
}
