//! Asking other agents: one connection to each that is asked, made when it is needed.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use siltstone_log::RegistrationId;
use siltstone_peer::pages_client::PagesClient;
use siltstone_peer::{Ask, Assembly, BadAnswer, MAX_MESSAGE};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tonic::body::Body;
use tonic::codegen::{Service, http};
use tonic::{Code, Status};

use super::tls::Tls;
use crate::{AskError, Neighbour, Transport};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(2);
/// How often the other side is asked for a sign of life while something is wanted of it, and how long that may take.
const PING: Duration = Duration::from_secs(3);
/// What one answer, and all of a connection together, may send before it is taken.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
const HEADER_BYTES: u32 = 8 << 10;
/// Requests until the other side has said how many it takes at once. What is above that is refused, and three refusals have
/// an agent left alone; hyper would begin with a hundred.
const FIRST_REQUESTS: usize = 1;

/// Connections to other agents. Those that nobody uses are closed by the other side; as many are known as there are, and one more.
#[derive(Default)]
pub struct Links {
    tls: Option<Arc<Tls>>,
    slots: Mutex<BTreeMap<RegistrationId, Arc<Slot>>>,
}

/// Where the connection to one agent is. Who finds none makes it, and others wait for that.
type Slot = tokio::sync::Mutex<Option<Link>>;

impl Links {
    /// No connections yet. They are encrypted if there are certificates.
    pub fn new(tls: Option<Arc<Tls>>) -> Self {
        Links { tls, slots: Mutex::default() }
    }

    fn slot(&self, id: RegistrationId) -> Arc<Slot> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if !slots.contains_key(&id) {
            // Busy ones are being connected.
            let used =
                |slot: &Slot| slot.try_lock().map_or(true, |link| link.as_ref().is_some_and(Link::is_open));
            slots.retain(|_, slot| used(slot));
        }
        slots.entry(id).or_default().clone()
    }

    /// The connection to an agent, and whether it was there before.
    async fn link(&self, neighbour: &Neighbour) -> Result<(Link, bool), AskError> {
        let slot = self.slot(neighbour.id);
        let mut slot = slot.lock().await;
        if let Some(link) = slot.as_ref().filter(|link| link.is_open()) {
            return Ok((link.clone(), true));
        }
        let connected = timeout(CONNECT, self.connect(neighbour)).await;
        let late = || AskError::Failed("it can't be connected to in time".into());
        let link = connected.map_err(|_| late())?.map_err(AskError::Failed)?;
        *slot = Some(link.clone());
        Ok((link, false))
    }

    async fn connect(&self, neighbour: &Neighbour) -> Result<Link, String> {
        let failed = |error: std::io::Error| format!("it can't be connected to: {error}");
        let stream = TcpStream::connect((neighbour.host.as_str(), neighbour.port)).await.map_err(failed)?;
        drop(stream.set_nodelay(true));
        let Some(tls) = &self.tls else { return Link::over(stream, "http").await };
        let name = tls.expected(&neighbour.host).map_err(|error| error.to_string())?;
        let stream = TlsConnector::from(tls.client()).connect(name, stream).await.map_err(failed)?;
        Link::over(stream, "https").await
    }
}

#[async_trait]
impl Transport for Links {
    async fn read(&self, neighbour: &Neighbour, ask: &Ask) -> Result<Bytes, AskError> {
        let patience = Duration::from_millis(u64::from(ask.patience_ms));
        let asked = async {
            let (link, old) = self.link(neighbour).await?;
            match link.read(ask).await {
                // It was closed for idleness just now.
                Err(AskError::Failed(_)) if old && !link.is_open() => {
                    let (link, _) = self.link(neighbour).await?;
                    link.read(ask).await
                }
                other => other,
            }
        };
        let late = || AskError::Failed("no answer in time".into());
        timeout(patience, asked).await.unwrap_or_else(|_| Err(late()))
    }
}

/// A connection. A cheap clone.
#[derive(Clone)]
struct Link {
    sender: SendRequest<Body>,
    origin: http::Uri,
}

impl Link {
    async fn over(
        stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        scheme: &'static str,
    ) -> Result<Self, String> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(HEADER_BYTES)
            .initial_max_send_streams(FIRST_REQUESTS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PING);
        let (sender, connection) =
            builder.handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        // It ends with the last sender, or with the stream.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection to another agent ended");
            }
        });
        // Whom one talks to is settled by now; HTTP/2 wants a name all the same.
        let origin = http::Uri::builder().scheme(scheme).authority("agent").path_and_query("/").build();
        Ok(Link { sender, origin: origin.map_err(|error| error.to_string())? })
    }

    fn is_open(&self) -> bool {
        !self.sender.is_closed()
    }

    async fn read(&self, ask: &Ask) -> Result<Bytes, AskError> {
        let client = PagesClient::with_origin(self.clone(), self.origin.clone());
        let mut client = client.max_decoding_message_size(MAX_MESSAGE);
        let mut stream = client.read(ask.encode()).await.map_err(|status| failed(&status))?.into_inner();
        let wanted = usize::try_from(ask.wanted()).unwrap_or(usize::MAX);
        let mut assembly = Assembly::new(wanted);
        let wrong = |error: BadAnswer| AskError::Failed(error.to_string());
        while let Some(chunk) = stream.message().await.map_err(|status| failed(&status))? {
            assembly.take(&chunk).map_err(wrong)?;
        }
        assembly.done().map_err(wrong)
    }
}

/// What a status says of who sent it.
fn failed(status: &Status) -> AskError {
    let reason = status.message().to_owned();
    match status.code() {
        Code::NotFound | Code::DataLoss | Code::Aborted => AskError::Unread(reason),
        code => AskError::Failed(format!("{code}: {reason}")),
    }
}

impl Service<http::Request<Body>> for Link {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.sender.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.sender.send_request(request))
    }
}
