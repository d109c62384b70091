//! Several agents in zones: who clients are told of, who serves them, and how one leaves.

use std::collections::BTreeSet;
use std::time::Duration;

use siltstone_kafka::{ErrorCode, Request, Response, consumer_group_heartbeat, describe_cluster, fetch};
use siltstone_kafka::{find_coordinator, metadata, produce};
use siltstone_store::memory::{Faults, MemoryStore};

use super::kit::*;
use crate::kafka::context::Context;
use crate::kafka::held::Turns;
use crate::kafka::{dispatch, produce as producing};

const PARTITIONS: i32 = 8;
const DEADLINE: Duration = Duration::from_secs(60);

/// Agents 1, 2 and 3 in zones a, b and b, with a topic `t`.
async fn three() -> Vec<Context> {
    let store = MemoryStore::new(1, Faults::none());
    let mut agents = Vec::new();
    for (node, zone) in [(1, "a"), (2, "b"), (3, "b")] {
        agents.push(agent_in(store.clone(), node, zone, &[]).await);
    }
    with_topic(&agents[0], "t", PARTITIONS).await;
    for cx in &agents {
        cx.engine().catalog().fresh().await.unwrap();
        until("all are known to all", || cx.engine().agents().len() == 3).await;
    }
    agents
}

async fn until(what: &str, done: impl Fn() -> bool) {
    let waiting = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, waiting).await.unwrap_or_else(|_| panic!("in time: {what}"));
}

fn client(cx: &Context, id: &str) -> Context {
    Context { client_id: Some(id.to_owned()), ..cx.clone() }
}

/// Leader and replicas of each partition of `t`, as this client is told.
async fn told(cx: &Context, id: &str) -> Vec<(i32, Vec<i32>)> {
    let topics = vec![metadata::request::Topic { name: Some("t".into()), ..Default::default() }];
    let request = metadata::Request { topics: Some(topics), ..Default::default() };
    let answer = answer!(client(cx, id), Metadata, 12, request);
    let partitions = &answer.topics[0].partitions;
    assert!(partitions.iter().all(|one| one.isr_nodes == one.replica_nodes && one.leader_epoch == 0));
    partitions.iter().map(|one| (one.leader_id, one.replica_nodes.clone())).collect()
}

async fn brokers(cx: &Context) -> Vec<(i32, Option<String>)> {
    let answer = answer!(*cx, DescribeCluster, 2, describe_cluster::Request::default());
    answer.brokers.into_iter().map(|broker| (broker.broker_id, broker.rack)).collect()
}

fn fetch_request(rack: &str, wait: i32) -> fetch::Request {
    use fetch::request::{Partition, Topic};
    let partition = |partition| Partition { partition, partition_max_bytes: 1 << 20, ..Partition::default() };
    let partitions = (0..PARTITIONS).map(partition).collect();
    let topics = vec![Topic { topic: "t".into(), partitions, ..Topic::default() }];
    fetch::Request {
        max_wait_ms: wait,
        min_bytes: 1,
        topics,
        rack_id: rack.into(),
        ..fetch::Request::default()
    }
}

async fn fetched(cx: &Context, rack: &str, wait: i32) -> Vec<fetch::response::Partition> {
    fetched_as(cx, 12, rack, wait).await
}

async fn fetched_as(cx: &Context, version: i16, rack: &str, wait: i32) -> Vec<fetch::response::Partition> {
    let turn = Some(Turns::single().next());
    let request = Request::Fetch(fetch_request(rack, wait));
    match dispatch::answer(cx, version, request, turn).await {
        Some((Response::Fetch(mut response), _)) => response.responses.remove(0).partitions,
        other => panic!("no answer to a fetch: {:?}", other.map(|(response, _)| response)),
    }
}

