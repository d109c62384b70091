//! Agents of one zone read each page from the bucket once, whichever of them is asked for it.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::neighbours::Peering;
use siltstone_log::{Endpoint, TopicRow};
use siltstone_metadata::ambient::Ambient;
use siltstone_objects::testing::FaultyStore;
use siltstone_objects::{Objects, Options};
use siltstone_store::memory::{Faults, MemoryStore};
use siltstone_zone::grpc::{Links, ServerLimits, serve};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::kit::{DEADLINE, NOW, Server, batch, fetch_from, settings};

const BATCHES: u64 = 8;
const BYTES: usize = 300 << 10;

/// A bucket that counts, and what agents share beside it.
struct Cluster {
    bucket: Arc<FaultyStore>,
    foundations: Foundations,
}

impl Cluster {
    fn new() -> Self {
        let bucket = Arc::new(FaultyStore::new(1));
        let mut options = Options::default();
        // A second request for what is slow on a busy machine would be counted.
        (options.requests.hedge_get, options.requests.hedge_put) = (None, None);
        let objects = Objects::from_store(bucket.clone(), "", &options, 1);
        let store = Arc::new(MemoryStore::new(1, Faults::none()));
        Cluster { bucket, foundations: Foundations { store, objects, ambient: Ambient::fixed(NOW) } }
    }

    /// An agent of a zone, which shares pages with others there if it is to.
    async fn agent(&self, node: u32, zone: &str, shares: bool) -> (Server, Option<JoinHandle<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let peer = shares.then(|| Endpoint { host: "127.0.0.1".into(), port });
        let presence = Presence { peer, ..Presence::default() };
        let zone = zone.to_owned();
        let settings = EngineSettings { node, zone, exclusive: false, presence, ..settings() };
        let peering = Peering { transport: Arc::new(Links::new(None)), patience: Duration::from_secs(60) };
        let peering = shares.then_some(peering);
        let engine = Engine::start_beside(self.foundations.clone(), settings, peering).await.unwrap();
        let pages = engine.pages(8 << 20);
        let serving = shares.then(|| tokio::spawn(serve(listener, pages, None, ServerLimits::default())));
        (Server::of(engine, 64 << 20).await, serving)
    }

    /// GETs of all objects, one by one.
    fn gets(&self) -> Vec<u64> {
        self.bucket.names().iter().map(|name| self.bucket.counts(name).gets).collect()
    }

    /// Pages of all objects, one by one.
    fn pages(&self) -> Vec<u64> {
        let length = |name: &String| self.bucket.content(name).unwrap().len() as u64;
        self.bucket.names().iter().map(|name| length(name).div_ceil(settings().page_bytes)).collect()
    }
}

/// Waits until an agent knows of so many.
async fn knows(server: &Server, count: usize) {
    let known = async {
        while server.engine.agents().len() < count {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(DEADLINE, known).await.expect("all agents are known in time");
}

async fn read_all(server: &Server, topic: &TopicRow) {
    let mut client = server.client().await;
    for offset in 0..BATCHES as i64 {
        let mut request = fetch_from(topic, &[(0, offset)]);
        request.max_wait_ms = 10_000;
        let answer = client.fetch(12, &request).await;
        let partition = &answer.responses[0].partitions[0];
        assert_eq!(partition.error_code, 0, "at {offset}");
        let bytes: usize = partition.records.as_ref().unwrap().len();
        assert!(bytes > BYTES, "{bytes} at {offset}");
    }
}

/// Bytes that nothing compresses.
fn noise(seed: u64) -> Vec<u8> {
    (0..BYTES as u64).map(|n| (siltstone_log::mix64(n ^ seed << 32) >> 9) as u8).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zone_reads_each_page_from_the_bucket_once_and_goes_on_when_an_agent_dies() {
    let cluster = Cluster::new();
    let (writer, _) = cluster.agent(1, "w", false).await;
    let topic = writer.topic("t", &[("siltstone.write", "object")]).await;
    let mut client = writer.client().await;
    for number in 0..BATCHES {
        assert_eq!(client.produce("t", batch(&[&noise(number)])).await.error_code, 0);
    }
    let mut readers = Vec::new();
    for node in 2..=4 {
        readers.push(cluster.agent(node, "a", true).await);
    }
    for (reader, _) in &readers {
        knows(reader, 4).await;
    }
    assert!(cluster.gets().iter().all(|gets| *gets == 0), "nobody has read anything yet");
    for _ in 0..2 {
        join_all(readers.iter().map(|(reader, _)| read_all(reader, &topic))).await;
    }
    assert_eq!(cluster.gets(), cluster.pages(), "three agents, and each page once");
    let (_, serving) = readers.pop().unwrap();
    serving.unwrap().abort();
    let (late, _serving) = cluster.agent(5, "a", true).await;
    read_all(&late, &topic).await;
}
