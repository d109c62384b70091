//! Changes, compared with what a Kafka 4.2.0 answered to the same.

use super::*;
use crate::error::ErrorClass;
use Operation::{Append, Delete, Set, Subtract};

fn change<'a>(operation: Operation, name: &'a str, value: &'a str) -> Change<'a> {
    Change { name, operation, value: Some(value) }
}

fn topic(current: &Overrides, changes: &[Change<'_>]) -> Result<Overrides, AlterError> {
    alter_topic(current, changes, BrokerLayers::none())
}

fn refused(changes: &[Change<'_>]) -> (ErrorClass, String) {
    let error = topic(&Overrides::new(), changes).unwrap_err();
    (error.class(), error.to_string())
}

#[test]
fn lists_grow_and_shrink_from_the_value_that_holds() {
    let mut now = Overrides::new();
    for (operation, value, expected) in [
        (Append, "compact", "delete,compact"),
        (Append, "compact,delete", "delete,compact"),
        (Subtract, "delete", "compact"),
        (Subtract, "foo", "compact"),
        (Append, "", "compact"),
        (Subtract, "compact", ""),
        (Append, "compact", "compact"),
        (Set, " compact , delete ", "compact,delete"),
        (Set, "compact, compact", "compact"),
    ] {
        now = topic(&now, &[change(operation, "cleanup.policy", value)]).unwrap();
        assert_eq!(now["cleanup.policy"], expected, "{operation:?} {value:?}");
    }
    now = topic(&now, &[change(Delete, "cleanup.policy", "whatever")]).unwrap();
    assert!(now.is_empty());
}

#[test]
fn a_bad_item_in_an_append_is_refused() {
    for value in ["foo", "compact,,delete", "compact,"] {
        let (class, text) = refused(&[change(Append, "cleanup.policy", value)]);
        assert_eq!(class, ErrorClass::InvalidConfig);
        assert!(text.starts_with("Invalid value delete,"), "{text}");
    }
}

#[test]
fn only_lists_are_appended_to() {
    let text = "Can't APPEND to retention.ms: its type is not LIST".to_owned();
    assert_eq!(refused(&[change(Append, "retention.ms", "1")]), (ErrorClass::InvalidConfig, text));
    let text = "Can't SUBTRACT to retention.ms: its type is not LIST".to_owned();
    assert_eq!(refused(&[change(Subtract, "retention.ms", "1")]), (ErrorClass::InvalidConfig, text));
}

#[test]
fn nulls_and_duplicates_are_invalid_requests() {
    let null = |operation, name| Change { name, operation, value: None };
    for operation in [Set, Append, Subtract] {
        let text = "A null value is not supported for: retention.ms, segment.ms".to_owned();
        let found = refused(&[null(operation, "segment.ms"), null(operation, "retention.ms")]);
        assert_eq!(found, (ErrorClass::InvalidRequest, text));
    }
    assert_eq!(topic(&Overrides::new(), &[null(Delete, "retention.ms")]), Ok(Overrides::new()));
    let text = "The same config must not be named twice in one change: retention.ms".to_owned();
    let twice = [change(Set, "retention.ms", "1"), change(Delete, "retention.ms", "")];
    assert_eq!(refused(&twice), (ErrorClass::InvalidRequest, text));
}

#[test]
fn errors_name_config_value_and_what_is_allowed() {
    for (name, value, text) in [
        ("tea", "x", "Unknown topic config name: tea"),
        ("", "", "Unknown topic config name: "),
        (
            "retention.ms",
            "x",
            "Invalid value x for configuration retention.ms: it is not a number of type LONG",
        ),
        (
            "retention.ms",
            "-2",
            "Invalid value -2 for configuration retention.ms: the value must be at least -1",
        ),
        (
            "compression.gzip.level",
            "0",
            "Invalid value 0 for configuration compression.gzip.level: the value must be from 1 to 9, or -1",
        ),
        (
            "message.timestamp.type",
            "createtime",
            "Invalid value createtime for configuration message.timestamp.type: the value must be one of: CreateTime, LogAppendTime",
        ),
        (
            "preallocate",
            "yes",
            "Invalid value yes for configuration preallocate: the value must be true or false",
        ),
        (
            "follower.replication.throttled.replicas",
            "0:1,*",
            "Invalid value 0:1,* for configuration follower.replication.throttled.replicas: the value must be * or a list of [partitionId]:[brokerId]",
        ),
        (
            "remote.storage.enable",
            "true",
            "Configuration remote.storage.enable cannot be true here, only its default (false): All data is in object storage from the start: there is no second tier to copy to or to delete from.",
        ),
    ] {
        assert_eq!(refused(&[change(Set, name, value)]), (ErrorClass::InvalidConfig, text.to_owned()));
    }
    assert!(topic(&Overrides::new(), &[change(Set, "remote.storage.enable", " FALSE")]).is_ok());
}

#[test]
fn a_change_applies_whole_or_not_at_all() {
    let before = topic(&Overrides::new(), &[change(Set, "retention.ms", "5")]).unwrap();
    assert!(topic(&before, &[change(Set, "retention.ms", "6"), change(Set, "tea", "1")]).is_err());
    assert_eq!(before["retention.ms"], "5");
}

#[test]
fn the_smallest_lag_is_not_above_the_largest() {
    let (low, high) = ("min.compaction.lag.ms", "max.compaction.lag.ms");
    let text = "Configuration min.compaction.lag.ms (10) must not be greater than max.compaction.lag.ms (5)";
    let both = [change(Set, low, "10"), change(Set, high, "5")];
    assert_eq!(refused(&both), (ErrorClass::InvalidConfig, text.to_owned()));
    let set = topic(&Overrides::new(), &[change(Set, high, "5")]).unwrap();
    assert!(topic(&set, &[change(Set, low, "6")]).is_err());
    assert!(topic(&set, &[change(Set, low, "5")]).is_ok());

    let cluster = replace_broker(
        Level::Cluster,
        &[("log.cleaner.min.compaction.lag.ms", Some("10"))],
        BrokerLayers::none(),
    );
    let cluster = cluster.unwrap();
    let layers = BrokerLayers { cluster: &cluster, ..BrokerLayers::none() };
    assert!(replace_topic(&[(high, Some("5"))], layers).is_err());
    assert!(replace_topic(&[("retention.ms", Some("5"))], layers).is_ok());
    assert!(
        alter_broker(Level::Cluster, &[change(Set, "log.cleaner.max.compaction.lag.ms", "9")], layers)
            .is_err()
    );
    assert!(
        alter_broker(Level::Broker, &[change(Set, "log.cleaner.max.compaction.lag.ms", "9")], layers)
            .is_err()
    );
}

#[test]
fn replacing_forgets_what_is_not_named() {
    let new = replace_topic(&[("max.message.bytes", Some("+07"))], BrokerLayers::none()).unwrap();
    assert_eq!(new.into_iter().collect::<Vec<_>>(), [("max.message.bytes".to_owned(), "7".to_owned())]);
}

#[test]
fn broker_configs_change_where_kafka_lets_them() {
    let layers = BrokerLayers::none();
    let fails = |level, name, value| {
        let error = alter_broker(level, &[change(Set, name, value)], layers).unwrap_err();
        assert_eq!(error.class(), ErrorClass::InvalidRequest);
        error.to_string()
    };
    for level in [Level::Broker, Level::Cluster] {
        assert_eq!(
            fails(level, "num.partitions", "3"),
            "Cannot update this config while the broker runs: num.partitions"
        );
        assert_eq!(fails(level, "tea", "3"), "Unknown broker config name: tea");
        assert_eq!(
            alter_broker(level, &[change(Set, "message.max.bytes", "9")], layers).unwrap()["message.max.bytes"],
            "9"
        );
        assert!(fails(level, "message.max.bytes", "-4").ends_with("the value must be at least 0"));
        assert!(fails(level, "log.retention.ms", "0").contains("-1 for no limit"));
    }
    assert_eq!(
        fails(Level::Cluster, "ssl.cipher.suites", "x"),
        "Cannot update this config for all brokers, a broker id must be given: ssl.cipher.suites"
    );
    assert!(
        fails(Level::Broker, "ssl.cipher.suites", "x").contains("its default (empty): TLS and SASL"),
        "refused with its reason"
    );
    let secret = fails(Level::Broker, "ssl.key.password", "hunter2");
    assert!(!secret.contains("hunter2") && secret.contains("(unset)"), "{secret}");
}

#[test]
fn operations_have_kafkas_numbers() {
    let known: Vec<_> = (0..4).filter_map(Operation::from_wire).collect();
    assert_eq!(known, [Set, Delete, Append, Subtract]);
    assert_eq!((Operation::from_wire(4), Operation::from_wire(-1)), (None, None));
}
