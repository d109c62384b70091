//! Two agents, of which one can't do its work: it sends clients to the other one, and keeps nobody waiting.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::{Engine, EngineSettings, Foundations};
use siltstone_kafka::{ErrorCode, metadata};
use siltstone_objects::testing::{Faults, FaultyStore};
use siltstone_objects::{Objects, Options};
use siltstone_store::memory::{self, MemoryStore};
use tokio::time::{sleep, timeout};

use crate::kit::{Client, DEADLINE, Server, batch, foundations, idempotent, produce_to, settings};

/// So long that nobody is taken for dead on a busy machine.
const LEASE: Duration = Duration::from_secs(3);

struct One {
    server: Server,
    client: Client,
    bucket: Arc<FaultyStore>,
    metadata: MemoryStore,
}

impl One {
    async fn start(node: u32, lease: Duration, shared: &Foundations, metadata: MemoryStore) -> One {
        let bucket = Arc::new(FaultyStore::new(3));
        let objects = Objects::from_store(Arc::<FaultyStore>::clone(&bucket), "", &Options::default(), 1);
        let mut settings =
            EngineSettings { node, port: 9091 + node as u16, exclusive: false, lease, ..settings() };
        settings.write.patience = Duration::from_millis(200);
        let foundations = Foundations { objects, store: Arc::new(metadata.clone()), ..shared.clone() };
        let engine = Engine::start(foundations, settings).await.unwrap();
        let server = Server::of(engine, 64 << 20).await;
        let client = server.client().await;
        One { server, client, bucket, metadata }
    }

    fn storing(&self, can: bool) {
        self.bucket.set(Faults { fail_before: if can { 0.0 } else { 1.0 }, ..Faults::default() });
    }

    async fn produce(&mut self) -> ErrorCode {
        let told = self.client.produce("object", batch(&[b"x"])).await;
        ErrorCode::from_code(told.error_code).unwrap()
    }

    /// The brokers, and which of them lead partitions.
    async fn told(&mut self) -> (Vec<i32>, BTreeSet<i32>) {
        let topics = vec![metadata::request::Topic { name: Some("object".into()), ..Default::default() }];
        let request = metadata::Request { topics: Some(topics), ..Default::default() };
        let answer = self.client.call(12, &request).await;
        let leaders = answer.topics[0].partitions.iter().map(|partition| partition.leader_id);
        (answer.brokers.iter().map(|broker| broker.node_id).collect(), leaders.collect())
    }

    /// Until producing here is answered so.
    async fn until(&mut self, wanted: ErrorCode) -> BTreeSet<i16> {
        let mut seen = BTreeSet::new();
        let look = async {
            loop {
                let code = self.produce().await;
                if code == wanted {
                    return;
                }
                seen.insert(code.code());
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(DEADLINE, look).await.unwrap_or_else(|_| panic!("it says {wanted:?}"));
        seen
    }
}

/// Agents 1 and 2, who know each other, and a topic that is written to objects.
async fn two() -> (One, One) {
    let metadata = MemoryStore::new(1, memory::Faults::none());
    let shared = foundations(metadata.clone());
    let first = One::start(1, LEASE, &shared, metadata.handle(1)).await;
    first.server.topic("object", &[("siltstone.write", "object")]).await;
    let second = One::start(2, LEASE, &shared, metadata.handle(2)).await;
    let known = async {
        while first.server.engine.agents().len() < 2 {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, known).await.expect("both are known");
    (first, second)
}

#[tokio::test]
async fn who_alone_can_store_nothing_names_the_other_until_it_can() {
    let (mut first, mut second) = two().await;
    assert_eq!(first.produce().await, ErrorCode::None);
    first.storing(false);
    let before = first.until(ErrorCode::NotLeaderOrFollower).await;
    assert!(before.is_subset(&BTreeSet::from([0, ErrorCode::NotEnoughReplicas.code()])), "{before:?}");
    assert_eq!(first.told().await, (vec![1, 2], BTreeSet::from([2])), "what it holds can be read there");
    assert_eq!(second.produce().await, ErrorCode::None);

    // Nobody can: who leads says so, the other one who leads.
    second.storing(false);
    second.until(ErrorCode::NotEnoughReplicas).await;
    let both_stand_back = async {
        while first.told().await != second.told().await {
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, both_stand_back).await.expect("they agree");

    first.storing(true);
    second.storing(true);
    first.until(ErrorCode::None).await;
    second.until(ErrorCode::None).await;
}

/// What a client is told that comes only now.
async fn other_client(server: &Server, topic: &str) -> ErrorCode {
    let told = server.client().await.produce(topic, batch(&[b"x"])).await;
    ErrorCode::from_code(told.error_code).unwrap()
}

#[tokio::test]
async fn who_is_out_of_touch_keeps_no_idempotent_producer_waiting_and_names_the_other() {
    let (mut first, mut second) = two().await;
    assert_eq!(first.produce().await, ErrorCode::None);
    // The flush is on its way when the metadata is gone: nothing can be known of it.
    let slow = Duration::from_millis(300);
    first.bucket.set(Faults { slow: 1.0, slow_for: slow, ..Faults::default() });
    let mut other = first.server.client().await;
    for (client, body) in [(&mut first.client, idempotent(9, 0, 0, &[b"x"])), (&mut other, batch(&[b"x"]))] {
        let mut request = produce_to("object", -1, &[(0, body)]);
        request.timeout_ms = 3_600_000;
        client.send(12, &request).await;
    }
    sleep(Duration::from_millis(100)).await;
    first.metadata.set_faults(memory::Faults::cut());
    let answer = first.client.receive::<siltstone_kafka::produce::Request>(12);
    let (_, told) = timeout(DEADLINE, answer).await.expect("it is not waited for an hour");
    assert_eq!(told.responses[0].partition_responses[0].error_code, ErrorCode::RequestTimedOut.code());
    assert_eq!(first.told().await, (vec![1, 2], BTreeSet::from([2])));
    let told = other_client(&first.server, "object").await;
    assert_eq!(told, ErrorCode::NotLeaderOrFollower);
    // Sent again where it is told to, it is there once, whatever became of the first.
    let again = async {
        loop {
            let told = second.client.produce("object", idempotent(9, 0, 0, &[b"x"])).await;
            if told.error_code == 0 {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(DEADLINE, again).await.expect("the other one takes it");
    // Who is not idempotent might have its records twice: it waits.
    assert!(timeout(Duration::from_millis(50), other.frame()).await.is_err());
}

#[tokio::test]
async fn who_is_alone_has_producers_wait_for_the_metadata() {
    let metadata = MemoryStore::new(1, memory::Faults::none());
    let lease = Duration::from_secs(1);
    let mut alone = One::start(1, lease, &foundations(metadata.clone()), metadata.handle(1)).await;
    alone.server.topic("object", &[("siltstone.write", "object")]).await;
    assert_eq!(alone.produce().await, ErrorCode::None);
    alone.metadata.set_faults(memory::Faults::cut());
    sleep(lease + Duration::from_millis(100)).await;
    alone.client.send(12, &produce_to("object", -1, &[(0, idempotent(9, 0, 0, &[b"x"]))])).await;
    assert!(
        timeout(Duration::from_millis(200), alone.client.frame()).await.is_err(),
        "nobody else could take it"
    );
    alone.metadata.set_faults(memory::Faults::none());
    let (_, told) = alone.client.receive::<siltstone_kafka::produce::Request>(12).await;
    assert_eq!(told.responses[0].partition_responses[0].error_code, 0);
}
