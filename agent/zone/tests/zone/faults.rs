//! Owners that hang, lie, belong elsewhere, or die: reads go on from the bucket.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::{self, Stream, StreamExt};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use siltstone_peer::pages_server::{self, PagesServer};
use siltstone_peer::{Ask, Chunk, ReadRequest, chunks};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tonic::codegen::Service;
use tonic::{Request, Response, Status};

use crate::kit::{Agent, LENGTH, PAGE, PAGES, Plan, World, content, neighbour};

/// An agent that does not wait long for others.
async fn impatient(world: &World, node: u32) -> Agent {
    world.agent(Plan { patience: Duration::from_millis(200), ..Plan::new(node) }).await
}

/// Somebody at the address of an agent: does `with` each connection that comes.
async fn somebody<F>(
    world: &World,
    node: u32,
    with: impl Fn(TcpStream) -> F + Send + 'static,
) -> JoinHandle<()>
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let at: SocketAddr = listener.local_addr().unwrap();
    world.members.add(neighbour(node, at.port()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(with(stream));
        }
    })
}

/// Reads everything, twice, and says how often the bucket was read for it.
async fn reads(world: &World, agent: &Agent, segments: u64) -> u64 {
    let before = world.gets();
    for number in (0..segments).chain(0..segments) {
        agent.read_all(number).await;
    }
    world.gets() - before
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_accepts_and_says_nothing() {
    let world = World::new(4).await;
    let agent = impatient(&world, 1).await;
    let _hangs = somebody(&world, 2, |mut stream| async move {
        let mut sink = [0; 1024];
        while stream.read(&mut sink).await.is_ok_and(|read| read > 0) {}
    })
    .await;
    assert_eq!(reads(&world, &agent, 4).await, 4 * PAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_speaks_another_language() {
    let world = World::new(4).await;
    let agent = impatient(&world, 1).await;
    let _talks = somebody(&world, 2, |mut stream| async move {
        drop(stream.write_all(&b"HTTP/1.1 400 Bad Request\r\n\r\n".repeat(100)).await);
    })
    .await;
    assert_eq!(reads(&world, &agent, 4).await, 4 * PAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_nobody_listens_for() {
    let world = World::new(4).await;
    let agent = impatient(&world, 1).await;
    let other = world.agent(Plan::new(2)).await;
    agent.read_all(0).await;
    other.kill().await;
    assert_eq!(reads(&world, &agent, 4).await, 3 * PAGES, "what it had is kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_another_cluster_gives_nothing() {
    let world = World::new(3).await;
    let agent = impatient(&world, 1).await;
    let stranger = world.agent(Plan { cluster: "another", ..Plan::new(2) }).await;
    assert_eq!(reads(&world, &agent, 3).await, 3 * PAGES);
    assert_eq!(stranger.cache.bytes(), 0, "and reads nothing for others");
}

/// What a liar does with a request.
#[derive(Clone, Copy, Debug)]
enum Lie {
    Nothing,
    Short,
    Long,
    Checksum,
    Empty,
    Huge,
    EndsInTheMiddle,
    StopsInTheMiddle,
    Refuses,
}

#[derive(Clone)]
struct Liar(Lie);

type Chunks = Pin<Box<dyn Stream<Item = Result<Chunk, Status>> + Send>>;

#[tonic::async_trait]
impl pages_server::Pages for Liar {
    type ReadStream = Chunks;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Chunks>, Status> {
        let ask = Ask::decode(request.get_ref()).unwrap();
        let bytes = content(ask.segment.id.number, ask.range.clone());
        let half = bytes.slice(..bytes.len() / 2);
        let good = |bytes: Bytes| chunks([bytes]).map(Ok).collect::<Vec<_>>();
        let chunks: Vec<Result<Chunk, Status>> = match self.0 {
            Lie::Nothing => Vec::new(),
            Lie::Short | Lie::StopsInTheMiddle => good(half),
            Lie::Long => [good(bytes.clone()), good(half)].concat(),
            Lie::Checksum => vec![Ok(Chunk { data: bytes, checksum: 7 })],
            Lie::Empty => vec![Ok(Chunk::default()); 100_000],
            Lie::Huge => vec![Ok(Chunk { data: vec![0; 5 << 20].into(), checksum: 0 })],
            Lie::EndsInTheMiddle => [good(half), vec![Err(Status::internal("died"))]].concat(),
            Lie::Refuses => return Err(Status::permission_denied("no")),
        };
        let sent = stream::iter(chunks);
        Ok(Response::new(match self.0 {
            Lie::StopsInTheMiddle => sent.chain(stream::pending()).boxed(),
            _ => sent.boxed(),
        }))
    }
}

async fn lie(stream: TcpStream, lie: Lie) {
    let liar = PagesServer::new(Liar(lie));
    let service = service_fn(move |request| liar.clone().call(request));
    drop(http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_lies() {
    for what in [
        Lie::Nothing,
        Lie::Short,
        Lie::Long,
        Lie::Checksum,
        Lie::Empty,
        Lie::Huge,
        Lie::EndsInTheMiddle,
        Lie::StopsInTheMiddle,
        Lie::Refuses,
    ] {
        let world = World::new(3).await;
        let agent = impatient(&world, 1).await;
        let liar = somebody(&world, 2, move |stream| lie(stream, what)).await;
        assert_eq!(reads(&world, &agent, 3).await, 3 * PAGES, "{what:?}");
        liar.abort();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_killed_while_it_answers() {
    let world = World::new(8).await;
    let agent = impatient(&world, 1).await;
    let (began, mut begins) = tokio::sync::mpsc::unbounded_channel();
    // It gives half of each page, and its connections end with it.
    let owner = somebody(&world, 2, move |stream| {
        began.send(()).unwrap();
        async move {
            drop(tokio::time::timeout(Duration::from_millis(50), lie(stream, Lie::StopsInTheMiddle)).await);
        }
    })
    .await;
    let reading = reads(&world, &agent, 8);
    let killing = async {
        begins.recv().await.unwrap();
        owner.abort();
    };
    let (gets, ()) = futures::join!(reading, killing);
    assert_eq!(gets, 8 * PAGES);
}

#[tokio::test(flavor = "multi_thread")]
async fn rubbish_is_thrown_at_a_listener_and_it_goes_on() {
    let world = World::new(2).await;
    let owner = world.agent(Plan::new(1)).await;
    let at = ("127.0.0.1", owner.neighbour.port);
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let junk: Vec<u8> = (0..100_000u64).map(|n| siltstone_log::mix64(n) as u8).collect();
    for rubbish in [&b"GET / HTTP/1.1\r\n\r\n"[..], &junk, &[&preface[..], &junk].concat(), &preface, b""] {
        let mut stream = TcpStream::connect(at).await.unwrap();
        // It may have hung up in the middle.
        drop(stream.write_all(rubbish).await);
        drop(stream.shutdown().await);
    }
    let agent = world.agent(Plan::new(2)).await;
    agent.read_all(0).await;
    owner.read_all(0).await;
    assert_eq!(world.gets(), PAGES);
    assert_eq!((LENGTH.div_ceil(PAGE), owner.pages.serving()), (PAGES, 0));
}
