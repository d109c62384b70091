//! Groups of the consumer protocol as clients see them: on one agent, over a change of agents, and beside members of the classic protocol.

use siltstone_kafka::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, ErrorCode, consumer_group_describe,
    consumer_group_heartbeat, heartbeat, join_group, offset_commit, offset_fetch, sync_group, versioned,
};
use siltstone_log::TopicRow;
use siltstone_metadata::lease;
use siltstone_store::memory::{Faults, MemoryStore};

use crate::kit::{Client, DEADLINE, Server, foundations};

type Beat = consumer_group_heartbeat::Request;

fn beat(member: &str, epoch: i32) -> Beat {
    Beat { group_id: "g".into(), member_id: member.into(), member_epoch: epoch, ..Beat::default() }
}

fn joining(member: &str) -> Beat {
    Beat {
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t".into()]),
        topic_partitions: Some(Vec::new()),
        ..beat(member, 0)
    }
}

fn owning(topic: &TopicRow, member: &str, epoch: i32, partitions: &[i32]) -> Beat {
    let owned = consumer_group_heartbeat::request::TopicPartitions {
        topic_id: topic.id.uuid(),
        partitions: partitions.to_vec(),
    };
    Beat { topic_partitions: Some(vec![owned]), ..beat(member, epoch) }
}

/// Heartbeats; answers the epoch, and what the member is told to own.
async fn ask(client: &mut Client, request: &Beat) -> (i32, Option<Vec<i32>>) {
    let answer = client.call(1, request).await;
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    let partitions = |assignment: consumer_group_heartbeat::response::Assignment| {
        assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect()
    };
    (answer.member_epoch, answer.assignment.map(partitions))
}

async fn refused(client: &mut Client, request: &Beat) -> ErrorCode {
    ErrorCode::from_code(client.call(1, request).await.error_code).unwrap()
}

async fn commit(client: &mut Client, topic: &TopicRow, member: &str, epoch: i32, offset: i64) -> i16 {
    use offset_commit::request::{Partition, Topic};
    let partition = Partition { committed_offset: offset, ..Partition::default() };
    let request = offset_commit::Request {
        group_id: "g".into(),
        member_id: member.into(),
        generation_id_or_member_epoch: epoch,
        topics: vec![Topic { name: topic.name.clone(), partitions: vec![partition], ..Topic::default() }],
        ..offset_commit::Request::default()
    };
    client.call(9, &request).await.topics[0].partitions[0].error_code
}

/// The group's error, and the offset of the first partition.
async fn committed(client: &mut Client, member: &str, epoch: i32) -> (i16, Option<i64>) {
    let group = offset_fetch::request::Group {
        group_id: "g".into(),
        member_id: Some(member.into()),
        member_epoch: epoch,
        topics: None,
    };
    let request = offset_fetch::Request { groups: vec![group], ..offset_fetch::Request::default() };
    let group = client.call(9, &request).await.groups.remove(0);
    (group.error_code, group.topics.first().map(|topic| topic.partitions[0].committed_offset))
}

async fn state(client: &mut Client) -> consumer_group_describe::response::Group {
    let request = consumer_group_describe::Request {
        group_ids: vec!["g".into()],
        include_authorized_operations: false,
    };
    client.call(1, &request).await.groups.remove(0)
}

#[tokio::test]
async fn members_share_and_commit() {
    let server = Server::start().await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    assert_eq!(ask(&mut client, &joining("a")).await, (1, Some(vec![0, 1])));
    assert_eq!(ask(&mut client, &joining("b")).await, (2, Some(vec![])));
    assert_eq!(ask(&mut client, &beat("a", 1)).await, (1, Some(vec![0])));
    assert_eq!(state(&mut client).await.group_state, "Reconciling");
    assert_eq!(ask(&mut client, &owning(&topic, "a", 1, &[0])).await, (2, None));
    assert_eq!(ask(&mut client, &beat("b", 2)).await, (2, Some(vec![1])));
    let group = state(&mut client).await;
    assert_eq!(
        (group.group_state.as_str(), group.members.len(), group.assignor_name.as_str()),
        ("Stable", 2, "uniform")
    );
    assert_eq!(group.members[0].assignment.topic_partitions[0].topic_name, "t");
    assert_eq!(commit(&mut client, &topic, "a", 2, 7).await, 0);
    assert_eq!(commit(&mut client, &topic, "a", 1, 8).await, ErrorCode::StaleMemberEpoch.code());
    assert_eq!(commit(&mut client, &topic, "x", 2, 8).await, ErrorCode::UnknownMemberId.code());
    assert_eq!(committed(&mut client, "b", 2).await, (0, Some(7)));
    assert_eq!(committed(&mut client, "b", 1).await, (ErrorCode::StaleMemberEpoch.code(), None));
    assert_eq!(refused(&mut client, &beat("a", 9)).await, ErrorCode::FencedMemberEpoch);
    assert_eq!(refused(&mut client, &beat("x", 1)).await, ErrorCode::UnknownMemberId);
    let bad = Beat { subscribed_topic_regex: Some("(".into()), ..joining("c") };
    assert_eq!(refused(&mut client, &bad).await, ErrorCode::InvalidRegularExpression);
    let elsewhere = Beat { group_id: "nobody".into(), ..beat("a", 1) };
    assert_eq!(refused(&mut client, &elsewhere).await, ErrorCode::GroupIdNotFound);
    assert_eq!(ask(&mut client, &beat("b", -1)).await, (-1, None));
    assert_eq!(ask(&mut client, &beat("a", 2)).await, (3, Some(vec![0, 1])));
}

