//! Deleting records, and sizes.

use siltstone_kafka::{ErrorCode, Request, Response, delete_records, describe_log_dirs};

use super::kit::{agent, answer, append, create, topic, with_topic};
use crate::kafka::context::Context;

async fn delete(cx: &Context, name: &str, index: i32, offset: i64) -> (i64, i16) {
    let partition = delete_records::request::Partition { partition_index: index, offset };
    let topic = delete_records::request::Topic { name: name.to_owned(), partitions: vec![partition] };
    let request = delete_records::Request { topics: vec![topic], ..Default::default() };
    let answer = answer!(*cx, DeleteRecords, 2, request);
    let partition = &answer.topics[0].partitions[0];
    (partition.low_watermark, partition.error_code)
}

async fn size(cx: &Context, name: &str) -> i64 {
    let asked = describe_log_dirs::request::Topic { topic: name.to_owned(), partitions: vec![0, 9] };
    let request = describe_log_dirs::Request { topics: Some(vec![asked]) };
    let answer = answer!(*cx, DescribeLogDirs, 4, request);
    assert_eq!((answer.error_code, answer.results[0].total_bytes), (0, -1));
    assert_eq!(answer.results[0].topics[0].partitions.len(), 1);
    answer.results[0].topics[0].partitions[0].partition_size
}

#[tokio::test]
async fn records_are_deleted_up_to_an_offset_and_never_come_back() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    append(&cx, "t", 0, 10, 100).await;
    append(&cx, "t", 0, 10, 300).await;
    assert_eq!(size(&cx, "t").await, 400);
    assert_eq!(delete(&cx, "t", 0, 10).await, (10, 0));
    assert_eq!(size(&cx, "t").await, 300);
    assert_eq!(delete(&cx, "t", 0, 4).await, (10, 0));
    let out = (-1, ErrorCode::OffsetOutOfRange.code());
    assert_eq!(delete(&cx, "t", 0, 21).await, out);
    assert_eq!(delete(&cx, "t", 0, -2).await, out);
    assert_eq!(delete(&cx, "t", 0, -1).await, (20, 0));
    assert_eq!(size(&cx, "t").await, 0);
}

#[tokio::test]
async fn what_is_not_there_or_compacted_keeps_its_records() {
    let cx = agent(&[]).await;
    let unknown = (-1, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(delete(&cx, "t", 0, 0).await, unknown);
    let policy = |value: &str| siltstone_kafka::create_topics::request::Config {
        name: "cleanup.policy".to_owned(),
        value: Some(value.to_owned()),
    };
    let compacted =
        siltstone_kafka::create_topics::request::Topic { configs: vec![policy("compact")], ..topic("c", 1) };
    let both = siltstone_kafka::create_topics::request::Topic {
        configs: vec![policy("compact,delete")],
        ..topic("b", 1)
    };
    create(&cx, vec![compacted, both]).await;
    assert_eq!(delete(&cx, "c", 1, 0).await, unknown);
    assert_eq!(delete(&cx, "c", 0, 0).await, (-1, ErrorCode::PolicyViolation.code()));
    assert_eq!(delete(&cx, "b", 0, 0).await, (0, 0));
}
