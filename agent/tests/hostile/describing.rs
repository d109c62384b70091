//! Many who ask for all there is, again and again, and read none of it.

use std::time::Duration;

use siltstone_kafka::{create_topics, describe_configs, metadata};

use crate::kit::Server;
use crate::{ALONE, Bystander, memory, memory_from_here};

const TOPICS: usize = 50;
const PARTITIONS: i32 = 1000;
/// Each of so many connections ...
const CONNECTIONS: usize = 60;
/// ... asks so often: as many answers as it may have under way. All of them together would be more than 1 GiB.
const TIMES: i32 = 16;
/// A topic's type in DescribeConfigs.
const TOPIC: i8 = 2;

async fn make(server: &Server) {
    let topic = |n: usize| create_topics::request::Topic {
        name: format!("topic-{n}"),
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..Default::default()
    };
    let request = create_topics::Request {
        topics: (0..TOPICS).map(topic).collect(),
        timeout_ms: 60_000,
        ..Default::default()
    };
    let made = server.client().await.call(7, &request).await;
    assert!(made.topics.iter().all(|topic| topic.error_code == 0), "{made:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_hold_little_memory_and_others_get_theirs() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    make(&server).await;
    let all = metadata::Request { topics: None, ..Default::default() };
    let resource = |n: usize| describe_configs::request::Resource {
        resource_type: TOPIC,
        resource_name: format!("topic-{}", n % TOPICS),
        configuration_keys: None,
    };
    let configs = describe_configs::Request {
        resources: (0..TOPICS).map(resource).collect(),
        include_documentation: true,
        include_synonyms: true,
    };
    // What one answer takes by itself is there before.
    let mut client = server.client().await;
    assert_eq!(client.call(12, &all).await.topics.len(), TOPICS);
    assert_eq!(client.call(4, &configs).await.results.len(), TOPICS);
    let before = memory_from_here();
    let bystander = Bystander::new(&server).await;
    let mut asking = Vec::new();
    for n in 0..CONNECTIONS {
        let mut client = server.client().await;
        for _ in 0..TIMES {
            if n % 2 == 0 {
                client.send(12, &all).await;
            } else {
                client.send(4, &configs).await;
            }
        }
        asking.push(client);
    }
    // Who wants to read has its turn: those who do not lose their connections in time.
    let answered = tokio::time::timeout(Duration::from_secs(60), client.call(12, &all)).await;
    assert_eq!(answered.expect("an answer").topics.len(), TOPICS);
    assert!(bystander.done().await > 10);
    if let (Some((now, _)), Some((_, most))) = (before, memory()) {
        assert!(most < now + 200, "memory grew from {now} to {most} MiB");
    }
    drop(asking);
}
