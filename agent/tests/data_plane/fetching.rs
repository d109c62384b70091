//! Fetch: errors, long polls, sessions, memory.

use std::sync::Arc;

use siltstone_agent::engine::{Engine, EngineSettings, Foundations};
use siltstone_kafka::{ErrorCode, fetch};
use siltstone_metadata::ambient::Ambient;
use siltstone_objects::testing::FaultyStore;
use siltstone_objects::{Objects, Options};
use siltstone_store::memory::{Faults, MemoryStore};

use crate::kit::{DEADLINE, NOW, Server, batch, fetch_from, produce_to, settings};

#[tokio::test]
async fn a_long_poll_is_woken_by_what_is_produced() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut reader = server.client().await;
    let mut writer = server.client().await;
    let request = fetch::Request { max_wait_ms: 60_000, ..fetch_from(&topic, &[(0, 0), (1, 0)]) };
    reader.send(12, &request).await;
    writer.produce("t", batch(&[b"a"])).await;
    let (_, response) = reader.receive::<fetch::Request>(12).await;
    let partitions = &response.responses[0].partitions;
    assert_eq!(partitions[0].high_watermark, 1);
    assert!(!partitions[0].records.as_ref().unwrap().is_empty());
    assert!(partitions[1].records.as_ref().unwrap().is_empty());
}

#[tokio::test]
async fn what_can_not_be_read_says_why() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    client.produce("t", batch(&[b"a"])).await;
    let code = |response: fetch::Response| response.responses[0].partitions[0].error_code;
    let beyond = client.fetch(12, &fetch_from(&topic, &[(0, 2)])).await;
    assert_eq!(code(beyond), ErrorCode::OffsetOutOfRange.code());
    let missing = client.fetch(12, &fetch_from(&topic, &[(5, 0)])).await;
    assert_eq!(code(missing), ErrorCode::UnknownTopicOrPartition.code());
    let mut unknown = fetch_from(&topic, &[(0, 0)]);
    unknown.topics[0].topic_id = siltstone_log::TopicId(99).uuid();
    assert_eq!(code(client.fetch(13, &unknown).await), ErrorCode::UnknownTopicId.code());
    let mut newer = fetch_from(&topic, &[(0, 0)]);
    newer.topics[0].partitions[0].current_leader_epoch = 1;
    assert_eq!(code(client.fetch(12, &newer).await), ErrorCode::UnknownLeaderEpoch.code());
}

#[tokio::test]
async fn a_session_answers_only_what_changed() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    for version in [7, 12, 13, 18] {
        let mut client = server.client().await;
        let mut request = fetch_from(&topic, &[(0, 0), (1, 0)]);
        request.session_epoch = 0;
        let full = client.fetch(version, &request).await;
        assert_ne!(full.session_id, 0);
        assert_eq!(full.responses[0].partitions.len(), 2);
        let next = |session_epoch| fetch::Request {
            session_id: full.session_id,
            session_epoch,
            topics: Vec::new(),
            ..request.clone()
        };
        client.produce("t", batch(&[b"a"])).await;
        let changed = client.fetch(version, &next(1)).await;
        assert_eq!(changed.session_id, full.session_id);
        let told: Vec<i32> =
            changed.responses.iter().flat_map(|t| &t.partitions).map(|p| p.partition_index).collect();
        assert_eq!(told, [0], "version {version}");
        let again = client.fetch(version, &next(1)).await;
        assert_eq!(again.error_code, ErrorCode::InvalidFetchSessionEpoch.code());
        let mut moved = next(2);
        moved.topics = fetch_from(&topic, &[(0, changed.responses[0].partitions[0].high_watermark)]).topics;
        assert!(client.fetch(version, &moved).await.responses.is_empty(), "nothing new");
        let gone = fetch::Request { session_id: full.session_id + 1000, ..next(3) };
        let gone = client.fetch(version, &gone).await;
        assert_eq!(gone.error_code, ErrorCode::FetchSessionIdNotFound.code());
    }
}

