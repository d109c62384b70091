//! Transactions as clients see them, of both versions, from the first request to what readers of committed records get.

use siltstone_kafka::{
    ErrorCode, add_offsets_to_txn, add_partitions_to_txn, describe_transactions, end_txn, fetch,
    init_producer_id, list_transactions, offset_fetch, txn_offset_commit, write_txn_markers,
};
use siltstone_log::TopicRow;
use siltstone_records::{BatchBuilder, Producer};

use crate::kit::{Client, DEADLINE, Server, batch, built, fetch_from, produce_to};

const ID: &str = "the id";
const NOTHING: [i64; 0] = [];

async fn init(client: &mut Client) -> (i64, i16) {
    let request = init_producer_id::Request {
        transactional_id: Some(ID.into()),
        transaction_timeout_ms: 60_000,
        ..init_producer_id::Request::default()
    };
    let answer = client.call(5, &request).await;
    assert_eq!(answer.error_code, 0);
    (answer.producer_id, answer.producer_epoch)
}

/// Produces one record to a partition of "t".
async fn produce(
    client: &mut Client,
    version: i16,
    (id, epoch): (i64, i16),
    base_sequence: i32,
    partition: i32,
) -> (i16, i64) {
    let builder = BatchBuilder::new().producer(Producer { id, epoch, base_sequence }).transactional(true);
    let mut request = produce_to("t", -1, &[(partition, built(builder, &[b"v"]))]);
    request.transactional_id = Some(ID.into());
    let answer = client.call(version, &request).await;
    let told = &answer.responses[0].partition_responses[0];
    (told.error_code, told.base_offset)
}

async fn end(client: &mut Client, version: i16, producer: (i64, i16), committed: bool) -> end_txn::Response {
    let request = end_txn::Request {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        committed,
    };
    client.call(version, &request).await
}

async fn add(client: &mut Client, producer: (i64, i16), partitions: &[i32]) -> Vec<i16> {
    let topic = add_partitions_to_txn::request::Topic { name: "t".into(), partitions: partitions.to_vec() };
    let request = add_partitions_to_txn::Request {
        v3_and_below_transactional_id: ID.into(),
        v3_and_below_producer_id: producer.0,
        v3_and_below_producer_epoch: producer.1,
        v3_and_below_topics: vec![topic],
        ..add_partitions_to_txn::Request::default()
    };
    let answer = client.call(3, &request).await;
    let results = &answer.results_by_topic_v3_and_below[0].results_by_partition;
    results.iter().map(|result| result.partition_error_code).collect()
}

