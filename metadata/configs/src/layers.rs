//! Layers of configs, and which of them gives a config its value.
//!
//! For each config there is a list of candidates, first the one that wins: what is set on the topic; then, for the broker-level
//! names in order, what is set for this broker, for all brokers, by the agent's settings, and Kafka's defaults. A stored text that can't
//! be read (a later version wrote it) is passed over; [`unusable_topic`] and [`unusable_broker`] list such, to be logged.

use crate::broker;
use crate::definition::{Definition, Synonym};
use crate::error::ConfigError;
use crate::kind::Source;
use crate::topic;
use crate::value::{Normalised, Value};
use std::collections::BTreeMap;

/// Configs that were set, by name, as normalised texts. Bounded, as only known names can be set.
pub type Overrides = BTreeMap<String, String>;

static NOTHING: Overrides = Overrides::new();

/// What is set at broker level, as one agent sees it.
#[derive(Clone, Copy, Debug)]
pub struct BrokerLayers<'a> {
    /// Set for this broker while it runs.
    pub broker: &'a Overrides,
    /// Set for all brokers while they run.
    pub cluster: &'a Overrides,
    /// From the agent's settings, and facts such as `node.id` and `listeners`.
    pub fixed: &'a Overrides,
}

impl BrokerLayers<'static> {
    /// Nothing set: Kafka's defaults.
    pub fn none() -> BrokerLayers<'static> {
        BrokerLayers { broker: &NOTHING, cluster: &NOTHING, fixed: &NOTHING }
    }
}

impl<'a> BrokerLayers<'a> {
    fn get(&self, source: Source, definition: &Definition) -> Option<&'a str> {
        let (broker, cluster, fixed) = (self.broker, self.cluster, self.fixed);
        match source {
            Source::Topic => None,
            Source::Broker => broker.get(definition.name).map(String::as_str),
            Source::Cluster => cluster.get(definition.name).map(String::as_str),
            Source::Static => fixed.get(definition.name).map(String::as_str),
            Source::Default => definition.default,
        }
    }
}

/// A value that a config could have.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    /// The config that it is set as.
    pub definition: &'static Definition,
    /// Where.
    pub source: Source,
    /// As it is set there.
    pub value: Normalised,
    /// What to multiply with to get the wanted unit.
    pub factor: i64,
}

impl Candidate {
    /// The value in the unit of the config that was asked for. A negative number means "no limit" in every unit.
    pub fn converted(&self) -> Normalised {
        match self.value.value {
            Value::Integer(i) if self.factor != 1 && i < 0 => Normalised::of(Value::Integer(-1)),
            Value::Integer(i) => Normalised::of(Value::Integer(i.saturating_mul(self.factor))),
            _ => self.value.clone(),
        }
    }
}

/// All that could give a topic config its value, the winner first. Never empty for a config with a default.
pub(crate) fn topic_candidates<'a>(
    definition: &'static Definition,
    overrides: &'a Overrides,
    layers: BrokerLayers<'a>,
) -> impl Iterator<Item = Candidate> + 'a {
    let own = overrides.get(definition.name).and_then(|text| candidate(definition, 1, Source::Topic, text));
    let names = || definition.synonyms.iter().filter_map(|s| Some((broker::find(s.name).ok()?, s.factor)));
    let inherited = Source::BROKER_LEVEL.iter().flat_map(move |source| {
        names()
            .filter_map(move |(found, factor)| candidate(found, factor, *source, layers.get(*source, found)?))
    });
    // Only a config without a broker-level name gets its default from its own row: no config is in both places.
    let text = if definition.synonyms.is_empty() { definition.default } else { None };
    let default = text.and_then(|text| candidate(definition, 1, Source::Default, text));
    own.into_iter().chain(inherited).chain(default)
}

/// All that could give a broker config its value, the winner first.
pub(crate) fn broker_candidates<'a>(
    definition: &'static Definition,
    layers: BrokerLayers<'a>,
) -> impl Iterator<Item = Candidate> + 'a {
    let stand_in = |s: &Synonym| Some((broker::find(s.name).ok()?, s.factor));
    let names =
        move || std::iter::once((definition, 1)).chain(definition.synonyms.iter().filter_map(stand_in));
    Source::BROKER_LEVEL.iter().flat_map(move |source| {
        names()
            .filter_map(move |(found, factor)| candidate(found, factor, *source, layers.get(*source, found)?))
    })
}

fn candidate(definition: &'static Definition, factor: i64, source: Source, text: &str) -> Option<Candidate> {
    let value = definition.read(text).ok()?;
    Some(Candidate { definition, source, value, factor })
}

impl Source {
    /// The sources of broker configs, the winner first.
    const BROKER_LEVEL: [Source; 4] = [Source::Broker, Source::Cluster, Source::Static, Source::Default];
}

/// What a topic has set but nobody can read or keep: unknown names, values that are not allowed. To be logged, once.
pub fn unusable_topic(overrides: &Overrides) -> Vec<ConfigError> {
    unusable(overrides, topic::find)
}

/// The same for one layer of broker configs.
pub fn unusable_broker(overrides: &Overrides) -> Vec<ConfigError> {
    unusable(overrides, broker::find)
}

fn unusable(
    overrides: &Overrides,
    find: fn(&str) -> Result<&'static Definition, ConfigError>,
) -> Vec<ConfigError> {
    let check =
        |(name, text): (&String, &String)| find(name).and_then(|definition| definition.check(text)).err();
    overrides.iter().filter_map(check).collect()
}
