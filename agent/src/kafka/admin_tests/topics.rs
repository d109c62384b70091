//! Topics: made, found, grown, deleted.

use siltstone_kafka::{
    ErrorCode, Request, Response, create_partitions, create_topics, delete_topics, describe_cluster,
    describe_topic_partitions, metadata,
};
use siltstone_store::memory::{Faults, MemoryStore};

use super::kit::{agent, agent_over, answer, create, topic, with_topic};
use crate::kafka::context::Context;

async fn look(cx: &Context, version: i16, names: &[&str], make: bool) -> metadata::Response {
    let topics = names
        .iter()
        .map(|name| metadata::request::Topic { name: Some((*name).to_owned()), ..Default::default() })
        .collect();
    let request =
        metadata::Request { topics: Some(topics), allow_auto_topic_creation: make, ..Default::default() };
    answer!(*cx, Metadata, version, request)
}

#[tokio::test]
async fn what_is_created_is_there_at_once_on_this_agent() {
    let cx = agent(&[]).await;
    let made = create(&cx, vec![topic("one", 3), topic("bad name", 1), topic("two", -1)]).await;
    let codes: Vec<i16> = made.topics.iter().map(|topic| topic.error_code).collect();
    assert_eq!(codes, [0, ErrorCode::InvalidTopicException.code(), 0]);
    assert_eq!((made.topics[0].num_partitions, made.topics[2].num_partitions), (3, 1));
    assert!(made.topics[0].configs.as_ref().unwrap().iter().any(|one| one.name == "retention.ms"));
    let request = metadata::Request { topics: None, ..Default::default() };
    let all = answer!(cx, Metadata, 13, request);
    let names: Vec<_> = all.topics.iter().map(|topic| topic.name.clone().unwrap()).collect();
    assert_eq!(names, ["one", "two"]);
    assert_eq!(all.topics[0].topic_id, made.topics[0].topic_id);
    let partition = &all.topics[0].partitions[2];
    assert_eq!(
        (partition.leader_id, partition.leader_epoch, partition.replica_nodes.as_slice()),
        (1, 0, &[1][..])
    );
    assert_eq!(all.brokers[0].rack.as_deref(), Some("a"));
    // Its shards know it, too: partitions can be loaded without another look at the catalog.
    let topic = cx.engine().catalog().state().topic("one").unwrap().id;
    let bounds = cx.engine().reader().bounds(siltstone_log::PartitionId { topic, index: 2 }).await.unwrap();
    assert_eq!(bounds.high_watermark, 0);
}

#[tokio::test]
async fn creation_is_refused_as_kafka_refuses_it() {
    let cx = agent(&[]).await;
    with_topic(&cx, "a.b", 1).await;
    let made =
        create(&cx, vec![topic("a.b", 1), topic("a_b", 1), topic("t", 1), topic("t", 2), topic("u", 0)])
            .await;
    let told: Vec<(&str, i16)> = made.topics.iter().map(|one| (one.name.as_str(), one.error_code)).collect();
    let expected = [
        ("a.b", ErrorCode::TopicAlreadyExists),
        ("a_b", ErrorCode::InvalidTopicException),
        ("t", ErrorCode::InvalidRequest),
        ("u", ErrorCode::InvalidPartitions),
    ];
    assert_eq!(told, expected.map(|(name, code)| (name, code.code())));
    assert_eq!(cx.engine().catalog().state().topics().len(), 1);
}

#[tokio::test]
async fn validate_only_changes_nothing() {
    let cx = agent(&[]).await;
    let request =
        create_topics::Request { topics: vec![topic("t", 2)], validate_only: true, ..Default::default() };
    let made = answer!(cx, CreateTopics, 7, request);
    assert_eq!((made.topics[0].error_code, made.topics[0].num_partitions), (0, 2));
    assert!(cx.engine().catalog().fresh().await.unwrap().topics().is_empty());
}