/// Fetches committed records until the last stable offset is `stable`: how many batches there are, and where aborted transactions begin.
async fn committed(client: &mut Client, topic: &TopicRow, partition: i32, stable: i64) -> Vec<i64> {
    let read = async {
        loop {
            let request = fetch::Request { isolation_level: 1, ..fetch_from(topic, &[(partition, 0)]) };
            let answer = client.fetch(13, &request).await;
            let told = &answer.responses[0].partitions[0];
            assert_eq!(told.error_code, 0);
            if told.last_stable_offset == stable {
                let aborted = told.aborted_transactions.clone().unwrap_or_default();
                return aborted.iter().map(|one| one.first_offset).collect();
            }
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("the last stable offset gets there")
}

async fn offset(
    client: &mut Client,
    version: i16,
    producer: (i64, i16),
    member: (&str, i32),
    at: i64,
) -> ErrorCode {
    use txn_offset_commit::request::{Partition, Topic};
    let partition = Partition { committed_offset: at, ..Partition::default() };
    let request = txn_offset_commit::Request {
        transactional_id: ID.into(),
        group_id: "g".into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        generation_id: member.1,
        member_id: member.0.into(),
        topics: vec![Topic { name: "t".into(), partitions: vec![partition] }],
        ..txn_offset_commit::Request::default()
    };
    let answer = client.call(version, &request).await;
    ErrorCode::from_code(answer.topics[0].partitions[0].error_code).unwrap()
}

/// The group's offset in the first partition, and its error.
async fn offset_of(client: &mut Client, stable: bool) -> (i64, i16) {
    let topic = offset_fetch::request::GroupTopic {
        name: "t".into(),
        partition_indexes: vec![0],
        ..offset_fetch::request::GroupTopic::default()
    };
    let group = offset_fetch::request::Group {
        group_id: "g".into(),
        member_id: None,
        member_epoch: -1,
        topics: Some(vec![topic]),
    };
    let request = offset_fetch::Request {
        groups: vec![group],
        require_stable: stable,
        ..offset_fetch::Request::default()
    };
    let answer = client.call(9, &request).await;
    let told = &answer.groups[0].topics[0].partitions[0];
    (told.committed_offset, told.error_code)
}

async fn state(client: &mut Client) -> describe_transactions::response::TransactionState {
    let request = describe_transactions::Request { transactional_ids: vec![ID.into()] };
    client.call(0, &request).await.transaction_states.remove(0)
}

fn code(code: ErrorCode) -> i16 {
    code.code()
}

#[tokio::test]
async fn version_1_adds_first_and_keeps_its_epoch() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    let producer = init(&mut client).await;
    assert_eq!(produce(&mut client, 11, producer, 0, 0).await.0, code(ErrorCode::TransactionAbortable));
    assert_eq!(produce(&mut client, 10, producer, 0, 0).await.0, code(ErrorCode::InvalidTxnState));
    let nothing = add(&mut client, producer, &[0, 9]).await;
    assert_eq!(nothing, [code(ErrorCode::OperationNotAttempted), code(ErrorCode::UnknownTopicOrPartition)]);
    assert_eq!(add(&mut client, producer, &[0]).await, [0]);
    assert_eq!(produce(&mut client, 11, producer, 0, 0).await, (0, 0));
    assert_eq!(produce(&mut client, 11, producer, 0, 1).await.0, code(ErrorCode::TransactionAbortable));
    assert_eq!(client.produce("t", batch(&[b"plain"])).await.base_offset, 1);
    assert_eq!(committed(&mut client, &topic, 0, 0).await, NOTHING);
    assert_eq!(end(&mut client, 3, producer, true).await.error_code, 0);
    assert_eq!(end(&mut client, 3, producer, true).await.error_code, 0, "asked again");
    assert_eq!(end(&mut client, 3, producer, false).await.error_code, code(ErrorCode::InvalidTxnState));
    // Two records and the marker.
    assert_eq!(committed(&mut client, &topic, 0, 3).await, NOTHING);
    assert_eq!(add(&mut client, producer, &[0]).await, [0]);
    assert_eq!(produce(&mut client, 11, producer, 1, 0).await, (0, 3));
    assert_eq!(end(&mut client, 3, producer, false).await.error_code, 0);
    assert_eq!(committed(&mut client, &topic, 0, 5).await, [3]);
}

#[tokio::test]
async fn version_2_begins_by_writing_and_gets_a_new_epoch_with_each_end() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    let producer = init(&mut client).await;
    assert_eq!(produce(&mut client, 12, producer, 0, 0).await, (0, 0));
    assert_eq!(produce(&mut client, 12, producer, 0, 1).await, (0, 0));
    let told = state(&mut client).await;
    assert_eq!(
        (told.transaction_state.as_str(), told.topics[0].partitions.as_slice()),
        ("Ongoing", &[0, 1][..])
    );
    let done = end(&mut client, 5, producer, true).await;
    let next = (done.producer_id, done.producer_epoch);
    assert_eq!((done.error_code, next), (0, (producer.0, producer.1 + 1)));
    let again = end(&mut client, 5, producer, true).await;
    assert_eq!((again.error_code, again.producer_epoch), (0, next.1));
    assert_eq!(produce(&mut client, 12, producer, 1, 0).await.0, code(ErrorCode::InvalidProducerEpoch));
    assert_eq!(produce(&mut client, 12, next, 0, 0).await, (0, 2));
    assert_eq!(end(&mut client, 5, next, false).await.error_code, 0);
    assert_eq!(committed(&mut client, &topic, 0, 4).await, [2]);
    assert_eq!(committed(&mut client, &topic, 1, 2).await, NOTHING);
    let told = state(&mut client).await;
    assert_eq!((told.transaction_state.as_str(), told.topics.len()), ("CompleteAbort", 0));
}

