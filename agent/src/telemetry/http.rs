//! The HTTP port for machines that watch: `/metrics`, `/health`, `/ready`.
//!
//! One request a connection, GET and HEAD only, without a body: all that a scraper and a load balancer need, with a bound on everything that a
//! client can make us keep. `/health` says that the process answers, `/ready` that it serves: what to restart by, and what to route by.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Metrics;

/// Connections served at once; further ones wait to be accepted.
const CONNECTIONS: usize = 32;
/// The longest request head that is read.
const HEAD_BYTES: usize = 8 << 10;
/// How long a request, and its answer, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pause after an accept that failed, as when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether the process serves just now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ready {
    /// It does.
    Yes,
    /// It does, but for what is said. Whoever routes by this should go on: the others are no better off, and the rest works.
    But(String),
    /// It does not, and why.
    No(String),
}

impl From<Option<String>> for Ready {
    /// `Some`: why it does not serve.
    fn from(why: Option<String>) -> Self {
        why.map_or(Ready::Yes, Ready::No)
    }
}

/// How the process stands, asked anew for each request.
pub type Readiness = Arc<dyn Fn() -> Ready + Send + Sync>;

/// Serves until it is dropped.
pub async fn serve(listener: TcpListener, metrics: Metrics, readiness: Readiness) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut tasks = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while tasks.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, _)) => {
                let (metrics, readiness) = (metrics.clone(), readiness.clone());
                tasks.spawn(async move {
                    // A watcher that goes away or is too slow has only itself to answer for.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &metrics, &readiness)).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an HTTP connection could not be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn answer(mut stream: TcpStream, metrics: &Metrics, readiness: &Readiness) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let reply = route(&head, metrics, readiness);
    stream.write_all(&reply).await?;
    stream.shutdown().await
}

/// What comes before the first empty line, or as much as fits.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1024);
    while head.len() < HEAD_BYTES && !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

fn route(head: &[u8], metrics: &Metrics, readiness: &Readiness) -> Vec<u8> {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let plain = "text/plain; charset=utf-8";
    let (status, kind, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => {
            ("200 OK", "text/plain; version=0.0.4; charset=utf-8", metrics.render())
        }
        ("GET" | "HEAD", "/health") => ("200 OK", plain, "alive\n".to_owned()),
        ("GET" | "HEAD", "/ready") => match readiness() {
            Ready::Yes => ("200 OK", plain, "ready\n".to_owned()),
            Ready::But(what) => ("200 OK", plain, format!("ready, but {what}\n")),
            Ready::No(why) => ("503 Service Unavailable", plain, format!("not ready: {why}\n")),
        },
        ("GET" | "HEAD", _) => ("404 Not Found", plain, "there is /metrics, /health and /ready\n".to_owned()),
        _ => ("405 Method Not Allowed", plain, "GET or HEAD\n".to_owned()),
    };
    let length = body.len();
    let mut reply = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    if method != "HEAD" {
        reply.extend_from_slice(body.as_bytes());
    }
    reply
}
