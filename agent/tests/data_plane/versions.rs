//! Every API of the data plane in every version.

use siltstone_kafka::{
    ApiKey, ErrorCode, api_versions, describe_producers, fetch, find_coordinator, frame, init_producer_id,
    list_offsets, offset_for_leader_epoch, produce,
};

use crate::kit::{Server, batch, fetch_from, idempotent, produce_to};

#[tokio::test]
async fn produce_and_fetch_serve_every_version() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    let mut written = 0;
    for version in 3..=13 {
        let mut request: produce::Request = produce_to("t", 1, &[(0, batch(&[b"a", b"b"]))]);
        request.topic_data[0].topic_id = topic.id.uuid();
        let response = client.call(version, &request).await;
        let partition = &response.responses[0].partition_responses[0];
        assert_eq!((partition.error_code, partition.base_offset), (0, written), "version {version}");
        written += 2;
    }
    for version in 4..=18 {
        let request = fetch_from(&topic, &[(0, 0)]);
        let response: fetch::Response = client.call(version, &request).await;
        assert_eq!(response.error_code, 0);
        let partition = &response.responses[0].partitions[0];
        assert_eq!((partition.error_code, partition.high_watermark), (0, written), "version {version}");
        let records = partition.records.clone().unwrap().into_bytes();
        let batches = siltstone_records::batches(records).collect::<Result<Vec<_>, _>>().unwrap();
        assert_eq!(batches.len(), 11);
        assert!(batches.iter().zip((0..).step_by(2)).all(|(b, base)| b.base_offset == base));
        assert!(batches.iter().all(|batch| batch.crc_is_valid()));
    }
}

#[tokio::test]
async fn list_offsets_serves_every_version() {
    use list_offsets::request::{Partition, Topic};
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    client.produce("t", batch(&[b"a", b"b", b"c"])).await;
    for version in 1..=11 {
        let now = crate::kit::NOW;
        // What is asked for, since which version, and the answer.
        let cases = [
            (-1, 1, (3, -1)),
            (-2, 1, (0, -1)),
            (-3, 7, (2, now + 2)),
            (-4, 8, (0, -1)),
            (-5, 9, (-1, -1)),
            (-6, 11, (-1, -1)),
            (now + 1, 1, (1, now + 1)),
            (now + 3, 1, (-1, -1)),
        ];
        for (timestamp, since, expected) in cases {
            let partition = Partition { timestamp, ..Partition::default() };
            let unknown = Partition { partition_index: 2, timestamp, ..Partition::default() };
            let topic = Topic { name: "t".into(), partitions: vec![partition, unknown] };
            let request = list_offsets::Request { replica_id: -1, topics: vec![topic], ..Default::default() };
            let response = client.call(version, &request).await;
            let found = &response.topics[0].partitions;
            if version < since {
                assert_eq!(found[0].error_code, ErrorCode::UnsupportedVersion.code());
                continue;
            }
            assert_eq!(
                (found[0].error_code, (found[0].offset, found[0].timestamp)),
                (0, expected),
                "{timestamp} in version {version}"
            );
            assert_eq!(found[1].error_code, ErrorCode::UnknownTopicOrPartition.code());
        }
    }
}

#[tokio::test]
async fn offset_for_leader_epoch_serves_every_version() {
    use offset_for_leader_epoch::request::{Partition, Topic};
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    client.produce("t", batch(&[b"a", b"b", b"c"])).await;
    for version in 2..=4 {
        let ask = |current_leader_epoch, leader_epoch| Partition {
            current_leader_epoch,
            leader_epoch,
            ..Partition::default()
        };
        let partitions = vec![ask(-1, 0), ask(0, 1), ask(1, 0), ask(-2, 0)];
        let topics = vec![Topic { topic: "t".into(), partitions }];
        let request = offset_for_leader_epoch::Request { topics, ..Default::default() };
        let response = client.call(version, &request).await;
        let told: Vec<_> = response.topics[0]
            .partitions
            .iter()
            .map(|p| (p.error_code, p.leader_epoch, p.end_offset))
            .collect();
        let (unknown, fenced) = (ErrorCode::UnknownLeaderEpoch, ErrorCode::FencedLeaderEpoch);
        let expected = [(0, 0, 3), (0, -1, -1), (unknown.code(), -1, -1), (fenced.code(), -1, -1)];
        assert_eq!(told, expected, "version {version}");
    }
}