#[tokio::test]
async fn clients_have_their_leaders_in_their_zone_whoever_they_ask() {
    let agents = three().await;
    let near_a = told(&agents[0], "zone=a;x").await;
    let near_b = told(&agents[0], "zone=b").await;
    let anywhere = told(&agents[0], "x").await;
    assert!(near_a.iter().all(|(leader, _)| *leader == 1));
    let in_b: BTreeSet<i32> = near_b.iter().map(|(leader, _)| *leader).collect();
    assert_eq!(in_b, BTreeSet::from([2, 3]));
    for ((leader, replicas), (far, _)) in near_b.iter().zip(&anywhere) {
        assert_eq!(BTreeSet::from([1, *leader]), replicas.iter().copied().collect());
        assert_eq!(replicas[0], *far, "the leader that all agree on comes first");
    }
    assert_eq!(told(&agents[0], "zone=nowhere").await, anywhere);
    for cx in &agents[1..] {
        assert_eq!(told(cx, "zone=a;x").await, near_a);
        assert_eq!(told(cx, "zone=b").await, near_b);
        assert_eq!(told(cx, "x").await, anywhere);
        let rack = |zone: &str| Some(zone.to_owned());
        assert_eq!(brokers(cx).await, [(1, rack("a")), (2, rack("b")), (3, rack("b"))]);
    }
}

#[tokio::test]
async fn who_is_in_another_rack_is_told_of_a_replica_there_which_serves() {
    let agents = three().await;
    append(&agents[0], "t", 0, 5, 500).await;
    agents[1].engine().followers().fresh(partitions(&agents[1])).await.unwrap();
    let near_b = told(&agents[0], "zone=b").await;
    // Sent away at once, however long it would wait.
    for (index, partition) in fetched(&agents[0], "b", 60_000).await.into_iter().enumerate() {
        assert_eq!((partition.error_code, partition.preferred_read_replica), (0, near_b[index].0));
        assert!(near_b[index].1.contains(&partition.preferred_read_replica));
        assert_eq!(partition.records.map(|records| records.len()), Some(0));
        assert_eq!(partition.high_watermark, if index == 0 { 5 } else { 0 });
    }
    // In its own zone an agent serves what it does not stand for, too; so does any, if nobody is in the rack.
    for (cx, rack) in
        [(&agents[1], "b"), (&agents[2], "b"), (&agents[0], "a"), (&agents[0], "c"), (&agents[0], "")]
    {
        let partitions = fetched(cx, rack, 0).await;
        assert!(partitions.iter().all(|one| one.preferred_read_replica == -1));
        // What is in the first one are no records: to refuse to give them is to serve it.
        assert_eq!(partitions[0].error_code, ErrorCode::KafkaStorageError.code());
        assert!(partitions[1..].iter().all(|one| one.error_code == 0));
    }
}

fn partitions(cx: &Context) -> Vec<siltstone_log::PartitionId> {
    let topic = cx.engine().catalog().state().topic("t").unwrap().id;
    (0..PARTITIONS as u32).map(|index| siltstone_log::PartitionId { topic, index }).collect()
}

async fn coordinator(cx: &Context, group: &str) -> i32 {
    let keys = vec![group.to_owned()];
    let request = find_coordinator::Request { coordinator_keys: keys, ..Default::default() };
    let answer = answer!(*cx, FindCoordinator, 4, request);
    assert_eq!(answer.coordinators[0].error_code, 0);
    answer.coordinators[0].node_id
}

async fn beat(cx: &Context, group: &str, member: &str, epoch: i32) -> consumer_group_heartbeat::Response {
    let request = consumer_group_heartbeat::Request {
        group_id: group.into(),
        member_id: member.into(),
        member_epoch: epoch,
        rebalance_timeout_ms: 30_000,
        subscribed_topic_names: (epoch == 0).then(|| vec!["t".into()]),
        topic_partitions: (epoch == 0).then(Vec::new),
        ..Default::default()
    };
    answer!(*cx, ConsumerGroupHeartbeat, 1, request)
}