#[tokio::test]
async fn consumers_that_do_not_read_leave_memory_for_others() {
    let server = Server::with_answers(4 << 20).await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    for _ in 0..8 {
        client.produce("t", batch(&[&vec![7; 500_000]])).await;
    }
    let request = fetch_from(&topic, &[(0, 0)]);
    let mut stalled = Vec::new();
    for _ in 0..4 {
        let mut consumer = server.client().await;
        // Their answers fill the sockets' buffers, and then wait.
        for _ in 0..16 {
            consumer.send(12, &request).await;
        }
        stalled.push(consumer);
    }
    client.produce("t", batch(&[b"still taken"])).await;
    // Who reads gets records, if need be since those who don't lose their connections.
    let mut reader = server.client().await;
    let until = tokio::time::Instant::now() + DEADLINE;
    for _ in 0..3 {
        loop {
            reader.send(12, &request).await;
            let (_, response) = reader.receive::<fetch::Request>(12).await;
            if !response.responses[0].partitions[0].records.as_ref().unwrap().is_empty() {
                break;
            }
            assert!(tokio::time::Instant::now() < until, "no memory for a consumer that reads");
        }
    }
    // And they get their answers late, or the end.
    for mut consumer in stalled {
        let mut answers = 0;
        while answers < 16 && consumer.frame().await.is_some() {
            answers += 1;
        }
    }
}

/// GETs of each object, smallest first.
fn gets(bucket: &FaultyStore) -> Vec<u64> {
    bucket.names().iter().map(|name| bucket.counts(name).gets).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_flush_has_of_a_partition_is_read_by_itself_where_that_is_wanted() {
    const FLUSHES: usize = 4;
    let bucket = Arc::new(FaultyStore::new(1));
    let mut options = Options::default();
    // A second request for what is slow on a busy machine would be counted.
    (options.requests.hedge_get, options.requests.hedge_put) = (None, None);
    let objects = Objects::from_store(bucket.clone(), "", &options, 1);
    let store = Arc::new(MemoryStore::new(1, Faults::none()));
    let foundations = Foundations { store, objects, ambient: Ambient::fixed(NOW) };
    let agent = |node, block_bytes| {
        let page_bytes = 16 << 10;
        let settings = EngineSettings { node, exclusive: false, page_bytes, block_bytes, ..settings() };
        let engine = Engine::start(foundations.clone(), settings);
        async { Server::of(engine.await.unwrap(), 64 << 20).await }
    };
    let writer = agent(1, Some(64 << 10)).await;
    let topic = writer.topic("t", &[("siltstone.write", "object")]).await;
    let mut client = writer.client().await;
    let value: Vec<u8> = (0..100 << 10).map(|n| (siltstone_log::mix64(n) >> 9) as u8).collect();
    for _ in 0..FLUSHES {
        let answer = client.call(12, &produce_to("t", -1, &[0, 1].map(|at| (at, batch(&[&value]))))).await;
        assert!(answer.responses[0].partition_responses.iter().all(|partition| partition.error_code == 0));
    }
    let read = |server: Server, topic| async move {
        let answer = server.client().await.fetch(12, &fetch_from(&topic, &[(1, 0)])).await;
        let partition = answer.responses[0].partitions[0].clone();
        assert_eq!(partition.error_code, 0);
        let records = partition.records.unwrap();
        assert!(records.len() > FLUSHES * (100 << 10), "{}", records.len());
    };
    read(writer, topic.clone()).await;
    assert_eq!(gets(&bucket), [0; FLUSHES], "its own pages are still there");
    read(agent(2, Some(64 << 10)).await, topic.clone()).await;
    assert_eq!(gets(&bucket), [1; FLUSHES]);
    read(agent(3, None).await, topic).await;
    assert!(gets(&bucket).iter().all(|gets| *gets > 6), "in pages: {:?}", gets(&bucket));
}