#[tokio::test]
async fn many_topics_are_made_by_one_request() {
    let cx = agent(&[]).await;
    let made = create(&cx, (0..300).map(|number| topic(&format!("t{number}"), 2)).collect()).await;
    assert!(made.topics.iter().all(|one| one.error_code == 0));
    let names: Vec<String> = (0..300).map(|number| format!("t{number}")).collect();
    assert_eq!(made.topics.iter().map(|one| one.name.clone()).collect::<Vec<_>>(), names);
    assert_eq!(cx.engine().catalog().state().topics().len(), 300);
}

#[tokio::test]
async fn metadata_makes_topics_only_where_request_and_broker_allow_it() {
    let cx = agent(&[("num.partitions", "2")]).await;
    let unknown = ErrorCode::UnknownTopicOrPartition.code();
    assert_eq!(look(&cx, 13, &["t"], false).await.topics[0].error_code, unknown);
    let made = look(&cx, 13, &["t", "not good"], true).await;
    assert_eq!((made.topics[0].error_code, made.topics[0].partitions.len()), (0, 2));
    assert_eq!(made.topics[1].error_code, ErrorCode::InvalidTopicException.code());
    // Before version 4 a request has no say, and means yes.
    assert_eq!(look(&cx, 1, &["u"], true).await.topics[0].error_code, 0);
    let strict = agent(&[("auto.create.topics.enable", "false")]).await;
    assert_eq!(look(&strict, 13, &["t"], true).await.topics[0].error_code, unknown);
}

#[tokio::test]
async fn what_another_agent_made_is_never_denied() {
    let store = MemoryStore::new(1, Faults::none());
    let (here, there) = (agent_over(store.clone(), 1, &[]).await, agent_over(store, 2, &[]).await);
    for number in 0..20 {
        let name = format!("t{number}");
        with_topic(&there, &name, 1).await;
        assert_eq!(look(&here, 13, &[&name], false).await.topics[0].error_code, 0, "{name}");
        let again = create(&here, vec![topic(&name, 1)]).await;
        assert_eq!(again.topics[0].error_code, ErrorCode::TopicAlreadyExists.code());
    }
}

#[tokio::test]
async fn metadata_answers_in_every_version_and_by_id() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    for version in 0..=13 {
        let found = look(&cx, version, &["t", "t", "nope"], false).await;
        assert_eq!(found.topics.len(), 2, "version {version}");
        assert_eq!(found.topics[0].error_code, 0, "version {version}");
    }
    let nothing = metadata::Request { topics: Some(Vec::new()), ..Default::default() };
    assert_eq!(answer!(cx, Metadata, 0, nothing.clone()).topics.len(), 1);
    assert_eq!(answer!(cx, Metadata, 1, nothing).topics.len(), 0);
    let id = cx.engine().catalog().state().topic("t").unwrap().id.uuid();
    let by_id = |topic_id| metadata::Request {
        topics: Some(vec![metadata::request::Topic { name: None, topic_id }]),
        ..Default::default()
    };
    assert_eq!(answer!(cx, Metadata, 12, by_id(id)).topics[0].name.as_deref(), Some("t"));
    let unknown = siltstone_log::TopicId(9).uuid();
    let answer = answer!(cx, Metadata, 12, by_id(unknown));
    assert_eq!(answer.topics[0].error_code, ErrorCode::UnknownTopicId.code());
}

#[tokio::test]
async fn topics_go_by_name_or_id_and_their_names_are_free_again() {
    let cx = agent(&[]).await;
    with_topic(&cx, "a", 2).await;
    with_topic(&cx, "b", 2).await;
    let id = cx.engine().catalog().state().topic("a").unwrap().id.uuid();
    let named = |name: Option<&str>, topic_id| delete_topics::request::Topic {
        name: name.map(str::to_owned),
        topic_id,
    };
    let topics = vec![named(None, id), named(Some("c"), Default::default())];
    let gone = answer!(cx, DeleteTopics, 6, delete_topics::Request { topics, ..Default::default() });
    assert_eq!((gone.responses[0].error_code, gone.responses[0].name.as_deref()), (0, Some("a")));
    assert_eq!(gone.responses[1].error_code, ErrorCode::UnknownTopicOrPartition.code());
    assert_eq!(look(&cx, 13, &["a"], false).await.topics[0].error_code, 3);
    with_topic(&cx, "a", 1).await;
    assert_ne!(cx.engine().catalog().state().topic("a").unwrap().id.uuid(), id);
    let request = delete_topics::Request { topic_names: vec!["b".to_owned()], ..Default::default() };
    let strict = agent(&[("delete.topic.enable", "false")]).await;
    let refused = answer!(strict, DeleteTopics, 5, request.clone());
    assert_eq!(refused.responses[0].error_code, ErrorCode::TopicDeletionDisabled.code());
    assert_eq!(answer!(cx, DeleteTopics, 5, request).responses[0].error_code, 0);
}

