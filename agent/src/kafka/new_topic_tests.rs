use super::*;
use siltstone_kafka::create_topics::request::Config;

fn topic(name: &str, partitions: i32, factor: i16) -> Topic {
    Topic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: factor,
        ..Topic::default()
    }
}

fn assigned(brokers: &[(i32, &[i32])]) -> Topic {
    let assignments = brokers
        .iter()
        .map(|(index, ids)| Assignment { partition_index: *index, broker_ids: ids.to_vec() })
        .collect();
    Topic { assignments, ..topic("t", -1, -1) }
}

fn planned(topic: &Topic) -> Result<(u32, i16), ErrorCode> {
    let defaults =
        BrokerConfig { num_partitions: 3, default_replication_factor: 2, ..BrokerConfig::default() };
    plan(topic, &defaults, BrokerLayers::none())
        .map(|new| (new.partitions, new.replication_factor))
        .map_err(|refused| refused.code)
}

#[test]
fn numbers_are_judged_as_kafka_judges_them() {
    for (partitions, factor, expected) in [
        (1, 1, Ok((1, 1))),
        (5, 3, Ok((5, 3))),
        (-1, -1, Ok((3, 2))),
        (0, 1, Err(ErrorCode::InvalidPartitions)),
        (-2, 1, Err(ErrorCode::InvalidPartitions)),
        (i32::MAX, 1, Err(ErrorCode::InvalidPartitions)),
        (1, 0, Err(ErrorCode::InvalidReplicationFactor)),
        (1, -2, Err(ErrorCode::InvalidReplicationFactor)),
        (0, 0, Err(ErrorCode::InvalidReplicationFactor)),
    ] {
        assert_eq!(planned(&topic("t", partitions, factor)), expected, "{partitions} {factor}");
    }
}

#[test]
fn names_and_configs_are_checked() {
    assert_eq!(planned(&topic("a b", 1, 1)), Err(ErrorCode::InvalidTopicException));
    assert_eq!(planned(&topic(RESERVED, 1, 1)), Err(ErrorCode::InvalidRequest));
    let with = |name: &str, value: Option<&str>| {
        let config = Config { name: name.to_owned(), value: value.map(str::to_owned) };
        planned(&Topic { configs: vec![config], ..topic("t", 1, 1) })
    };
    assert_eq!(with("retention.ms", Some("5")), Ok((1, 1)));
    assert_eq!(with("retention.ms", Some("soon")), Err(ErrorCode::InvalidConfig));
    assert_eq!(with("retention.ms", None), Err(ErrorCode::InvalidConfig));
    assert_eq!(with("no.such.config", Some("1")), Err(ErrorCode::InvalidConfig));
}

#[test]
fn assignments_must_be_consistent_in_themselves() {
    let bad = Err(ErrorCode::InvalidReplicaAssignment);
    assert_eq!(planned(&assigned(&[(0, &[1])])), Ok((1, 1)));
    assert_eq!(planned(&assigned(&[(1, &[7, 8]), (0, &[8, 9])])), Ok((2, 2)));
    assert_eq!(planned(&assigned(&[(0, &[1]), (2, &[1])])), bad);
    assert_eq!(planned(&assigned(&[(1, &[1])])), bad);
    assert_eq!(planned(&assigned(&[(-1, &[1]), (0, &[1])])), bad);
    assert_eq!(planned(&assigned(&[(0, &[1]), (0, &[1])])), bad);
    assert_eq!(planned(&assigned(&[(0, &[])])), bad);
    assert_eq!(planned(&assigned(&[(0, &[1, 1])])), bad);
    assert_eq!(planned(&assigned(&[(0, &[-1])])), bad);
    assert_eq!(planned(&assigned(&[(0, &[1]), (1, &[1, 2])])), bad);
    let both = Topic { num_partitions: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(planned(&both), Err(ErrorCode::InvalidRequest));
    let both = Topic { replication_factor: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(planned(&both), Err(ErrorCode::InvalidRequest));
}

#[test]
fn collisions_are_found_in_one_pass() {
    let found = collisions(["a.b", "plain", "x_y", "same.one"], ["a_b", "plain", "x-y", "same.one", "z.z"]);
    assert_eq!(found.keys().copied().collect::<Vec<_>>(), ["a.b"]);
    // What exists is not even looked at if no new name can collide.
    let never = std::iter::from_fn(|| -> Option<&str> { panic!("looked at what exists") });
    assert!(collisions(["plain", "also-plain"], never).is_empty());
}
