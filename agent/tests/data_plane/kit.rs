//! A server in this process, over stores in memory, and a client that sends frames.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::{Engine, EngineSettings, Foundations, Presence};
use siltstone_agent::kafka::{Broker, ServerLimits, run};
use siltstone_agent::produce::{BlockCompression, PolicySettings, WriteSettings};
use siltstone_kafka::api::ApiRequest;
use siltstone_kafka::{Records, fetch, frame, produce};
use siltstone_log::TopicRow;
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::NewTopic;
use siltstone_objects::{Environment, Objects, Options};
use siltstone_records::{BatchBuilder, NewRecord, Producer, Scratch};
use siltstone_store::memory::{Faults, MemoryStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub const NOW: i64 = 1_700_000_000_000;
/// No step of a test may take longer.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub struct Server {
    pub engine: Arc<Engine>,
    pub at: SocketAddr,
    /// Ends with the server.
    pub served: tokio::task::JoinHandle<()>,
    _stop: tokio::sync::oneshot::Sender<()>,
}

impl Server {
    pub async fn start() -> Server {
        Self::with_answers(64 << 20).await
    }

    pub async fn with_answers(answer_bytes: usize) -> Server {
        Self::over(foundations(MemoryStore::new(1, Faults::none())), answer_bytes).await
    }

    /// A server on what another one may have left.
    pub async fn over(foundations: Foundations, answer_bytes: usize) -> Server {
        Self::of(Engine::start(foundations, settings()).await.unwrap(), answer_bytes).await
    }

    /// A server of this engine.
    pub async fn of(engine: Arc<Engine>, answer_bytes: usize) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let broker = Broker::with_memory(engine.clone(), Default::default(), answer_bytes, 32 << 20);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let served = run(listener, broker, ServerLimits::default(), async { drop(stopped.await) });
        Server { engine, at, served: tokio::spawn(served), _stop: stop }
    }

    pub async fn topic(&self, name: &str, configs: &[(&str, &str)]) -> TopicRow {
        let configs = configs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let new = NewTopic { name: name.into(), partitions: 2, replication_factor: 1, configs };
        self.engine.changes().create(new).await.unwrap()
    }

    pub async fn client(&self) -> Client {
        Client { stream: TcpStream::connect(self.at).await.unwrap(), next: 0 }
    }
}

pub fn foundations(store: MemoryStore) -> Foundations {
    let objects = Objects::open("memory://", &Options::default(), &Environment::of_process(), 1).unwrap();
    let ambient = Ambient::fixed(NOW);
    Foundations { store: Arc::new(store), objects, ambient }
}

pub fn settings() -> EngineSettings {
    EngineSettings {
        node: 1,
        zone: String::new(),
        host: "127.0.0.1".into(),
        port: 9092,
        shards: 4,
        write: WriteSettings {
            policy: PolicySettings::local(),
            compression: BlockCompression::Off,
            buffer_bytes: 32 << 20,
            upload_timeout: Duration::from_secs(10),
            patience: Duration::from_secs(10),
        },
        cache_bytes: 16 << 20,
        page_bytes: 256 << 10,
        block_bytes: None,
        checkpoint: Default::default(),
        lease: Duration::from_secs(10),
        exclusive: true,
        presence: Presence::default(),
    }
}

pub struct Client {
    stream: TcpStream,
    next: i32,
}

impl Client {
    pub async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends what it can: the server may have closed the connection.
    pub async fn try_raw(&mut self, bytes: &[u8]) {
        drop(self.stream.write_all(bytes).await);
    }

    /// Sends; false if the server has closed the connection.
    pub async fn try_send<R: ApiRequest>(&mut self, version: i16, request: &R) -> bool {
        self.next += 1;
        let frame = frame::encode_request(self.next, Some("test"), version, request).unwrap();
        self.stream.write_all(&frame.into_bytes()).await.is_ok()
    }

    pub async fn send<R: ApiRequest>(&mut self, version: i16, request: &R) -> i32 {
        self.next += 1;
        let frame = frame::encode_request(self.next, Some("test"), version, request).unwrap();
        self.raw(&frame.into_bytes()).await;
        self.next
    }

    /// The next frame; `None` if the server has closed the connection.
    pub async fn frame(&mut self) -> Option<Bytes> {
        let read = async {
            let size = self.stream.read_i32().await.ok()?;
            let mut body = vec![0; usize::try_from(size).unwrap()];
            self.stream.read_exact(&mut body).await.ok()?;
            Some(Bytes::from(body))
        };
        tokio::time::timeout(DEADLINE, read).await.expect("an answer, or the end, in time")
    }

    pub async fn receive<R: ApiRequest>(&mut self, version: i16) -> (i32, R::Response) {
        let frame = self.frame().await.expect("an answer");
        frame::decode_response(&frame, version).unwrap()
    }

    pub async fn call<R: ApiRequest>(&mut self, version: i16, request: &R) -> R::Response {
        let sent = self.send(version, request).await;
        let (id, response) = self.receive::<R>(version).await;
        assert_eq!(id, sent);
        response
    }

    /// Produces one batch and returns the partition's answer.
    pub async fn produce(&mut self, topic: &str, batch: Bytes) -> produce::response::Partition {
        let response = self.call(12, &produce_to(topic, -1, &[(0, batch)])).await;
        response.responses[0].partition_responses[0].clone()
    }

    pub async fn fetch(&mut self, version: i16, request: &fetch::Request) -> fetch::Response {
        self.call(version, request).await
    }
}

pub fn produce_to(topic: &str, acks: i16, batches: &[(i32, Bytes)]) -> produce::Request {
    use produce::request::{Partition, Topic};
    let partition_data = batches
        .iter()
        .map(|(index, batch)| Partition { index: *index, records: Some(Records::from(batch.clone())) })
        .collect();
    produce::Request {
        acks,
        timeout_ms: 10_000,
        topic_data: vec![Topic { name: topic.into(), partition_data, ..Topic::default() }],
        ..produce::Request::default()
    }
}

/// A batch of records with these values.
pub fn batch(values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new(), values)
}

pub fn idempotent(id: i64, epoch: i16, base_sequence: i32, values: &[&[u8]]) -> Bytes {
    built(BatchBuilder::new().producer(Producer { id, epoch, base_sequence }), values)
}

pub fn built(mut builder: BatchBuilder, values: &[&[u8]]) -> Bytes {
    for (index, value) in values.iter().enumerate() {
        let record =
            NewRecord { timestamp: NOW + index as i64, key: Some(b"k"), value: Some(value), headers: &[] };
        builder.push(&record).unwrap();
    }
    builder.build(&mut Scratch::default()).unwrap()
}

/// A fetch of partitions of one topic, from these offsets.
pub fn fetch_from(topic: &TopicRow, partitions: &[(i32, i64)]) -> fetch::Request {
    use fetch::request::{Partition, Topic};
    let partitions = partitions
        .iter()
        .map(|(partition, fetch_offset)| Partition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Partition::default()
        })
        .collect();
    let topic = Topic { topic: topic.name.clone(), topic_id: topic.id.uuid(), partitions };
    fetch::Request { max_wait_ms: 10, min_bytes: 1, topics: vec![topic], ..fetch::Request::default() }
}
