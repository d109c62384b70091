//! Changing what is set: `IncrementalAlterConfigs`, `AlterConfigs`, and the configs of a new topic.
//!
//! A change applies whole or not at all, and the result holds normalised texts only. Where Kafka takes a config that it doesn't know (on
//! a broker), Siltstone refuses: an unknown config would be silently ignored. DELETE is always allowed, also of what isn't known or set.

use crate::broker;
use crate::definition::{Definition, Scope};
use crate::error::{AlterError, ConfigError, shorten};
use crate::kind::Kind;
use crate::layers::{BrokerLayers, Candidate, Overrides, broker_candidates, topic_candidates};
use crate::topic::{self, cleaning};
use crate::value::Normalised;
use std::collections::BTreeSet;

/// What to do with one config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set it.
    Set,
    /// Set it no longer. A value is not looked at.
    Delete,
    /// Add items to a list; those that are there already are not added again.
    Append,
    /// Take items out of a list; those that are not there are no error.
    Subtract,
}

impl Operation {
    /// The operation of a number in `IncrementalAlterConfigs`; `None` if there is none (Kafka answers `INVALID_REQUEST`).
    pub fn from_wire(number: i8) -> Option<Operation> {
        match number {
            0 => Some(Operation::Set),
            1 => Some(Operation::Delete),
            2 => Some(Operation::Append),
            3 => Some(Operation::Subtract),
            _ => None,
        }
    }
}

/// A change of one config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Change<'a> {
    /// The config.
    pub name: &'a str,
    /// What to do with it.
    pub operation: Operation,
    /// With what; `None` is the wire's null.
    pub value: Option<&'a str>,
}

/// For whom a broker config is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// For one broker.
    Broker,
    /// For all: the resource has an empty name.
    Cluster,
}