async fn produced(cx: &Context) -> i16 {
    use produce::request::{Partition, Topic};
    let partition = Partition { index: 0, records: None };
    let topic_data = vec![Topic { name: "t".into(), partition_data: vec![partition], ..Topic::default() }];
    let request = produce::Request { acks: -1, timeout_ms: 1000, topic_data, ..produce::Request::default() };
    let answer = producing::begin(cx, 12, request, None).await.finish().await.unwrap();
    answer.responses[0].partition_responses[0].error_code
}

#[tokio::test]
async fn who_leaves_is_first_left_out_by_all_and_only_then_refuses() {
    let agents = three().await;
    let leaver = agents.iter().find(|cx| cx.engine().registration().node == 2).unwrap();
    let group = {
        let mut found = None;
        for n in 0..100 {
            let group = format!("g{n}");
            if coordinator(leaver, &group).await == 2 {
                found = Some(group);
                break;
            }
        }
        found.expect("a group of agent 2")
    };
    let joined = beat(leaver, &group, "m", 0).await;
    assert_eq!((joined.error_code, joined.member_epoch), (0, 1));

    let withdrawn = leaver.engine().withdraw(DEADLINE);
    tokio::time::timeout(DEADLINE, withdrawn).await.expect("all look");
    for cx in &agents {
        let listed = brokers(cx).await;
        let listed: Vec<i32> = listed.iter().map(|(node, _)| *node).collect();
        assert_eq!(listed, [1, 2, 3], "who has groups is listed: librdkafka lets go of others");
        assert!(told(cx, "zone=b").await.iter().all(|(leader, _)| *leader == 3));
        assert_eq!(coordinator(cx, &group).await, 2, "it has its groups still");
    }
    // It serves as before.
    assert_eq!(beat(leaver, &group, "m", 1).await.error_code, 0);
    assert_ne!(produced(leaver).await, ErrorCode::NotLeaderOrFollower.code());
    let waiting = tokio::spawn({
        let cx = leaver.clone();
        async move { fetched(&cx, "b", 600_000).await }
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!waiting.is_finished());

    leaver.engine().see_off(DEADLINE).await;
    let answered = tokio::time::timeout(DEADLINE, waiting).await.expect("not kept waiting").unwrap();
    assert!(answered.iter().all(|one| one.error_code == 0));
    for (rack, others) in [("b", vec![3]), ("a", vec![1]), ("", vec![1, 3])] {
        let sent = fetched(leaver, rack, 600_000).await;
        let replicas = sent.iter().map(|one| one.preferred_read_replica);
        assert_eq!(replicas.collect::<BTreeSet<_>>(), others.into_iter().collect(), "rack {rack:?}");
    }
    assert_ne!(produced(leaver).await, ErrorCode::NotLeaderOrFollower.code());
    let old = fetched_as(leaver, 10, "", 0).await;
    assert!(
        old.iter().all(|one| (one.error_code, one.preferred_read_replica) == (0, -1)),
        "served to the last"
    );

    leaver.engine().depart(DEADLINE).await;
    let refused = fetched(leaver, "b", 600_000).await;
    assert!(refused.iter().all(|one| one.error_code == ErrorCode::NotLeaderOrFollower.code()));
    assert_eq!(produced(leaver).await, ErrorCode::NotLeaderOrFollower.code());
    assert_eq!(beat(leaver, &group, "m", 1).await.error_code, ErrorCode::NotCoordinator.code());
    leaver.engine().quiet(DEADLINE).await;

    // The next coordinator goes on at once, while the registration lives, with the same member in the same epoch.
    let next = coordinator(&agents[0], &group).await;
    assert!([1, 3].contains(&next), "{next}");
    let successor = agents.iter().find(|cx| cx.engine().registration().node == next as u32).unwrap();
    let alive = beat(successor, &group, "m", 1).await;
    assert_eq!((alive.error_code, alive.member_epoch), (0, 1));
    assert_eq!(beat(leaver, &group, "m", 1).await.error_code, ErrorCode::NotCoordinator.code());
    leaver.engine().stop(DEADLINE).await;
    until("it is gone", || agents[0].engine().agents().len() == 2).await;
}
