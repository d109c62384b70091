//! What `DescribeConfigs` answers: each config's value, where it comes from, and what else would give it one.
//!
//! Order and meaning are Kafka's, but for one thing: where a time has names in several units (`log.retention.ms`, `.minutes`, `.hours`) and
//! the first is not set, Kafka names no source and no synonyms; here the one that holds is named.

use crate::broker;
use crate::definition::{Definition, Scope};
use crate::kind::{Kind, Source};
use crate::layers::{BrokerLayers, Candidate, Overrides, broker_candidates, topic_candidates};
use crate::topic;

/// One config as a tool shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// The config.
    pub name: &'static str,
    /// Its value; `None` if it has none or must not be shown.
    pub value: Option<String>,
    /// Where the value comes from.
    pub source: Source,
    /// Whether only the agent's settings change it.
    pub read_only: bool,
    /// Whether its value must not be shown.
    pub sensitive: bool,
    /// All that could give it a value, the one that does first.
    pub synonyms: Vec<DescribedSynonym>,
    /// Its type.
    pub kind: Kind,
    /// What it is for and what it means here.
    pub documentation: String,
}

/// A place where a config has a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedSynonym {
    /// The name under which it is set.
    pub name: &'static str,
    /// The value, in the unit of that name; `None` if it must not be shown.
    pub value: Option<String>,
    /// Where.
    pub source: Source,
}

/// The configs of a topic, by name. `names`: those to describe, all if it is empty; unknown ones are left out, as in Kafka.
pub fn describe_topic(overrides: &Overrides, layers: BrokerLayers<'_>, names: &[&str]) -> Vec<Described> {
    let wanted = topic::definitions().iter().filter(|d| names.is_empty() || names.contains(&d.name));
    wanted
        .map(|definition| {
            let found: Vec<Candidate> = topic_candidates(definition, overrides, layers).collect();
            let value = found.first().map(|winner| winner.converted().text);
            described(definition, value, found.first().map(|winner| winner.source), &found)
        })
        .collect()
}

/// The configs of the broker that has these layers, by name. `names` as for [`describe_topic`].
pub fn describe_broker(layers: BrokerLayers<'_>, names: &[&str]) -> Vec<Described> {
    let wanted = broker::definitions().iter().filter(|d| names.is_empty() || names.contains(&d.name));
    wanted
        .filter_map(|definition| {
            let found: Vec<Candidate> = broker_candidates(definition, layers).collect();
            // A value that only stands in is a synonym's, not its own.
            let own = found.iter().find(|candidate| candidate.definition.name == definition.name);
            let set = own.is_some_and(|candidate| candidate.source != Source::Default);
            let value = own.map(|candidate| candidate.value.text.clone());
            let source = own.map(|candidate| candidate.source);
            (definition.listed || set).then(|| described(definition, value, source, &found))
        })
        .collect()
}

/// The configs that are set for all brokers, by name. `names` as for [`describe_topic`].
pub fn describe_cluster(cluster: &Overrides, names: &[&str]) -> Vec<Described> {
    let layers = BrokerLayers { cluster, ..BrokerLayers::none() };
    let wanted = broker::definitions().iter().filter(|d| names.is_empty() || names.contains(&d.name));
    wanted
        .filter_map(|definition| {
            let set = |candidate: &Candidate| {
                candidate.source == Source::Cluster && candidate.definition.name == definition.name
            };
            let found: Vec<Candidate> = broker_candidates(definition, layers).filter(set).collect();
            let value = found.first()?.value.text.clone();
            Some(described(definition, Some(value), Some(Source::Cluster), &found))
        })
        .collect()
}

fn described(
    definition: &'static Definition,
    value: Option<String>,
    source: Option<Source>,
    found: &[Candidate],
) -> Described {
    let sensitive = definition.sensitive();
    Described {
        name: definition.name,
        value: value.filter(|_| !sensitive),
        source: source.unwrap_or(Source::Default),
        read_only: definition.scope == Scope::ReadOnly,
        sensitive,
        synonyms: found.iter().map(synonym).collect(),
        kind: definition.kind,
        documentation: definition.documentation(),
    }
}

fn synonym(candidate: &Candidate) -> DescribedSynonym {
    let shown = !candidate.definition.sensitive();
    DescribedSynonym {
        name: candidate.definition.name,
        value: shown.then(|| candidate.value.text.clone()),
        source: candidate.source,
    }
}

#[cfg(test)]
#[path = "describe_tests.rs"]
mod tests;
