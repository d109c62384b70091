//! The tables against a real Kafka 4.2.0: names, types, defaults, ranges and when a config can be changed, as recorded in fixtures/.
//! `fixtures/record.sh` records them again.

use siltstone_configs::{
    BrokerLayers, Overrides, Scope, Source, broker, describe_broker, describe_topic, topic,
};
use std::collections::BTreeMap;

const TOPIC_DEFAULTS: &str = include_str!("../fixtures/kafka-4.2-topic-defaults.txt");
const DEFINITIONS: &str = include_str!("../fixtures/kafka-4.2-definitions.txt");

struct Fact {
    kind: &'static str,
    default: Option<&'static str>,
    valid: &'static str,
    mode: &'static str,
}

fn facts(table: &str) -> BTreeMap<&'static str, Fact> {
    let lines = DEFINITIONS.lines().filter(|line| !line.starts_with('#'));
    let rows = lines.map(|line| line.split('|').collect::<Vec<_>>()).filter(|row| row[0] == table);
    rows.map(|row| {
        let default = Some(row[3]).filter(|text| !["null", "<none>"].contains(text));
        let mode = row.get(5).copied().unwrap_or_default();
        (row[1], Fact { kind: row[2], default, valid: row[4], mode })
    })
    .collect()
}

#[test]
fn topic_configs_and_their_defaults_are_kafkas() {
    let described = describe_topic(&Overrides::new(), BrokerLayers::none(), &[]);
    let ours: Vec<String> = described
        .iter()
        .filter(|d| d.name != "siltstone.write")
        .map(|d| format!("{}={}", d.name, d.value.as_deref().unwrap()))
        .collect();
    let kafkas: Vec<&str> = TOPIC_DEFAULTS.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(kafkas.len(), 33);
    assert_eq!(ours, kafkas);
}

#[test]
fn topic_definitions_are_kafkas() {
    let mut kafka = facts("topic");
    for ours in topic::definitions().iter().filter(|d| d.name != "siltstone.write") {
        let fact = kafka.remove(ours.name).unwrap_or_else(|| panic!("{} is not one of Kafka's", ours.name));
        assert_eq!(ours.kind.to_string(), fact.kind, "{}", ours.name);
        assert_eq!(ours.default, fact.default, "{}", ours.name);
        assert_eq!(ours.rule.to_string(), fact.valid, "{}", ours.name);
        assert_eq!(ours.scope, Scope::Topic);
    }
    assert!(kafka.is_empty(), "missing: {:?}", kafka.keys());
}

#[test]
fn broker_definitions_are_kafkas() {
    // Kafka keeps these outside its table: they throttle reassignment, and are described once they are set.
    const UNLISTED: [&str; 3] = [
        "follower.replication.throttled.rate",
        "leader.replication.throttled.rate",
        "replica.alter.log.dirs.io.max.bytes.per.second",
    ];
    // Kafka checks these elsewhere, or only that something is there.
    const STRICTER: [&str; 3] = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    const LOOSER: [&str; 3] =
        ["authorizer.class.name", "controller.quorum.bootstrap.servers", "controller.quorum.voters"];
    // Kafka can open and close listeners while it runs; an agent can't.
    const FIXED_HERE: [&str; 2] = ["listeners", "listener.security.protocol.map"];
    let mut kafka = facts("broker");
    for ours in broker::definitions() {
        assert_eq!(ours.listed, !UNLISTED.contains(&ours.name), "{}", ours.name);
        if !ours.listed {
            continue;
        }
        let fact = kafka.remove(ours.name).unwrap_or_else(|| panic!("{} is not one of Kafka's", ours.name));
        assert_eq!(ours.kind.to_string(), fact.kind, "{}", ours.name);
        assert_eq!(ours.default, fact.default, "{}", ours.name);
        if !STRICTER.contains(&ours.name) && !LOOSER.contains(&ours.name) {
            assert_eq!(ours.rule.to_string(), fact.valid, "{}", ours.name);
        }
        let mode = match ours.scope {
            Scope::PerBroker => "per-broker",
            Scope::ClusterWide => "cluster-wide",
            Scope::ReadOnly | Scope::Topic => "read-only",
        };
        assert_eq!(mode == fact.mode, !FIXED_HERE.contains(&ours.name), "{}", ours.name);
    }
    let dynamic: Vec<_> =
        kafka.iter().filter(|(_, fact)| fact.mode != "read-only").map(|(name, _)| name).collect();
    assert!(dynamic.is_empty(), "Kafka can change these while it runs: {dynamic:?}");
}

/// The chain of broker-level names ends in the same default as the topic config's own row.
#[test]
fn broker_level_defaults_agree_with_topic_defaults() {
    for described in describe_topic(&Overrides::new(), BrokerLayers::none(), &[]) {
        let definition = topic::find(described.name).unwrap();
        assert_eq!(described.value, definition.default_value().map(|v| v.text), "{}", described.name);
        for synonym in definition.synonyms {
            let at_broker = broker::find(synonym.name).unwrap();
            // Where a time has several names, their ranges differ with the unit.
            let same_rule = at_broker.rule == definition.rule;
            assert!(same_rule || definition.synonyms.len() > 1, "{}", synonym.name);
            assert_eq!(at_broker.meaning, definition.meaning, "{} and {}", synonym.name, definition.name);
        }
    }
}

#[test]
fn every_default_checks_and_every_row_is_documented() {
    for definition in topic::definitions().iter().chain(broker::definitions()) {
        if let Some(default) = definition.default {
            let found = definition.check(default).unwrap();
            assert_eq!(found.text, default, "{}", definition.name);
        }
        assert!(definition.doc.ends_with('.') && !definition.doc.contains("  "), "{}", definition.name);
    }
}

#[test]
fn a_fresh_broker_shows_only_defaults() {
    for described in describe_broker(BrokerLayers::none(), &[]) {
        assert_eq!(described.source, Source::Default);
        let default = broker::find(described.name).unwrap().default.map(str::to_owned);
        assert_eq!(described.value, default, "{}", described.name);
    }
}