#[tokio::test]
async fn producer_ids_are_given_once_and_transactional_ids_raise_epochs() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let mut ids = std::collections::BTreeSet::new();
    for version in 0..=5 {
        let plain = init_producer_id::Request { transactional_id: None, ..Default::default() };
        let response = client.call(version, &plain).await;
        assert_eq!((response.error_code, response.producer_epoch), (0, 0));
        assert!(ids.insert(response.producer_id));
        let transactional = init_producer_id::Request {
            transactional_id: Some("x".into()),
            transaction_timeout_ms: 1000,
            ..Default::default()
        };
        let response = client.call(version, &transactional).await;
        assert_eq!((response.error_code, response.producer_epoch), (0, version));
        assert!(version > 0 || ids.insert(response.producer_id));
        let endless = init_producer_id::Request { transaction_timeout_ms: 0, ..transactional };
        let refused = client.call(version, &endless).await.error_code;
        assert_eq!(refused, ErrorCode::InvalidTransactionTimeout.code());
    }
    let half = init_producer_id::Request { transactional_id: None, producer_id: 5, ..Default::default() };
    assert_eq!(client.call(4, &half).await.error_code, ErrorCode::InvalidRequest.code());
}

#[tokio::test]
async fn this_agent_coordinates() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 0..=6 {
        let request = if version < 4 {
            find_coordinator::Request { key: "g".into(), ..Default::default() }
        } else {
            find_coordinator::Request { coordinator_keys: vec!["g".into(), "h".into()], ..Default::default() }
        };
        let response = client.call(version, &request).await;
        if version < 4 {
            assert_eq!((response.error_code, response.node_id, response.port), (0, 1, 9092));
        } else {
            let keys: Vec<_> = response.coordinators.iter().map(|c| (c.key.as_str(), c.error_code)).collect();
            assert_eq!(keys, [("g", 0), ("h", 0)]);
        }
    }
}

#[tokio::test]
async fn producers_are_described() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    client.produce("t", idempotent(5, 3, 0, &[b"a", b"b"])).await;
    use describe_producers::request::Topic;
    let topics = vec![Topic { name: "t".into(), partition_indexes: vec![0, 1, 9] }];
    let response = client.call(0, &describe_producers::Request { topics }).await;
    let told = &response.topics[0].partitions;
    let producer = &told[0].active_producers[0];
    assert_eq!((producer.producer_id, producer.producer_epoch, producer.last_sequence), (5, 3, 1));
    assert_eq!((told[1].active_producers.len(), told[1].error_code), (0, 0));
    assert_eq!(told[2].error_code, ErrorCode::UnknownTopicOrPartition.code());
}

#[tokio::test]
async fn api_versions_are_told_also_to_clients_from_the_future() {
    let server = Server::start().await;
    let mut client = server.client().await;
    for version in 0..=4 {
        let request = api_versions::Request {
            client_software_name: "test".into(),
            client_software_version: "1.0".into(),
        };
        let response = client.call(version, &request).await;
        assert_eq!(response.error_code, 0);
        let produce = response.api_keys.iter().find(|api| api.api_key == ApiKey::Produce.code()).unwrap();
        assert_eq!((produce.min_version, produce.max_version), (0, 13));
        assert_eq!(response.finalized_features.len(), if version < 3 { 0 } else { 5 });
    }
    let nameless = api_versions::Request::default();
    assert_eq!(client.call(3, &nameless).await.error_code, ErrorCode::InvalidRequest.code());
    // Version 99, correlation id 7, a null client id, no tagged fields, and what nobody knows.
    client.raw(&[0, 0, 0, 13, 0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 0, 1, 2]).await;
    let frame = client.frame().await.unwrap();
    let (id, response) = frame::decode_response::<api_versions::Response>(&frame, 0).unwrap();
    assert_eq!((id, response.error_code), (7, ErrorCode::UnsupportedVersion.code()));
    assert_eq!(response.api_keys[0].api_key, ApiKey::ApiVersions.code());
}
