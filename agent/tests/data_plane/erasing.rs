//! Our own APIs for erasing keys, over the wire.

use bytes::Bytes;
use siltstone_kafka::{ErrorCode, api_versions, describe_erasures, erase_keys, forget_erasure};
use siltstone_log::{ErasedObject, ErasureId, RegistrationId, SegmentId, ShardSet, TopicRow};
use siltstone_metadata::erase;
use siltstone_metadata::keys::erasure;
use siltstone_records::{BatchBuilder, Compression};
use siltstone_store::{Commit, Mutation};

use crate::kit::{Client, NOW, Server, batch, built, fetch_from};

fn of(topic: &str, keys: &[&'static str]) -> erase_keys::Request {
    let keys = keys.iter().map(|key| Bytes::from_static(key.as_bytes())).collect();
    erase_keys::Request { topic: topic.to_owned(), keys, timeout_ms: 10_000 }
}

/// Batches of partition 0 from an offset on: first and last offset, and how many records.
async fn batches(client: &mut Client, topic: &TopicRow, from: i64) -> Vec<(i64, i64, i32)> {
    let response = client.fetch(12, &fetch_from(topic, &[(0, from)])).await;
    let records = response.responses[0].partitions[0].records.clone().unwrap().into_bytes();
    let parsed = siltstone_records::batches(records).map(Result::unwrap);
    parsed
        .inspect(|batch| assert!(batch.crc_is_valid() && batch.leader_epoch == 0))
        .map(|batch| (batch.base_offset, batch.last_offset(), batch.count))
        .collect()
}

#[tokio::test]
async fn erased_records_are_given_to_nobody_once_it_is_answered() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    // All keys are `k`.
    client.produce("t", batch(&[b"a", b"b"])).await;
    let gzip = BatchBuilder::new().compression(Compression::Gzip, None);
    client.produce("t", built(gzip, &[b"c", b"d", b"e"])).await;
    let answer = client.call(0, &of("t", &["another", "k"])).await;
    assert_eq!((answer.error_code, answer.requested_at, answer.invisible_at), (0, NOW, NOW));
    assert!(!answer.erasure_id.is_nil());
    client.produce("t", batch(&[b"f"])).await;
    // Empty batches, so that a consumer's position gets behind them.
    assert_eq!(batches(&mut client, &topic, 0).await, [(0, 1, 0), (2, 4, 0), (5, 5, 1)]);
    assert_eq!(batches(&mut client, &topic, 3).await, [(2, 4, 0), (5, 5, 1)]);
    assert_eq!(batches(&mut client, &topic, 5).await, [(5, 5, 1)], "what came later is new");
}

#[tokio::test]
async fn what_cannot_be_erased_is_refused_with_a_reason() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    let nothing = client.call(0, &of("none", &["k"])).await;
    assert_eq!(nothing.error_code, ErrorCode::UnknownTopicOrPartition.code());
    let no_key = client.call(0, &of("t", &[])).await;
    assert_eq!(no_key.error_code, ErrorCode::InvalidRequest.code());
    assert!(no_key.error_message.unwrap().contains("1 to 256"));
    let unknown = forget_erasure::Request { erasure_id: uuid::Uuid::from_u128(7) };
    assert_eq!(client.call(0, &unknown).await.error_code, ErrorCode::ResourceNotFound.code());
    let unknown = describe_erasures::Request { erasure_id: uuid::Uuid::from_u128(7), after: None };
    assert_eq!(client.call(0, &unknown).await.error_code, ErrorCode::ResourceNotFound.code());
    let asked = client.call(0, &of("t", &["k"])).await.erasure_id;
    let early = client.call(0, &forget_erasure::Request { erasure_id: asked }).await;
    assert_eq!(early.error_code, ErrorCode::PolicyViolation.code(), "a search is still due");
}

#[tokio::test]
async fn clients_are_not_told_of_our_own_apis() {
    let server = Server::start().await;
    let mut client = server.client().await;
    let answer: api_versions::Response = client
        .call(
            3,
            &api_versions::Request { client_software_name: "a".into(), client_software_version: "1".into() },
        )
        .await;
    assert!(answer.api_keys.iter().all(|api| api.api_key < 1_000));
}

#[tokio::test]
async fn receipts_come_in_pages() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    client.produce("t", batch(&[b"a", b"b"])).await;
    let id = client.call(0, &of("t", &["k"])).await.erasure_id;
    let erasure_id = ErasureId(id.as_u128());
    let segment = |number| SegmentId { registration: RegistrationId(1 << 100), number };
    let object = |number: u64| {
        let deleted = number.is_multiple_of(2).then_some(NOW + 1);
        let shards = ShardSet::of([], 4);
        ErasedObject {
            inline: number == 3,
            length: 10 * number,
            records: number,
            found: NOW,
            deleted,
            shards,
        }
    };
    let store = server.engine.store();
    for from in [1, 601] {
        let put = |number: u64| {
            let value = object(number).encode().into();
            Mutation::Set { key: erasure::object(erasure_id, segment(number)), value }
        };
        let mut mutations: Vec<_> = (from..from + 600).map(put).collect();
        mutations.push(erasure::replaced(erasure_id, segment(1), segment(9_999), NOW + 5));
        mutations.push(erasure::set_upto(erasure_id, 0, 2));
        mutations.push(erasure::count(erasure_id, 0, 1));
        store.commit(Commit { mutations, ..Commit::default() }).await.unwrap();
    }
    let (mut objects, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = client.call(0, &describe_erasures::Request { erasure_id: id, after: after.clone() }).await;
        let erasure = &page.erasures[0];
        assert_eq!((page.error_code, erasure.objects_found, erasure.objects_deleted), (0, 1200, 600));
        assert_eq!(
            erasure.partitions.len(),
            usize::from(after.is_none()),
            "partitions come with the first page"
        );
        objects.extend(erasure.objects.clone());
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((pages, objects.len()), (3, 1200));
    let numbers: Vec<i64> = objects.iter().map(|object| object.records).collect();
    assert_eq!(numbers, (1..=1200).collect::<Vec<_>>());
    assert_eq!(objects[0].replaced_by, [segment(9_999).object_name()]);
    assert_eq!((objects[0].replaced_at, objects[1].replaced_at), (NOW + 5, -1));
    assert_eq!((objects[0].deleted_at, objects[1].deleted_at, objects[2].inline), (-1, NOW + 1, true));
    let all = client.call(0, &describe_erasures::Request::default()).await;
    assert_eq!((all.erasures.len(), all.erasures[0].objects.len()), (1, 0), "a list has no receipts");
    assert_eq!(erase::list(store.snapshot().await.unwrap().as_ref()).await.unwrap().len(), 1);
    let broken = describe_erasures::Request { erasure_id: id, after: Some("x".into()) };
    assert_eq!(client.call(0, &broken).await.error_code, ErrorCode::InvalidRequest.code());
}
