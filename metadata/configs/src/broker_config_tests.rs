use super::*;
use crate::definition::Meaning;
use crate::layers::Overrides;

#[test]
fn kafkas_defaults() {
    let config = BrokerConfig::default();
    assert!(config.auto_create_topics && config.delete_topics);
    assert_eq!((config.num_partitions, config.default_replication_factor), (1, 1));
    assert_eq!((config.socket_request_max_bytes, config.fetch_max_bytes), (104_857_600, 57_671_680));
    assert_eq!((config.connections_max_idle_ms, config.max_connections), (Some(600_000), 2_147_483_647));
    assert_eq!((config.max_fetch_sessions, config.max_request_partitions), (1000, 2000));
    assert_eq!(config.classic_groups.max_session_timeout_ms, 1_800_000);
    assert_eq!(config.consumer_groups.assignors, ["uniform", "range"]);
    assert!(config.consumer_groups.upgrade && config.consumer_groups.downgrade);
    assert_eq!(config.offsets.retention_ms, 7 * 24 * 3_600_000);
    assert_eq!(config.transactions.producer_id_expiration_ms, 86_400_000);
    assert_eq!(config.transactions.max_timeout_ms, 900_000);
}

/// A value unlike the default, for every kind of honoured broker config that an agent uses itself.
fn other_value(definition: &Definition) -> String {
    match definition.default_value().map(|default| default.value) {
        Some(Value::Boolean(default)) => (!default).to_string(),
        Some(Value::Integer(default)) => (default - 1).max(2).to_string(),
        Some(Value::List(_)) => "range".to_owned(),
        _ => "disabled".to_owned(),
    }
}

/// "Honoured" is a promise: each such config is a field here, gives a topic config its default, or is a fact about the agent.
#[test]
fn every_honoured_config_is_used() {
    const FACTS: [&str; 6] = [
        "node.id",
        "broker.id",
        "broker.rack",
        "listeners",
        "advertised.listeners",
        "listener.security.protocol.map",
    ];
    let for_topics: Vec<&str> =
        crate::topic::definitions().iter().flat_map(|d| d.synonyms).map(|synonym| synonym.name).collect();
    for definition in crate::broker::definitions() {
        if definition.meaning != Meaning::Honoured || FACTS.contains(&definition.name) {
            continue;
        }
        if for_topics.contains(&definition.name) {
            continue;
        }
        let value = definition.check(&other_value(definition)).unwrap().text;
        let fixed = Overrides::from([(definition.name.to_owned(), value.clone())]);
        let config = BrokerConfig::resolve(BrokerLayers { fixed: &fixed, ..BrokerLayers::none() });
        assert_ne!(config, BrokerConfig::default(), "{} = {value} changes nothing", definition.name);
    }
}
