//! Produce: what is refused, what is changed, what is answered.

use bytes::{Bytes, BytesMut};
use siltstone_kafka::{ErrorCode, api_versions};
use siltstone_records::{Batch, BatchBuilder, Compression, TimestampType};

use crate::kit::{NOW, Server, batch, built, fetch_from, idempotent, produce_to};

#[tokio::test]
async fn a_bad_batch_costs_its_partition_alone() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    let mut damaged = BytesMut::from(&batch(&[b"abc"])[..]);
    let last = damaged.len() - 1;
    damaged[last] ^= 1;
    let cases: [(i32, Bytes, ErrorCode); 6] = [
        (0, batch(&[b"good"]), ErrorCode::None),
        (1, damaged.freeze(), ErrorCode::CorruptMessage),
        (1, batch(&[&vec![7; 1_100_000]]), ErrorCode::MessageTooLarge),
        (1, Bytes::new(), ErrorCode::InvalidRecord),
        (1, built(BatchBuilder::new().transactional(true), &[b"x"]), ErrorCode::InvalidRecord),
        (9, batch(&[b"x"]), ErrorCode::UnknownTopicOrPartition),
    ];
    let batches: Vec<(i32, Bytes)> = cases.iter().map(|(index, batch, _)| (*index, batch.clone())).collect();
    let response = client.call(9, &produce_to("t", -1, &batches)).await;
    let told = &response.responses[0].partition_responses;
    for (partition, (index, _, code)) in told.iter().zip(&cases) {
        assert_eq!((partition.index, partition.error_code), (*index, code.code()), "{partition:?}");
        assert_eq!(partition.base_offset, if *code == ErrorCode::None { 0 } else { -1 });
    }
    let response = client.call(9, &produce_to("nowhere", -1, &[(0, batch(&[b"x"]))])).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::UnknownTopicOrPartition.code());
    let response = client.call(9, &produce_to("t", 2, &[(0, batch(&[b"x"]))])).await;
    let code = response.responses[0].partition_responses[0].error_code;
    assert_eq!(code, ErrorCode::InvalidRequiredAcks.code());
}

#[tokio::test]
async fn sequences_are_kept_and_duplicates_get_their_first_offset() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    let cases = [
        (idempotent(9, 1, 0, &[b"a", b"b"]), ErrorCode::None, 0),
        (idempotent(9, 1, 2, &[b"c"]), ErrorCode::None, 2),
        (idempotent(9, 1, 0, &[b"a", b"b"]), ErrorCode::None, 0),
        (idempotent(9, 1, 7, &[b"x"]), ErrorCode::OutOfOrderSequenceNumber, -1),
        (idempotent(9, 0, 3, &[b"x"]), ErrorCode::InvalidProducerEpoch, -1),
    ];
    for (batch, code, offset) in cases {
        let told = client.produce("t", batch).await;
        assert_eq!((told.error_code, told.base_offset), (code.code(), offset), "{told:?}");
    }
}

#[tokio::test]
async fn a_topic_may_want_its_own_time_and_codec() {
    let server = Server::start().await;
    let configs = [("message.timestamp.type", "LogAppendTime"), ("compression.type", "zstd")];
    let topic = server.topic("t", &configs).await;
    let mut client = server.client().await;
    let told = client.produce("t", batch(&[b"a", b"b"])).await;
    assert_eq!((told.error_code, told.log_append_time_ms), (0, NOW));
    let response = client.fetch(12, &fetch_from(&topic, &[(0, 0)])).await;
    let records = response.responses[0].partitions[0].records.clone().unwrap().into_bytes();
    let stored = Batch::parse(&records).unwrap();
    assert!(stored.crc_is_valid());
    assert_eq!(stored.attributes.compression(), Ok(Compression::Zstd));
    assert_eq!((stored.attributes.timestamp_type(), stored.max_timestamp), (TimestampType::LogAppend, NOW));
}

#[tokio::test]
async fn without_acknowledgement_there_is_no_answer_and_errors_end_the_connection() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    for _ in 0..40 {
        client.send(9, &produce_to("t", 0, &[(0, batch(&[b"a"]))])).await;
    }
    let response = client.call(0, &api_versions::Request::default()).await;
    assert_eq!(response.error_code, 0, "the first answer is that of the first request that wants one");
    let request = siltstone_kafka::fetch::Request { max_wait_ms: 10_000, ..fetch_from(&topic, &[(0, 39)]) };
    // Offset 39 may still be ahead of the log's end: then it is out of range, and asked for again.
    let mut written = false;
    for _ in 0..1000 {
        let response = client.fetch(12, &request).await;
        written = response.responses[0].partitions[0].high_watermark == 40;
        if written {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(written);
    client.send(9, &produce_to("t", 0, &[(0, Bytes::from_static(b"no batch at all"))])).await;
    assert!(client.frame().await.is_none());
}