/// Applies changes to a topic's configs. APPEND and SUBTRACT on a list that isn't set start from the value that holds.
///
/// # Errors
/// Why the change as a whole is refused.
pub fn alter_topic(
    current: &Overrides,
    changes: &[Change<'_>],
    layers: BrokerLayers<'_>,
) -> Result<Overrides, AlterError> {
    refuse_nulls_and_duplicates(changes)?;
    let mut result = current.clone();
    for change in changes {
        if change.operation == Operation::Delete {
            result.remove(change.name);
            continue;
        }
        let definition = topic::find(change.name).map_err(AlterError::Topic)?;
        let held = || winner(topic_candidates(definition, current, layers));
        let text = text_of(definition, change, held)?;
        let value = definition.check(&text).map_err(AlterError::Topic)?;
        result.insert(definition.name.to_owned(), value.text);
    }
    check_lags(&cleaning::MIN_COMPACTION_LAG_MS, &cleaning::MAX_COMPACTION_LAG_MS, &result, |definition| {
        winner(topic_candidates(definition, &result, layers))
    })
    .map_err(AlterError::Topic)?;
    Ok(result)
}

/// The configs of a topic that has exactly these set: a new one, or one that `AlterConfigs` replaces.
///
/// # Errors
/// As [`alter_topic`].
pub fn replace_topic(
    entries: &[(&str, Option<&str>)],
    layers: BrokerLayers<'_>,
) -> Result<Overrides, AlterError> {
    alter_topic(&Overrides::new(), &sets(entries), layers)
}

/// Applies changes to the layer of broker configs that `level` names, and returns that layer.
///
/// # Errors
/// Why the change as a whole is refused.
pub fn alter_broker(
    level: Level,
    changes: &[Change<'_>],
    layers: BrokerLayers<'_>,
) -> Result<Overrides, AlterError> {
    let current = match level {
        Level::Broker => layers.broker,
        Level::Cluster => layers.cluster,
    };
    change_broker(level, current, changes, layers)
}

/// The layer of broker configs that has exactly these set.
///
/// # Errors
/// As [`alter_broker`].
pub fn replace_broker(
    level: Level,
    entries: &[(&str, Option<&str>)],
    layers: BrokerLayers<'_>,
) -> Result<Overrides, AlterError> {
    change_broker(level, &Overrides::new(), &sets(entries), layers)
}

fn change_broker(
    level: Level,
    current: &Overrides,
    changes: &[Change<'_>],
    layers: BrokerLayers<'_>,
) -> Result<Overrides, AlterError> {
    refuse_nulls_and_duplicates(changes)?;
    let mut result = current.clone();
    for change in changes {
        if change.operation == Operation::Delete {
            result.remove(change.name);
            continue;
        }
        let definition = broker::find(change.name).map_err(AlterError::Broker)?;
        check_scope(definition, level)?;
        let held = || winner(broker_candidates(definition, at(level, current, layers)));
        let text = text_of(definition, change, held)?;
        let value = definition.check(&text).map_err(AlterError::Broker)?;
        result.insert(definition.name.to_owned(), value.text);
    }
    let after = at(level, &result, layers);
    let (low, high) =
        (&broker::log::LOG_CLEANER_MIN_COMPACTION_LAG_MS, &broker::log::LOG_CLEANER_MAX_COMPACTION_LAG_MS);
    check_lags(low, high, &result, |definition| winner(broker_candidates(definition, after)))
        .map_err(AlterError::Broker)?;
    Ok(result)
}

/// The layers that count for a change at a level: what one broker has set doesn't count for all of them.
fn at<'a>(level: Level, layer: &'a Overrides, layers: BrokerLayers<'a>) -> BrokerLayers<'a> {
    match level {
        Level::Broker => BrokerLayers { broker: layer, ..layers },
        Level::Cluster => BrokerLayers { cluster: layer, broker: BrokerLayers::none().broker, ..layers },
    }
}

fn check_scope(definition: &Definition, level: Level) -> Result<(), AlterError> {
    match (definition.scope, level) {
        (Scope::ReadOnly, _) => Err(AlterError::ReadOnly(definition.name)),
        (Scope::PerBroker, Level::Cluster) => Err(AlterError::PerBroker(definition.name)),
        _ => Ok(()),
    }
}

fn sets<'a>(entries: &[(&'a str, Option<&'a str>)]) -> Vec<Change<'a>> {
    entries.iter().map(|(name, value)| Change { name, operation: Operation::Set, value: *value }).collect()
}

fn refuse_nulls_and_duplicates(changes: &[Change<'_>]) -> Result<(), AlterError> {
    let mut seen = BTreeSet::new();
    let twice: BTreeSet<&str> = changes.iter().map(|c| c.name).filter(|name| !seen.insert(*name)).collect();
    if !twice.is_empty() {
        return Err(AlterError::Duplicates(first_few(twice)));
    }
    let null = |c: &&Change<'_>| c.operation != Operation::Delete && c.value.is_none();
    let nulls: BTreeSet<&str> = changes.iter().filter(null).map(|c| c.name).collect();
    if nulls.is_empty() { Ok(()) } else { Err(AlterError::NullValues(first_few(nulls))) }
}

/// Names for an error, which stays short however many a request holds.
fn first_few(names: BTreeSet<&str>) -> Vec<String> {
    names.into_iter().take(10).map(shorten).collect()
}

/// The text that a SET, APPEND or SUBTRACT leads to.
fn text_of(
    definition: &'static Definition,
    change: &Change<'_>,
    held: impl FnOnce() -> Option<Normalised>,
) -> Result<String, AlterError> {
    let value = change.value.unwrap_or_default();
    let operation = match change.operation {
        Operation::Append => "APPEND",
        Operation::Subtract => "SUBTRACT",
        Operation::Set | Operation::Delete => return Ok(value.to_owned()),
    };
    if definition.kind != Kind::List {
        return Err(AlterError::NotAList { operation, name: definition.name });
    }
    let held = held();
    let mut items: Vec<&str> =
        held.as_ref().and_then(Normalised::items).unwrap_or_default().iter().map(String::as_str).collect();
    let nothing = value.trim().is_empty();
    let given: Vec<&str> = if nothing { Vec::new() } else { value.split(',').map(str::trim).collect() };
    let given_set: BTreeSet<&str> = given.iter().copied().collect();
    if change.operation == Operation::Subtract {
        items.retain(|item| !given_set.contains(item));
        return Ok(items.join(","));
    }
    let mut present: BTreeSet<&str> = items.iter().copied().collect();
    items.extend(given.into_iter().filter(|item| present.insert(item)));
    Ok(items.join(","))
}

fn winner(mut candidates: impl Iterator<Item = Candidate>) -> Option<Normalised> {
    candidates.next().map(|candidate| candidate.converted())
}

/// The smallest lag must not be greater than the largest. Checked where one of the two is set by the result; what only other
/// layers disagree about is not this change's fault.
fn check_lags(
    low: &'static Definition,
    high: &'static Definition,
    result: &Overrides,
    held: impl Fn(&'static Definition) -> Option<Normalised>,
) -> Result<(), ConfigError> {
    if !result.contains_key(low.name) && !result.contains_key(high.name) {
        return Ok(());
    }
    let number = |definition| held(definition).and_then(|value| value.integer());
    match (number(low), number(high)) {
        (Some(a), Some(b)) if a > b => {
            Err(ConfigError::Conflict { low_name: low.name, low: a, high_name: high.name, high: b })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[path = "alter_tests.rs"]
mod tests;
