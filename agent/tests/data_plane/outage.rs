//! An object store that takes nothing, refuses, lies, or shows objects late: what clients are told, and that all goes on by itself.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{Engine, Foundations};
use siltstone_kafka::ErrorCode;
use siltstone_log::TopicRow;
use siltstone_objects::testing::{Faults, FaultyStore};
use siltstone_objects::{Objects, Options, Requests};
use siltstone_store::memory::MemoryStore;

use crate::kit::{
    Client, DEADLINE, Server, batch, fetch_from, foundations, idempotent, produce_to, settings,
};

const OBJECT: &[(&str, &str)] = &[("siltstone.write", "object")];

struct Kit {
    bucket: Arc<FaultyStore>,
    foundations: Foundations,
    server: Server,
    client: Client,
}

impl Kit {
    async fn start() -> Kit {
        let bucket = Arc::new(FaultyStore::new(3));
        let ms = Duration::from_millis;
        let requests = Requests {
            backoff_first: ms(5),
            backoff_max: ms(50),
            hedge_put: None,
            hedge_get: None,
            ..Requests::default()
        };
        let options = Options { requests, ..Options::default() };
        let objects = Objects::from_store(Arc::<FaultyStore>::clone(&bucket), "", &options, 1);
        let store = MemoryStore::new(1, siltstone_store::memory::Faults::none());
        let foundations = Foundations { objects, ..foundations(store) };
        let server = serve(&foundations).await;
        let client = server.client().await;
        Kit { bucket, foundations, server, client }
    }

    /// The same server anew: nothing is in its memory.
    async fn restart(&mut self) {
        self.server = serve(&self.foundations).await;
        self.client = self.server.client().await;
    }

    async fn produce(&mut self, topic: &str, batch: Bytes) -> (ErrorCode, i64) {
        let told = self.client.produce(topic, batch).await;
        (ErrorCode::from_code(told.error_code).unwrap(), told.base_offset)
    }

