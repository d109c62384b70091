//! An agent over stores in memory, asked as a connection asks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::create_topics::{self, request as create};
use siltstone_kafka::{Request, Response};
use siltstone_log::{BatchMeta, PartitionId};
use siltstone_metadata::ambient::{Ambient, Chance, Clock};
use siltstone_objects::{Environment, Objects, Options};
use siltstone_store::memory::{Faults, MemoryStore};

use crate::engine::{Engine, EngineSettings, Foundations, Presence};
use crate::kafka::context::{Broker, Context};
use crate::kafka::dispatch;
use crate::produce::{BlockCompression, NewBatch, Placement, PolicySettings, WriteSettings};

struct Noon;

impl Clock for Noon {
    fn now(&self) -> i64 {
        1_700_000_000_000
    }
}

struct Counter(AtomicU64);

impl Chance for Counter {
    fn next(&self) -> u128 {
        let next = self.0.fetch_add(1, Ordering::Relaxed);
        u128::from(siltstone_log::mix64(next)) << 64 | u128::from(siltstone_log::mix64(!next))
    }
}

/// An agent with these broker configs in its settings.
pub(super) async fn agent(fixed: &[(&str, &str)]) -> Context {
    agent_over(MemoryStore::new(1, Faults::none()), 1, fixed).await
}

/// Another agent, over the same metadata as others.
pub(super) async fn agent_over(store: MemoryStore, node: u32, fixed: &[(&str, &str)]) -> Context {
    agent_in(store, node, "a", fixed).await
}

/// The same, in this zone.
pub(super) async fn agent_in(store: MemoryStore, node: u32, zone: &str, fixed: &[(&str, &str)]) -> Context {
    let environment = Environment::default();
    let foundations = Foundations {
        store: Arc::new(store),
        objects: Objects::open("memory://", &Options::default(), &environment, 1).unwrap(),
        ambient: Ambient {
            clock: Arc::new(Noon),
            chance: Arc::new(Counter(AtomicU64::new(u64::from(node) << 32))),
        },
    };
    let write = WriteSettings {
        policy: PolicySettings::local(),
        compression: BlockCompression::Off,
        buffer_bytes: 1 << 20,
        upload_timeout: Duration::from_secs(5),
        patience: Duration::from_secs(2),
    };
    let settings = EngineSettings {
        node,
        zone: zone.to_owned(),
        host: "agent.test".to_owned(),
        port: 9091 + node as u16,
        shards: 4,
        write,
        cache_bytes: 1 << 20,
        page_bytes: 64 << 10,
        block_bytes: None,
        checkpoint: Default::default(),
        lease: Duration::from_secs(10),
        exclusive: false,
        presence: Presence::default(),
    };
    let engine = Engine::start(foundations, settings).await.unwrap();
    let fixed = fixed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Context {
        broker: Broker::new(engine, fixed),
        connection: 1,
        peer: ([127, 0, 0, 1], 1).into(),
        listener: "".into(),
        client_id: None,
    }
}

/// The answer, after it was encoded: so that every answer in these tests can be sent in its version.
pub(super) async fn ask(cx: &Context, version: i16, request: Request) -> Response {
    let (response, _) = dispatch::answer(cx, version, request, None).await.expect("the API is served");
    response.encode(version).expect("the answer can be sent");
    response
}

macro_rules! answer {
    ($cx:expr, $api:ident, $version:expr, $request:expr) => {
        match crate::kafka::admin_tests::kit::ask(&$cx, $version, Request::$api($request)).await {
            Response::$api(response) => response,
            other => panic!("an answer of another API: {other:?}"),
        }
    };
}
pub(super) use answer;

pub(super) fn topic(name: &str, partitions: i32) -> create::Topic {
    create::Topic {
        name: name.to_owned(),
        num_partitions: partitions,
        replication_factor: 1,
        ..create::Topic::default()
    }
}

pub(super) async fn create(cx: &Context, topics: Vec<create::Topic>) -> create_topics::Response {
    answer!(*cx, CreateTopics, 7, create_topics::Request { topics, ..Default::default() })
}

/// A topic that is there.
pub(super) async fn with_topic(cx: &Context, name: &str, partitions: i32) {
    let made = create(cx, vec![topic(name, partitions)]).await;
    assert_eq!(made.topics[0].error_code, 0, "{made:?}");
}

/// Appends a batch of so many records and bytes, and waits until it is in the log.
pub(super) async fn append(cx: &Context, name: &str, index: u32, records: u32, bytes: u32) {
    let topic = cx.engine().catalog().state().topic(name).unwrap().id;
    let partition = PartitionId { topic, index };
    cx.engine().followers().load(&[partition]).await.unwrap();
    let meta =
        BatchMeta { bytes, records, max_timestamp: 1, producer: None, transactional: false, void: false };
    let body = Bytes::from(vec![7; bytes as usize]);
    let batch = NewBatch {
        partition,
        bytes: [body, Bytes::new()],
        meta,
        compressed: true,
        placement: Placement::Auto,
        transaction: None,
    };
    let outcomes = cx.engine().writer().append(1, vec![batch], None, false).outcomes().await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
}