#[tokio::test]
async fn a_group_goes_on_where_another_agent_takes_over() {
    let foundations = foundations(MemoryStore::new(1, Faults::none()));
    let server = Server::over(foundations.clone(), 64 << 20).await;
    let topic = server.topic("t", &[]).await;
    let mut client = server.client().await;
    ask(&mut client, &joining("a")).await;
    assert_eq!(commit(&mut client, &topic, "a", 1, 5).await, 0);
    let (id, shards) = (server.engine.registration().id, server.engine.cluster().shards);
    let end =
        async { while !lease::end(foundations.store.as_ref(), id, shards, None).await.unwrap_or(false) {} };
    tokio::time::timeout(DEADLINE, end).await.expect("it can be ended");
    let after = Server::over(foundations, 64 << 20).await;
    let mut client = after.client().await;
    assert_eq!(ask(&mut client, &beat("a", 1)).await, (1, None), "nothing has changed for the member");
    assert_eq!(committed(&mut client, "a", 1).await, (0, Some(5)));
    assert_eq!(ask(&mut client, &joining("b")).await, (2, Some(vec![])));
}

#[tokio::test]
async fn a_classic_group_moves_to_the_new_protocol() {
    let server = Server::start().await;
    server.topic("t", &[]).await;
    let mut client = server.client().await;
    let subscription = ConsumerProtocolSubscription { topics: vec!["t".into()], ..Default::default() };
    let metadata = versioned::encode(&subscription, 1).unwrap();
    let mut join = join_group::Request {
        group_id: "g".into(),
        session_timeout_ms: 30_000,
        rebalance_timeout_ms: 30_000,
        protocol_type: "consumer".into(),
        protocols: vec![join_group::request::Protocol { name: "range".into(), metadata }],
        ..join_group::Request::default()
    };
    join.member_id = client.call(5, &join).await.member_id;
    let joined = client.call(5, &join).await;
    assert_eq!((joined.error_code, joined.generation_id), (0, 1));
    let member = join.member_id.clone();
    let part = siltstone_kafka::consumer_protocol_assignment::TopicPartitions {
        topic: "t".into(),
        partitions: vec![0, 1],
    };
    let all = ConsumerProtocolAssignment { assigned_partitions: vec![part], user_data: None };
    let mut sync = sync_group::Request {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member.clone(),
        assignments: vec![sync_group::request::Assignment {
            member_id: member.clone(),
            assignment: versioned::encode(&all, 1).unwrap(),
        }],
        ..sync_group::Request::default()
    };
    assert_eq!(client.call(4, &sync).await.error_code, 0);
    assert_eq!(ask(&mut client, &joining("new")).await, (2, Some(vec![])));
    let group = state(&mut client).await;
    let types: Vec<i8> = group.members.iter().map(|member| member.member_type).collect();
    assert!(types.contains(&0) && types.contains(&1), "{types:?}");
    let alive = heartbeat::Request {
        group_id: "g".into(),
        generation_id: 1,
        member_id: member,
        ..heartbeat::Request::default()
    };
    assert_eq!(client.call(3, &alive).await.error_code, ErrorCode::RebalanceInProgress.code());
    let joined = client.call(5, &join).await;
    assert_eq!((joined.error_code, joined.generation_id, joined.leader.as_str()), (0, 2, ""));
    (sync.generation_id, sync.assignments) = (2, Vec::new());
    let synced = client.call(4, &sync).await;
    let (_, told) = versioned::decode::<ConsumerProtocolAssignment>(&synced.assignment).unwrap();
    assert_eq!(told.assigned_partitions[0].partitions.len(), 1);
    let (_, got) = ask(&mut client, &beat("new", 2)).await;
    assert_eq!(got.map(|partitions| partitions.len()), Some(1));
    assert_eq!(state(&mut client).await.group_state, "Stable");
    ask(&mut client, &beat("new", -1)).await;
    assert_eq!(
        state(&mut client).await.error_code,
        ErrorCode::GroupIdNotFound.code(),
        "it is a classic group again"
    );
}
