//! What a new topic will be, or why it can't be. Pure.
//!
//! Codes are Kafka's. Where Kafka looks for brokers to put replicas on, Siltstone has none to look for: any replication factor from 1 and any
//! assignment that is consistent in itself is taken; the assignment's size counts, its brokers do not.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use siltstone_configs::topic_name::{self, TopicNameError};
use siltstone_configs::{AlterError, BrokerConfig, BrokerLayers, replace_topic};
use siltstone_kafka::ErrorCode;
use siltstone_kafka::create_topics::request::{Assignment, Topic};
use siltstone_log::MAX_PARTITIONS;
use siltstone_metadata::catalog::NewTopic;

use super::refused::Refused;

/// Kafka keeps its own metadata under this name.
const RESERVED: &str = "__cluster_metadata";

/// The new topic that is asked for, judged without regard to those that exist.
///
/// # Errors
/// What is wrong with the name, the numbers, the assignment or the configs.
pub(super) fn plan(
    topic: &Topic,
    defaults: &BrokerConfig,
    layers: BrokerLayers<'_>,
) -> Result<NewTopic, Refused> {
    check_name(&topic.name)?;
    let (partitions, replication_factor) = size(topic, defaults)?;
    let configs: Vec<(&str, Option<&str>)> =
        topic.configs.iter().map(|config| (config.name.as_str(), config.value.as_deref())).collect();
    let configs = replace_topic(&configs, layers).map_err(|error| match error {
        // Kafka has another code for this here than where configs are altered.
        AlterError::NullValues(_) => Refused::new(ErrorCode::InvalidConfig, error.to_string()),
        other => other.into(),
    })?;
    Ok(NewTopic { name: topic.name.clone(), partitions, replication_factor, configs })
}

/// The new topic that a client gets which asks for one that is not there.
///
/// # Errors
/// If it can't have that name.
pub(super) fn automatic(name: &str, defaults: &BrokerConfig) -> Result<NewTopic, Refused> {
    check_name(name)?;
    Ok(NewTopic {
        name: name.to_owned(),
        partitions: defaults.num_partitions.min(MAX_PARTITIONS),
        replication_factor: default_factor(defaults),
        configs: BTreeMap::new(),
    })
}

fn check_name(name: &str) -> Result<(), Refused> {
    topic_name::validate(name)?;
    if name == RESERVED {
        let message = format!("The name {RESERVED} is reserved.");
        return Err(Refused::new(ErrorCode::InvalidRequest, message));
    }
    Ok(())
}

fn default_factor(defaults: &BrokerConfig) -> i16 {
    defaults.default_replication_factor.clamp(1, i32::from(i16::MAX)) as i16
}

/// Partitions and replication factor.
fn size(topic: &Topic, defaults: &BrokerConfig) -> Result<(u32, i16), Refused> {
    if !topic.assignments.is_empty() {
        return assigned_size(topic);
    }
    let factor = match topic.replication_factor {
        -1 => default_factor(defaults),
        factor @ 1.. => factor,
        _ => {
            let message = "Replication factor must be larger than 0, or -1 to use the default value.";
            return Err(Refused::new(ErrorCode::InvalidReplicationFactor, message));
        }
    };
    let partitions = match topic.num_partitions {
        -1 => defaults.num_partitions,
        count @ 1.. => count as u32,
        count => {
            let message = format!("A topic can't have {count} partitions.");
            return Err(Refused::new(ErrorCode::InvalidPartitions, message));
        }
    };
    if partitions > MAX_PARTITIONS {
        let message = format!("A topic has at most {MAX_PARTITIONS} partitions.");
        return Err(Refused::new(ErrorCode::InvalidPartitions, message));
    }
    Ok((partitions, factor))
}