#[tokio::test]
async fn partitions_are_added_and_can_be_used() {
    let cx = agent(&[]).await;
    with_topic(&cx, "t", 1).await;
    let grow = |count, validate_only| create_partitions::Request {
        topics: vec![create_partitions::request::Topic { name: "t".to_owned(), count, assignments: None }],
        validate_only,
        ..Default::default()
    };
    assert_eq!(answer!(cx, CreatePartitions, 3, grow(7, true)).results[0].error_code, 0);
    assert_eq!(look(&cx, 13, &["t"], false).await.topics[0].partitions.len(), 1);
    assert_eq!(answer!(cx, CreatePartitions, 3, grow(7, false)).results[0].error_code, 0);
    assert_eq!(look(&cx, 13, &["t"], false).await.topics[0].partitions.len(), 7);
    super::kit::append(&cx, "t", 6, 1, 10).await;
    let refused = answer!(cx, CreatePartitions, 3, grow(7, false));
    assert_eq!(refused.results[0].error_code, ErrorCode::InvalidPartitions.code());
}

#[tokio::test]
async fn descriptions_come_in_pages() {
    let cx = agent(&[("max.request.partition.size.limit", "2")]).await;
    with_topic(&cx, "a", 3).await;
    let ask = |cursor| describe_topic_partitions::Request { cursor, ..Default::default() };
    let first = answer!(cx, DescribeTopicPartitions, 0, ask(None));
    assert_eq!(first.topics[0].partitions.len(), 2);
    let cursor = first.next_cursor.map(|next| describe_topic_partitions::request::Cursor {
        topic_name: next.topic_name,
        partition_index: next.partition_index,
    });
    let second = answer!(cx, DescribeTopicPartitions, 0, ask(cursor));
    assert_eq!(second.topics[0].partitions[0].partition_index, 2);
    assert_eq!(second.next_cursor, None);
}

#[tokio::test]
async fn the_cluster_is_this_agent() {
    let cx = agent(&[]).await;
    let cluster = answer!(cx, DescribeCluster, 2, describe_cluster::Request::default());
    assert_eq!((cluster.controller_id, cluster.brokers[0].host.as_str()), (1, "agent.test"));
    let request = describe_cluster::Request { endpoint_type: 2, ..Default::default() };
    let refused = answer!(cx, DescribeCluster, 2, request);
    assert_eq!(refused.error_code, ErrorCode::MismatchedEndpointType.code());
}

#[tokio::test]
async fn one_request_makes_so_many_topics_and_no_more() {
    let cx = agent(&[]).await;
    let topics = (0..10_002).map(|number| topic(&format!("t{number}"), 1)).collect();
    let request = create_topics::Request { topics, validate_only: true, ..Default::default() };
    let made = answer!(cx, CreateTopics, 4, request);
    let refused = made.topics.iter().filter(|one| one.error_code == ErrorCode::PolicyViolation.code());
    assert_eq!(refused.count(), 2);
    // On demand, too: the client asks again for what is left.
    let names: Vec<String> = (0..1_010).map(|number| format!("m{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let later = ErrorCode::LeaderNotAvailable.code();
    let first = look(&cx, 13, &names, true).await;
    assert_eq!(first.topics.iter().filter(|one| one.error_code == later).count(), 10);
    let second = look(&cx, 13, &names, true).await;
    assert!(second.topics.iter().all(|one| one.error_code == 0));
}