    /// Sends a batch until it is taken. What is said before must be retriable, and early.
    async fn insist(&mut self, topic: &str, batch: Bytes) -> i64 {
        let insist = async {
            loop {
                match self.produce(topic, batch.clone()).await {
                    (ErrorCode::None, offset) => return offset,
                    (code, _) => assert_eq!(code, ErrorCode::NotEnoughReplicas),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(DEADLINE, insist).await.expect("it is taken")
    }

    /// Produces until the circuit is open.
    async fn until_open(&mut self, topic: &str) {
        let wait = async {
            while self.server.engine.writer().outage().is_none() {
                assert_eq!(self.produce(topic, batch(&[b"lost"])).await.0, ErrorCode::NotEnoughReplicas);
            }
        };
        tokio::time::timeout(DEADLINE, wait).await.expect("it opens");
    }

    /// What is in partition 0 from the start on, and how it was said.
    async fn fetch(&mut self, topic: &TopicRow) -> (ErrorCode, usize) {
        let response = self.client.fetch(12, &fetch_from(topic, &[(0, 0)])).await;
        let told = &response.responses[0].partitions[0];
        let bytes = told.records.clone().map_or(0, |records| records.into_bytes().len());
        (ErrorCode::from_code(told.error_code).unwrap(), bytes)
    }
}

async fn serve(foundations: &Foundations) -> Server {
    let mut settings = settings();
    settings.write.patience = Duration::from_millis(200);
    settings.write.upload_timeout = Duration::from_secs(60);
    let engine = Engine::start(foundations.clone(), settings).await.unwrap();
    Server::of(engine, 64 << 20).await
}

#[tokio::test]
async fn producers_are_told_early_and_what_needs_no_object_goes_on() {
    let mut kit = Kit::start().await;
    kit.server.topic("object", OBJECT).await;
    kit.server.topic("inline", &[("siltstone.write", "inline")]).await;
    kit.server.topic("auto", &[]).await;
    for faults in [
        Faults { fail_before: 1.0, ..Faults::default() },
        Faults { busy: 1.0, ..Faults::default() },
        Faults { refuse: Some("NoSuchBucket"), ..Faults::default() },
        Faults { refuse: Some("ExpiredToken"), ..Faults::default() },
    ] {
        kit.bucket.set(faults.clone());
        kit.until_open("object").await;
        let why = kit.server.engine.writer().outage().unwrap();
        assert!(why.contains(if faults.refuse.is_some() { "refuses" } else { "fails" }), "{why}");
        let before = kit.bucket.total().puts;
        for _ in 0..50 {
            assert_eq!(kit.produce("object", batch(&[b"x"])).await.0, ErrorCode::NotEnoughReplicas);
        }
        assert!(kit.bucket.total().puts - before < 50, "only one segment is tried meanwhile");
        assert_eq!(kit.produce("inline", batch(&[b"x"])).await.0, ErrorCode::None);
        assert_eq!(kit.produce("inline", batch(&[&[7; 300_000]])).await.0, ErrorCode::None);
        assert_eq!(kit.produce("auto", batch(&[b"small"])).await.0, ErrorCode::None);
        assert_eq!(kit.produce("auto", batch(&[&[7; 300_000]])).await.0, ErrorCode::NotEnoughReplicas);
        kit.bucket.heal();
        kit.insist("object", batch(&[b"x"])).await;
        assert_eq!(kit.server.engine.writer().outage(), None);
        assert_eq!(kit.produce("auto", batch(&[&[7; 300_000]])).await.0, ErrorCode::None);
    }
}

#[tokio::test]
async fn a_request_of_many_topics_loses_only_what_needs_an_object() {
    let mut kit = Kit::start().await;
    kit.server.topic("object", OBJECT).await;
    kit.server.topic("inline", &[("siltstone.write", "inline")]).await;
    kit.bucket.set(Faults { fail_before: 1.0, ..Faults::default() });
    kit.until_open("object").await;
    let mut request = produce_to("object", -1, &[(0, batch(&[b"x"]))]);
    request.topic_data.extend(produce_to("inline", -1, &[(0, batch(&[b"x"]))]).topic_data);
    let response = kit.client.call(9, &request).await;
    let codes: Vec<i16> = response.responses.iter().map(|t| t.partition_responses[0].error_code).collect();
    assert_eq!(codes, [ErrorCode::NotEnoughReplicas.code(), ErrorCode::None.code()]);
}

#[tokio::test]
async fn idempotent_producers_with_requests_in_flight_keep_their_order() {
    let mut kit = Kit::start().await;
    let topic = kit.server.topic("object", OBJECT).await;
    assert_eq!(kit.insist("object", idempotent(9, 0, 0, &[b"first"])).await, 0);
    let mut next = 1;
    for round in 0..3 {
        let faults = [
            Faults { fail_before: 1.0, ..Faults::default() },
            Faults { fail_after: 1.0, ..Faults::default() },
            Faults { refuse: Some("AccessDenied"), ..Faults::default() },
        ];
        kit.bucket.set(faults[round].clone());
        // Five requests are sent before the first is answered, as clients do.
        for sequence in next..next + 5 {
            kit.client.send(12, &produce_to("object", -1, &[(0, idempotent(9, 0, sequence, &[b"x"]))])).await;
        }
        for _ in 0..5 {
            let (_, told) = kit.client.receive::<siltstone_kafka::produce::Request>(12).await;
            let code = told.responses[0].partition_responses[0].error_code;
            assert_eq!(code, ErrorCode::NotEnoughReplicas.code(), "round {round}");
        }
        kit.bucket.heal();
        for sequence in next..next + 5 {
            let offset = kit.insist("object", idempotent(9, 0, sequence, &[b"x"])).await;
            assert_eq!(offset, i64::from(sequence));
        }
        next += 5;
    }
    assert!(kit.fetch(&topic).await.1 > 0);
}

#[tokio::test]
async fn who_wants_no_answer_is_told_by_the_connections_end() {
    let mut kit = Kit::start().await;
    kit.server.topic("object", OBJECT).await;
    kit.bucket.set(Faults { fail_before: 1.0, ..Faults::default() });
    kit.until_open("object").await;
    let mut other = kit.server.client().await;
    other.send(9, &produce_to("object", 0, &[(0, batch(&[b"x"]))])).await;
    assert_eq!(other.frame().await, None);
}

#[tokio::test]
async fn objects_that_show_late_are_waited_for_and_lies_are_never_passed_on() {
    let mut kit = Kit::start().await;
    let topic = kit.server.topic("object", OBJECT).await;
    kit.insist("object", batch(&[b"a value that is there"])).await;
    let name = kit.bucket.names().into_iter().find(|name| name.starts_with("seg/")).unwrap();
    kit.restart().await;
    kit.bucket.set(Faults { late: Duration::from_secs(3600), ..Faults::default() });
    let bucket = kit.bucket.clone();
    let show = async {
        while bucket.counts(&name).gets < 3 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bucket.heal();
    };
    let (read, ()) = tokio::join!(kit.fetch(&topic), show);
    assert!(matches!(read, (ErrorCode::None, 1..)), "{read:?}");
    let whole = read.1;
    for lie in [Faults { corrupt: 1.0, ..Faults::default() }, Faults { truncate: 1.0, ..Faults::default() }] {
        kit.restart().await;
        kit.bucket.set(lie);
        assert_eq!(kit.fetch(&topic).await, (ErrorCode::KafkaStorageError, 0));
        kit.bucket.set(Faults { missing: 1.0, ..Faults::default() });
        assert_eq!(kit.fetch(&topic).await, (ErrorCode::KafkaStorageError, 0));
        kit.bucket.set(Faults { refuse: Some("NoSuchBucket"), ..Faults::default() });
        assert_eq!(kit.fetch(&topic).await, (ErrorCode::KafkaStorageError, 0));
        kit.bucket.heal();
        assert_eq!(kit.fetch(&topic).await, (ErrorCode::None, whole), "nothing wrong was kept");
    }
}
