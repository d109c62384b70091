//! Configs: described, changed, refused.

use siltstone_kafka::{
    ErrorCode, Request, Response, alter_configs, describe_configs, incremental_alter_configs,
};

use super::kit::{agent, answer, with_topic};
use crate::kafka::context::Context;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const SET: i8 = 0;

async fn described(cx: &Context, kind: i8, name: &str, config: &str) -> Option<(String, i8)> {
    let resource = describe_configs::request::Resource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configuration_keys: Some(vec![config.to_owned(), "no.such.config".to_owned()]),
    };
    let request = describe_configs::Request { resources: vec![resource], ..Default::default() };
    let answer = answer!(*cx, DescribeConfigs, 4, request);
    assert_eq!(answer.results[0].error_code, 0, "{answer:?}");
    let found = answer.results[0].configs.first()?;
    Some((found.value.clone()?, found.config_source))
}

fn change(
    kind: i8,
    name: &str,
    configs: &[(&str, i8, Option<&str>)],
) -> incremental_alter_configs::request::Resource {
    let config =
        |(name, operation, value): &(&str, i8, Option<&str>)| incremental_alter_configs::request::Config {
            name: (*name).to_owned(),
            config_operation: *operation,
            value: value.map(str::to_owned),
        };
    incremental_alter_configs::request::Resource {
        resource_type: kind,
        resource_name: name.to_owned(),
        configs: configs.iter().map(config).collect(),
    }
}

async fn alter(
    cx: &Context,
    resources: Vec<incremental_alter_configs::request::Resource>,
    validate_only: bool,
) -> Vec<i16> {
    let request = incremental_alter_configs::Request { resources, validate_only };
    let answer = answer!(*cx, IncrementalAlterConfigs, 1, request);
    answer.responses.iter().map(|one| one.error_code).collect()
}

#[tokio::test]
async fn a_topics_configs_are_changed_whole_or_not_at_all() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let of = |configs: &[(&str, i8, Option<&str>)]| vec![change(TOPIC, "t", configs)];
    let weekly = Some(("604800000".to_owned(), 5));
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, weekly);
    assert_eq!(alter(&cx, of(&[("retention.ms", SET, Some("5"))]), true).await, [0]);
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, weekly);
    let half = [("retention.ms", SET, Some("5")), ("cleanup.policy", SET, Some("shred"))];
    assert_eq!(alter(&cx, of(&half), false).await, [ErrorCode::InvalidConfig.code()]);
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, weekly);
    assert_eq!(alter(&cx, of(&[("retention.ms", SET, Some("5"))]), false).await, [0]);
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, Some(("5".to_owned(), 1)));
    let entry =
        alter_configs::request::Config { name: "max.message.bytes".into(), value: Some("5000".into()) };
    let resource = alter_configs::request::Resource {
        resource_type: TOPIC,
        resource_name: "t".into(),
        configs: vec![entry],
    };
    let request = alter_configs::Request { resources: vec![resource], validate_only: false };
    assert_eq!(answer!(cx, AlterConfigs, 2, request).responses[0].error_code, 0);
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, weekly);
    assert_eq!(described(&cx, TOPIC, "t", "max.message.bytes").await, Some(("5000".to_owned(), 1)));
}

#[tokio::test]
async fn changes_are_refused_with_kafkas_codes() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let one = |kind, name, config| vec![change(kind, name, &[config])];
    let retention = ("retention.ms", SET, Some("1"));
    for (resources, code) in [
        (one(TOPIC, "nope", retention), ErrorCode::UnknownTopicOrPartition),
        (one(TOPIC, "not good", retention), ErrorCode::InvalidTopicException),
        (one(TOPIC, "", retention), ErrorCode::InvalidRequest),
        (one(TOPIC, "t", ("retention.ms", SET, None)), ErrorCode::InvalidRequest),
        (one(TOPIC, "t", ("retention.ms", 2, Some("1"))), ErrorCode::InvalidConfig),
        (one(TOPIC, "t", ("retention.ms", 9, Some("1"))), ErrorCode::UnknownServerError),
        (one(TOPIC, "t", ("no.such", SET, Some("1"))), ErrorCode::InvalidConfig),
        (one(BROKER, "77", ("log.retention.ms", SET, Some("1"))), ErrorCode::InvalidRequest),
        (one(BROKER, "x", ("log.retention.ms", SET, Some("1"))), ErrorCode::InvalidRequest),
        (one(BROKER, "", ("num.partitions", SET, Some("1"))), ErrorCode::InvalidRequest),
        (one(8, "1", ("kafka", SET, Some("INFO"))), ErrorCode::InvalidRequest),
        (one(99, "x", retention), ErrorCode::InvalidRequest),
    ] {
        assert_eq!(alter(&cx, resources.clone(), false).await, [code.code()], "{resources:?}");
    }
    let twice = vec![change(TOPIC, "t", &[retention]), change(TOPIC, "t", &[retention])];
    assert_eq!(alter(&cx, twice, false).await, [ErrorCode::InvalidRequest.code(); 2]);
}

#[tokio::test]
async fn brokers_have_configs_of_their_own_and_of_all() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let set = |name: &str, value: &str| vec![change(BROKER, name, &[("log.retention.ms", SET, Some(value))])];
    assert_eq!(alter(&cx, set("", "7000"), false).await, [0]);
    assert_eq!(described(&cx, BROKER, "", "log.retention.ms").await, Some(("7000".to_owned(), 3)));
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, Some(("7000".to_owned(), 3)));
    assert_eq!(alter(&cx, set("1", "8000"), false).await, [0]);
    assert_eq!(described(&cx, BROKER, "1", "log.retention.ms").await, Some(("8000".to_owned(), 2)));
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, Some(("8000".to_owned(), 2)));
    let clear = vec![change(BROKER, "1", &[("log.retention.ms", 1, None)])];
    assert_eq!(alter(&cx, clear, false).await, [0]);
    assert_eq!(described(&cx, TOPIC, "t", "retention.ms").await, Some(("7000".to_owned(), 3)));
}

#[tokio::test]
async fn a_resource_that_is_named_often_is_described_once() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let resource = |name: &str| describe_configs::request::Resource {
        resource_type: TOPIC,
        resource_name: name.to_owned(),
        ..Default::default()
    };
    let mut resources = vec![resource("t"); 1000];
    resources.push(resource("u"));
    let answer =
        answer!(cx, DescribeConfigs, 4, describe_configs::Request { resources, ..Default::default() });
    let codes: Vec<i16> = answer.results.iter().map(|one| one.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::UnknownTopicOrPartition.code()]);
}