fn assigned_size(topic: &Topic) -> Result<(u32, i16), Refused> {
    for (given, what) in [
        (i32::from(topic.replication_factor), "replication factor"),
        (topic.num_partitions, "number of partitions"),
    ] {
        if given != -1 {
            let message = format!("With a manual assignment the {what} must be -1, not {given}.");
            return Err(Refused::new(ErrorCode::InvalidRequest, message));
        }
    }
    check_indexes(&topic.assignments)?;
    let factor = check_replicas(topic.assignments.iter().map(|one| one.broker_ids.as_slice()), None)?;
    match u32::try_from(topic.assignments.len()) {
        Ok(partitions) if partitions <= MAX_PARTITIONS => Ok((partitions, factor)),
        _ => {
            let message = format!("A topic has at most {MAX_PARTITIONS} partitions.");
            Err(Refused::new(ErrorCode::InvalidPartitions, message))
        }
    }
}

fn check_indexes(assignments: &[Assignment]) -> Result<(), Refused> {
    let mut seen = BTreeSet::new();
    if let Some(again) = assignments.iter().map(|one| one.partition_index).find(|index| !seen.insert(*index))
    {
        return Err(unassignable(format!("Partition {again} is assigned more than once.")));
    }
    let last = seen.last().copied().unwrap_or_default();
    if seen.first() != Some(&0) || i64::from(last) + 1 != seen.len() as i64 {
        return Err(unassignable(
            "The assigned partitions must be numbered from 0 without a gap.".to_owned(),
        ));
    }
    Ok(())
}

/// The replication factor of a manual assignment; all its partitions have the same.
///
/// # Errors
/// `INVALID_REPLICA_ASSIGNMENT`, also if the factor is not that which the topic has already.
pub(super) fn check_replicas<'a>(
    partitions: impl IntoIterator<Item = &'a [i32]>,
    factor: Option<i16>,
) -> Result<i16, Refused> {
    let mut factor = factor;
    for brokers in partitions {
        let mut seen = BTreeSet::new();
        if let Some(again) = brokers.iter().find(|broker| !seen.insert(**broker)) {
            return Err(unassignable(format!("The assignment has broker {again} more than once.")));
        }
        if let Some(negative) = brokers.iter().find(|broker| **broker < 0) {
            return Err(unassignable(format!("There is no broker {negative}.")));
        }
        let count = i16::try_from(brokers.len()).unwrap_or(i16::MAX);
        if count == 0 {
            return Err(unassignable("The assignment has a partition without replicas.".to_owned()));
        }
        let expected = *factor.get_or_insert(count);
        if count != expected {
            let message =
                format!("The assignment has a partition with {count} replicas; others have {expected}.");
            return Err(unassignable(message));
        }
    }
    factor.ok_or_else(|| unassignable("The assignment is empty.".to_owned()))
}

fn unassignable(message: String) -> Refused {
    Refused::new(ErrorCode::InvalidReplicaAssignment, message)
}

/// Of `new` names, those that collide with an existing topic: they differ from it only in `.` and `_`. One pass over what exists, and
/// none if no new name has such a character.
pub(super) fn collisions<'a>(
    new: impl IntoIterator<Item = &'a str>,
    existing: impl IntoIterator<Item = &'a str>,
) -> BTreeMap<&'a str, TopicNameError> {
    let special = |name: &&str| name.contains(['.', '_']);
    let mut keys: BTreeMap<Cow<'a, str>, Vec<&'a str>> = BTreeMap::new();
    for name in new.into_iter().filter(special) {
        keys.entry(topic_name::collision_key(name)).or_default().push(name);
    }
    let mut found = BTreeMap::new();
    if keys.is_empty() {
        return found;
    }
    for old in existing.into_iter().filter(special) {
        for name in keys.get(&topic_name::collision_key(old)).into_iter().flatten() {
            if let Err(error) = topic_name::check_collision(name, old) {
                found.insert(*name, error);
            }
        }
    }
    found
}

#[cfg(test)]
#[path = "new_topic_tests.rs"]
mod tests;
