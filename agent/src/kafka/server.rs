//! The listener: accepts connections, bounded, and ends them with care.

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::connection::{self, ConnectionLimits, End};
use super::context::{Broker, Context};
use super::frames::RequestBudgets;
use super::limited::Limited;
use super::telemetry;
use crate::produce::Budget;

/// Pause after a failed accept: for lack of file descriptors, mostly, which passes when connections end.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// Log lines about connections in a second, at most.
const LINES_PER_SECOND: u32 = 20;

/// Bounds of a listener. Kafka's own settings (`max.connections`, `connections.max.idle.ms`, `socket.request.max.bytes`) come from the
/// broker's configs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; others wait to be accepted. `max.connections` may say less.
    pub max_connections: usize,
    /// Requests of one connection that are worked on at once.
    pub in_flight: usize,
    /// Bytes of requests other than Produce, with what they take once decoded.
    pub request_bytes: usize,
    /// A request that began must go on within this time.
    pub stall: Duration,
    /// An answer must be written within this time.
    pub write: Duration,
    /// Answers that are due at shutdown have so long.
    pub grace: Duration,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits {
            max_connections: 20_000,
            in_flight: 16,
            request_bytes: 64 << 20,
            stall: Duration::from_secs(30),
            write: Duration::from_secs(60),
            grace: Duration::from_secs(10),
        }
    }
}

/// A socket for clients.
#[derive(Debug)]
pub struct NamedListener {
    /// Its name on all agents; the first listener has none.
    pub name: Arc<str>,
    /// The socket.
    pub socket: TcpListener,
}

/// [`run_all`] with the first listener alone.
pub async fn run(
    listener: TcpListener,
    broker: Arc<Broker>,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) {
    let first = NamedListener { name: "".into(), socket: listener };
    run_all(vec![first], broker, limits, shutdown).await;
}

/// The next connection, and through which listener it came. Each of them is the first to be asked in its turn.
async fn accept(
    listeners: &[NamedListener],
    turn: usize,
) -> (usize, std::io::Result<(TcpStream, SocketAddr)>) {
    std::future::poll_fn(|cx| {
        let count = listeners.len();
        for at in (0..count).map(|next| (turn + next) % count) {
            if let Poll::Ready(accepted) = listeners[at].socket.poll_accept(cx) {
                return Poll::Ready((at, accepted));
            }
        }
        Poll::Pending
    })
    .await
}

/// Accepts and serves until `shutdown` resolves; then takes no more requests, answers those under way, and returns. If the engine's
/// registration is over before that, it closes every connection at once and returns when the last is gone: what they still wait for
/// may be in the log or not, and a client that loses its connection takes it so. Drop the engine only after that.
pub async fn run_all(
    listeners: Vec<NamedListener>,
    broker: Arc<Broker>,
    limits: ServerLimits,
    shutdown: impl Future<Output = ()>,
) {
    let (stop, stopping) = watch::channel(false);
    let server = Server {
        budgets: RequestBudgets {
            produce: broker.engine.writer().budget().clone(),
            others: Budget::new(limits.request_bytes),
        },
        broker,
        limits,
        stopping,
        log: Arc::new(Limited::new(LINES_PER_SECOND)),
    };
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    let engine = server.broker.engine.clone();
    let mut over = std::pin::pin!(engine.ended());
    let mut turn = 0;
    loop {
        let room = connections.len() < server.most();
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            () = &mut over => {
                tracing::warn!(connections = connections.len(), "the registration is over: connections are closed");
                return connections.shutdown().await;
            }
            Some(ended) = connections.join_next(), if !connections.is_empty() => server.ended(ended),
            (at, accepted) = accept(&listeners, turn), if room => {
                turn = at + 1;
                match accepted {
                    Ok((stream, peer)) => {
                        server.begin(stream, peer, listeners[at].name.clone(), &mut connections);
                    }
                    Err(error) => {
                        server.log.line(|| tracing::warn!(%error, "a connection could not be accepted"));
                        tokio::time::sleep(ACCEPT_RETRY).await;
                    }
                }
            }
        }
    }
    drop(listeners);
    stop.send_replace(true);
    let drained = async {
        while let Some(ended) = connections.join_next().await {
            server.ended(ended);
        }
    };
    if tokio::time::timeout(limits.grace, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "not all answers could be written before the end");
    }
}

struct Server {
    broker: Arc<Broker>,
    limits: ServerLimits,
    budgets: RequestBudgets,
    stopping: watch::Receiver<bool>,
    log: Arc<Limited>,
}

impl Server {
    fn most(&self) -> usize {
        self.limits.max_connections.min(self.broker.broker_config().max_connections as usize)
    }

    fn begin(&self, stream: TcpStream, peer: SocketAddr, listener: Arc<str>, connections: &mut JoinSet<()>) {
        if connections.len() + 1 == self.most() {
            self.log.line(|| tracing::warn!("as many connections as allowed: others wait (max.connections)"));
        }
        // Without it answers wait for the client's acknowledgements; a socket that has gone already says so when it is read.
        drop(stream.set_nodelay(true));
        let number = self.broker.next_connection();
        let broker = self.broker.clone();
        let cx = Context { broker, connection: number, peer, listener, client_id: None };
        let limits = ConnectionLimits {
            in_flight: self.limits.in_flight,
            stall: self.limits.stall,
            write: self.limits.write,
        };
        let serving = connection::serve(stream, cx, limits, self.budgets.clone(), self.stopping.clone());
        let log = self.log.clone();
        connections.spawn(async move {
            let _gauge = telemetry::Connected::new();
            let end = Box::pin(serving).await;
            report(&log, peer, &end);
        });
    }

    fn ended(&self, ended: Result<(), tokio::task::JoinError>) {
        if let Err(error) = ended
            && error.is_panic()
        {
            self.log.line(|| tracing::error!(%error, "a connection was ended by a defect"));
        }
    }
}

fn report(log: &Limited, peer: SocketAddr, end: &End) {
    if end.is_ordinary() {
        tracing::debug!(%peer, reason = %end, "connection closed");
    } else {
        log.line(|| tracing::warn!(%peer, reason = %end, "connection closed"));
    }
}