#[tokio::test]
async fn offsets_come_with_the_commit() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    let producer = init(&mut client).await;
    let nobody = ("", -1);
    assert_eq!(offset(&mut client, 3, producer, nobody, 1).await, ErrorCode::InvalidTxnState);
    let adding = add_offsets_to_txn::Request {
        transactional_id: ID.into(),
        producer_id: producer.0,
        producer_epoch: producer.1,
        group_id: "g".into(),
    };
    assert_eq!(client.call(3, &adding).await.error_code, 0);
    assert_eq!(offset(&mut client, 3, producer, nobody, 5).await, ErrorCode::None);
    assert_eq!(offset(&mut client, 5, producer, ("stranger", 3), 6).await, ErrorCode::UnknownMemberId);
    let old = (producer.0, producer.1 - 1);
    assert_eq!(offset(&mut client, 5, old, nobody, 6).await, ErrorCode::InvalidProducerEpoch);
    assert_eq!(offset_of(&mut client, false).await, (-1, 0));
    assert_eq!(offset_of(&mut client, true).await, (-1, code(ErrorCode::UnstableOffsetCommit)));
    let done = end(&mut client, 5, producer, true).await;
    assert_eq!(offset_of(&mut client, true).await, (5, 0));
    let next = (done.producer_id, done.producer_epoch);
    assert_eq!(offset(&mut client, 5, next, nobody, 9).await, ErrorCode::None, "it begins by that");
    assert_eq!(state(&mut client).await.transaction_state, "Ongoing");
    assert_eq!(end(&mut client, 5, next, false).await.error_code, 0);
    assert_eq!(offset_of(&mut client, true).await, (5, 0));
}

#[tokio::test]
async fn who_takes_over_fences_and_aborts() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    let first = init(&mut client).await;
    assert_eq!(produce(&mut client, 12, first, 0, 0).await, (0, 0));
    let second = init(&mut client).await;
    assert_eq!(second, (first.0, first.1 + 2));
    assert_eq!(committed(&mut client, &topic, 0, 2).await, [0]);
    assert_eq!(produce(&mut client, 12, first, 1, 0).await.0, code(ErrorCode::InvalidProducerEpoch));
    for (version, expected) in [(1, ErrorCode::InvalidProducerEpoch), (4, ErrorCode::ProducerFenced)] {
        assert_eq!(end(&mut client, version, first, true).await.error_code, code(expected));
    }
    assert_eq!(produce(&mut client, 12, second, 0, 0).await, (0, 2));
}

#[tokio::test]
async fn administrators_see_transactions_and_end_them_where_they_hang() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    let producer = init(&mut client).await;
    assert_eq!(produce(&mut client, 12, producer, 0, 0).await, (0, 0));
    let list = list_transactions::Request {
        state_filters: vec!["Ongoing".into(), "Happy".into()],
        transactional_id_pattern: Some("the.*".into()),
        ..list_transactions::Request::default()
    };
    let listed = client.call(2, &list).await;
    assert_eq!(listed.unknown_state_filters, ["Happy"]);
    assert_eq!(listed.transaction_states[0].producer_id, producer.0);
    let bad = list_transactions::Request { transactional_id_pattern: Some("(".into()), ..list };
    assert_eq!(client.call(2, &bad).await.error_code, code(ErrorCode::InvalidRegularExpression));
    let marker = |epoch, partition| {
        use write_txn_markers::request::{Marker, Topic};
        let topics = vec![Topic { name: "t".into(), partition_indexes: vec![partition] }];
        let marker = Marker {
            producer_id: producer.0,
            producer_epoch: epoch,
            transaction_result: false,
            topics,
            ..Marker::default()
        };
        write_txn_markers::Request { markers: vec![marker] }
    };
    for (epoch, partition, expected) in [
        (producer.1 - 1, 0, ErrorCode::UnknownServerError),
        (producer.1, 9, ErrorCode::UnknownTopicOrPartition),
        (producer.1, 0, ErrorCode::None),
    ] {
        let answer = client.call(1, &marker(epoch, partition)).await;
        assert_eq!(answer.markers[0].topics[0].partitions[0].error_code, code(expected));
    }
    assert_eq!(committed(&mut client, &topic, 0, 2).await, [0]);
    assert_eq!(state(&mut client).await.transaction_state, "Ongoing", "the id itself is not touched");
}
