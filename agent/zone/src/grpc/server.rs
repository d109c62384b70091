//! The listener for other agents.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use siltstone_peer::pages_server::PagesServer;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::{Service, http};

use super::activity::Activity;
use super::service::{LONGEST, Pages};
use super::tls::Tls;
use crate::telemetry;

/// The largest request: ids and numbers.
const REQUEST_BYTES: usize = 4 << 10;
const HEADER_BYTES: u32 = 8 << 10;
/// What hyper keeps of one answer that is not sent yet.
const SEND_BYTES: usize = 256 << 10;
/// How long the handshake of TLS may take.
const HANDSHAKE: Duration = Duration::from_secs(5);
/// A connection without a request for so long is closed; so is one that is old, so that a certificate that ran out is noticed.
const IDLE: Duration = Duration::from_secs(30);
const OLD: Duration = Duration::from_secs(3600);
/// How often the other side is asked for a sign of life, and how long it may take.
const PING: Duration = Duration::from_secs(10);
/// How long requests may go on when their connection closes.
const GRACE: Duration = Duration::from_secs(30);
/// The pause after an accept that failed, as when there are no file descriptors.
const PAUSE: Duration = Duration::from_millis(100);

/// Bounds of the listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerLimits {
    /// Connections at once; others wait to be accepted. Agents keep one to each other.
    pub connections: usize,
    /// Requests of one connection that are worked on at once.
    pub requests: u32,
}

impl Default for ServerLimits {
    fn default() -> Self {
        ServerLimits { connections: 1024, requests: 64 }
    }
}

/// Accepts and serves until it is dropped, which ends all connections: who asked reads from the bucket then.
pub async fn serve(listener: TcpListener, pages: Pages, tls: Option<Arc<Tls>>, limits: ServerLimits) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = places.clone().acquire_owned().await else { return };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (pages, tls) = (pages.clone(), tls.clone());
                connections.spawn(async move {
                    telemetry::connected(1.0);
                    let _end = Disconnected;
                    connection(stream, peer, pages, tls.as_deref(), limits).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a connection of another agent could not be accepted");
                sleep(PAUSE).await;
            }
        }
    }
}

struct Disconnected;

impl Drop for Disconnected {
    fn drop(&mut self) {
        telemetry::connected(-1.0);
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    pages: Pages,
    tls: Option<&Tls>,
    limits: ServerLimits,
) {
    // A socket that has gone already says so when it is read.
    drop(stream.set_nodelay(true));
    let Some(tls) = tls else { return http2(stream, peer, pages, limits).await };
    let reject = |kind: &'static str, reason: String| {
        telemetry::rejected(kind);
        tracing::debug!(%peer, reason, "a connection to the listener for agents was refused");
    };
    let accepted = timeout(HANDSHAKE, TlsAcceptor::from(tls.server()).accept(stream)).await;
    match accepted {
        Ok(Ok(stream)) if tls.admits(stream.get_ref().1.peer_certificates()) => {
            Box::pin(http2(stream, peer, pages, limits)).await;
        }
        Ok(Ok(_)) => reject("name", "its certificate does not hold the name that agents' have".into()),
        Ok(Err(error)) => reject("tls", error.to_string()),
        Err(_) => reject("tls", "it did not finish the handshake".into()),
    }
}

async fn http2(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    peer: SocketAddr,
    pages: Pages,
    limits: ServerLimits,
) {
    let activity = Activity::default();
    let service = PagesServer::new(pages).max_decoding_message_size(REQUEST_BYTES);
    let counted = activity.clone();
    let service = service_fn(move |request| answer(service.clone(), counted.clone(), request));
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(limits.requests)
        .max_header_list_size(HEADER_BYTES)
        .max_send_buf_size(SEND_BYTES)
        .keep_alive_interval(PING)
        .keep_alive_timeout(PING);
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let begun = Instant::now();
    let mut seen = 0;
    loop {
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    if activity.begun() == 0 {
                        telemetry::rejected("protocol");
                    }
                    tracing::debug!(%peer, %error, "a connection of another agent ended");
                }
                return;
            }
            () = sleep(IDLE) => {}
        }
        let idle = activity.open() == 0 && activity.begun() == seen;
        seen = activity.begun();
        if idle || begun.elapsed() >= OLD {
            connection.as_mut().graceful_shutdown();
            // However it ends.
            drop(timeout(GRACE, connection).await);
            return;
        }
    }
}

/// One request, its own body included, within its time.
async fn answer(
    mut service: PagesServer<Pages>,
    activity: Activity,
    mut request: http::Request<Incoming>,
) -> Result<http::Response<Body>, Infallible> {
    request.extensions_mut().insert(activity.begin());
    let answered = timeout(LONGEST, service.call(request)).await;
    answered.unwrap_or_else(|_| Ok(Status::deadline_exceeded("the request did not come in time").into_http()))
}
