//! Descriptions, compared with what a Kafka 4.2.0 with the same settings answered.

use super::*;

fn set(pairs: &[(&str, &str)]) -> Overrides {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn synonyms(described: &Described) -> Vec<(&'static str, &str, i8)> {
    let entry = |s: &'_ DescribedSynonym| (s.name, s.source.wire());
    let names = described.synonyms.iter().map(entry);
    let values = described.synonyms.iter().map(|s| s.value.as_deref().unwrap_or("hidden"));
    names.zip(values).map(|((name, source), value)| (name, value, source)).collect()
}

#[test]
fn every_layer_of_a_topic_config_is_named_in_order() {
    let broker = set(&[("message.max.bytes", "1000001")]);
    let cluster = set(&[("message.max.bytes", "1000002")]);
    let layers = BrokerLayers { broker: &broker, cluster: &cluster, ..BrokerLayers::none() };
    let own = set(&[("max.message.bytes", "1000003")]);
    let found = describe_topic(&own, layers, &["max.message.bytes"]).remove(0);
    assert_eq!((found.value.as_deref(), found.source), (Some("1000003"), Source::Topic));
    assert!(!found.read_only && !found.sensitive);
    assert_eq!(
        synonyms(&found),
        [
            ("max.message.bytes", "1000003", 1),
            ("message.max.bytes", "1000001", 2),
            ("message.max.bytes", "1000002", 3),
            ("message.max.bytes", "1048588", 5),
        ]
    );
}

#[test]
fn units_stand_in_for_each_other() {
    let broker = set(&[("log.retention.ms", "1000000")]);
    let cluster = set(&[("log.retention.ms", "2000000")]);
    let fixed = set(&[("log.retention.minutes", "100"), ("log.retention.hours", "24")]);
    let layers = BrokerLayers { broker: &broker, cluster: &cluster, fixed: &fixed };
    let expected = [
        ("log.retention.ms", "1000000", 2),
        ("log.retention.ms", "2000000", 3),
        ("log.retention.minutes", "100", 4),
        ("log.retention.hours", "24", 4),
        ("log.retention.hours", "168", 5),
    ];
    let topic = describe_topic(&Overrides::new(), layers, &["retention.ms"]).remove(0);
    assert_eq!((topic.value.as_deref(), topic.source), (Some("1000000"), Source::Broker));
    assert_eq!(synonyms(&topic), expected);
    let names = ["log.retention.ms", "log.retention.minutes", "log.retention.hours"];
    let found = describe_broker(layers, &names);
    let values: Vec<_> = found.iter().map(|d| (d.name, d.value.as_deref(), d.source, d.read_only)).collect();
    assert_eq!(
        values,
        [
            ("log.retention.hours", Some("24"), Source::Static, true),
            ("log.retention.minutes", Some("100"), Source::Static, true),
            ("log.retention.ms", Some("1000000"), Source::Broker, false),
        ]
    );
    assert_eq!(synonyms(&found[2]), expected);

    let nothing = Overrides::new();
    let layers = BrokerLayers { broker: &nothing, cluster: &nothing, fixed: &fixed };
    let topic = describe_topic(&nothing, layers, &["retention.ms"]).remove(0);
    assert_eq!((topic.value.as_deref(), topic.source), (Some("6000000"), Source::Static));
    let unset = describe_broker(layers, &["log.retention.ms"]).remove(0);
    assert_eq!((unset.value, unset.source), (None, Source::Default));
}

#[test]
fn all_are_described_by_name_and_unknown_names_left_out() {
    let all = describe_topic(&Overrides::new(), BrokerLayers::none(), &[]);
    assert_eq!(all.len(), topic::definitions().len());
    assert!(all.windows(2).all(|pair| pair[0].name < pair[1].name));
    assert!(
        all.iter().all(|d| d.source == Source::Default && d.value.is_some() && !d.documentation.is_empty())
    );
    assert!(describe_topic(&Overrides::new(), BrokerLayers::none(), &["tea"]).is_empty());
}

#[test]
fn throttled_rates_are_listed_once_they_are_set() {
    let name = "leader.replication.throttled.rate";
    assert!(describe_broker(BrokerLayers::none(), &[name]).is_empty());
    let broker = set(&[(name, "100")]);
    let layers = BrokerLayers { broker: &broker, ..BrokerLayers::none() };
    assert_eq!(describe_broker(layers, &[name]).remove(0).value.as_deref(), Some("100"));
}

#[test]
fn secrets_are_not_shown() {
    let broker = set(&[("ssl.key.password", "hunter2")]);
    let layers = BrokerLayers { broker: &broker, ..BrokerLayers::none() };
    let found = describe_broker(layers, &["ssl.key.password"]).remove(0);
    assert!(found.sensitive && !format!("{found:?}").contains("hunter2"));
    assert_eq!((found.value.clone(), found.source), (None, Source::Broker));
    assert_eq!(synonyms(&found), [("ssl.key.password", "hidden", 2)]);
}

#[test]
fn for_all_brokers_only_what_is_set_is_described() {
    let cluster = set(&[("message.max.bytes", "7"), ("log.retention.ms", "8")]);
    let found = describe_cluster(&cluster, &[]);
    let values: Vec<_> = found.iter().map(|d| (d.name, d.value.as_deref(), d.source)).collect();
    assert_eq!(
        values,
        [("log.retention.ms", Some("8"), Source::Cluster), ("message.max.bytes", Some("7"), Source::Cluster)]
    );
    assert_eq!(synonyms(&found[0]), [("log.retention.ms", "8", 3)]);
}
