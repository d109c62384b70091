//! One connection: requests are written as they come, answers arrive in their order.
//!
//! Two tasks serve it, one for each direction. When either fails, all that waits learns so, and the connection is of no more use.

use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use siltstone_kafka::api::ApiRequest;
use siltstone_kafka::{ApiKey, api_versions, frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader, BufWriter};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::AbortHandle;

use super::Error;

/// Answers larger than this are refused: more than any server sends.
const LARGEST_ANSWER: usize = 512 << 20;
/// Requests under way on one connection.
const WINDOW: usize = 64;
/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(5);
const BUFFER: usize = 64 << 10;

/// A connection to one broker. Dropping it closes it.
#[derive(Debug)]
pub struct Connection {
    address: String,
    client_id: String,
    versions: BTreeMap<i16, (i16, i16)>,
    next: AtomicI32,
    outgoing: mpsc::Sender<Outgoing>,
    tasks: [AbortHandle; 2],
}

#[derive(Debug)]
struct Outgoing {
    chunks: Vec<Bytes>,
    answer: Option<oneshot::Sender<Bytes>>,
}

/// An answer that is on its way.
#[derive(Debug)]
pub struct Answer<R> {
    address: String,
    api: ApiKey,
    version: i16,
    id: i32,
    frame: oneshot::Receiver<Bytes>,
    response: PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects to `address` (`HOST:PORT`) and asks which versions the server speaks.
    ///
    /// # Errors
    /// [`Error::Connect`] if nobody is there, else as any request.
    pub async fn open(address: &str, client_id: &str) -> Result<Arc<Connection>, Error> {
        let failed = |reason: String| Error::Connect { address: address.to_owned(), reason };
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect(address)).await;
        let stream =
            stream.map_err(|_| failed("timed out".to_owned()))?.map_err(|e| failed(e.to_string()))?;
        stream.set_nodelay(true).map_err(|e| failed(e.to_string()))?;
        let (read, write) = stream.into_split();
        let (outgoing, requests) = mpsc::channel(WINDOW);
        let (waiting, answers) = mpsc::channel(WINDOW);
        let writer = tokio::spawn(write_all(write, requests, waiting));
        let reader = tokio::spawn(read_all(read, answers));
        let mut connection = Connection {
            address: address.to_owned(),
            client_id: client_id.to_owned(),
            versions: BTreeMap::from([(ApiKey::ApiVersions.code(), (0, 3))]),
            next: AtomicI32::new(1),
            outgoing,
            tasks: [writer.abort_handle(), reader.abort_handle()],
        };
        connection.versions = connection.ask_versions().await?;
        Ok(Arc::new(connection))
    }

    async fn ask_versions(&self) -> Result<BTreeMap<i16, (i16, i16)>, Error> {
        let request = api_versions::Request {
            client_software_name: "siltstone-cli".to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
        };
        let answer = self.call(&request, i16::MAX, CONNECT).await?;
        super::error::check(|| format!("asking {} for its versions", self.address), answer.error_code, None)?;
        Ok(answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect())
    }

    /// Host and port, as they were given.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Whether it can be used no more.
    pub fn is_closed(&self) -> bool {
        self.outgoing.is_closed()
    }

    /// The latest version of an API that both sides know, up to `latest`.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn version(&self, api: ApiKey, latest: i16) -> Result<i16, Error> {
        if api.is_own() {
            // Servers don't tell of these.
            return Ok(latest.min(*api.versions().end()));
        }
        let unsupported = || Error::Unsupported { address: self.address.clone(), api };
        let (lowest, highest) = self.versions.get(&api.code()).copied().ok_or_else(unsupported)?;
        let version = highest.min(latest).min(*api.versions().end());
        if version < lowest.max(*api.versions().start()) { Err(unsupported()) } else { Ok(version) }
    }

    /// Sends a request of at most version `latest`; waits only for room in the window. Answers come in the order of requests.
    ///
    /// # Errors
    /// If it can't be sent.
    pub async fn send<R: ApiRequest>(&self, request: &R, latest: i16) -> Result<Answer<R::Response>, Error> {
        let (sender, frame) = oneshot::channel();
        let (version, id) = self.write(request, latest, Some(sender)).await?;
        let address = self.address.clone();
        Ok(Answer { address, api: R::API, version, id, frame, response: PhantomData })
    }

    /// Sends a request that has no answer: Produce with acks=0.
    ///
    /// # Errors
    /// If it can't be sent.
    pub async fn send_unanswered<R: ApiRequest>(&self, request: &R, latest: i16) -> Result<(), Error> {
        self.write(request, latest, None).await.map(drop)
    }

    async fn write<R: ApiRequest>(
        &self,
        request: &R,
        latest: i16,
        answer: Option<oneshot::Sender<Bytes>>,
    ) -> Result<(i16, i32), Error> {
        let version = self.version(R::API, latest)?;
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let frame = frame::encode_request(id, Some(&self.client_id), version, request)?;
        let outgoing = Outgoing { chunks: frame.into_chunks(), answer };
        self.outgoing.send(outgoing).await.map_err(|_| closed(&self.address))?;
        Ok((version, id))
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// As [`Connection::send`] and [`Answer::wait`].
    pub async fn call<R: ApiRequest>(
        &self,
        request: &R,
        latest: i16,
        patience: Duration,
    ) -> Result<R::Response, Error> {
        self.send(request, latest).await?.wait(patience).await
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

impl<R: siltstone_kafka::api::ApiResponse> Answer<R> {
    /// Waits for the answer, for at most `patience`. May be polled again after a cancelled wait.
    ///
    /// # Errors
    /// If the connection ends, time runs out, or the answer can't be read.
    pub async fn wait(&mut self, patience: Duration) -> Result<R, Error> {
        let frame = match tokio::time::timeout(patience, &mut self.frame).await {
            Ok(Ok(frame)) => frame,
            Ok(Err(_)) => return Err(closed(&self.address)),
            Err(_) => {
                let (address, seconds) = (self.address.clone(), patience.as_secs());
                return Err(Error::TimedOut { address, api: self.api, seconds });
            }
        };
        let decoded = frame::decode_response::<R>(&frame, self.version);
        let (id, response) =
            decoded.map_err(|error| Error::Decode { address: self.address.clone(), error })?;
        if id != self.id {
            let reason = format!("answer {id} came where {} was due", self.id);
            return Err(Error::Closed { address: self.address.clone(), reason });
        }
        Ok(response)
    }
}

fn closed(address: &str) -> Error {
    Error::Closed { address: address.to_owned(), reason: "by the server".to_owned() }
}

/// Ends, and with it the connection, at the first error. Whoever waits then sees its channel closed.
async fn write_all(
    write: OwnedWriteHalf,
    mut requests: mpsc::Receiver<Outgoing>,
    waiting: mpsc::Sender<oneshot::Sender<Bytes>>,
) {
    let mut write = BufWriter::with_capacity(BUFFER, write);
    while let Some(mut outgoing) = requests.recv().await {
        if let Some(answer) = outgoing.answer.take()
            && waiting.send(answer).await.is_err()
        {
            return;
        }
        for chunk in &outgoing.chunks {
            if write.write_all(chunk).await.is_err() {
                return;
            }
        }
        if requests.is_empty() && write.flush().await.is_err() {
            return;
        }
    }
}

async fn read_all(read: OwnedReadHalf, mut waiting: mpsc::Receiver<oneshot::Sender<Bytes>>) {
    let mut read = BufReader::with_capacity(BUFFER, read);
    while let Ok(length) = read.read_u32().await {
        let length = length as usize;
        if !(4..=LARGEST_ANSWER).contains(&length) {
            return;
        }
        let mut frame = BytesMut::with_capacity(length.min(64 << 20));
        let mut rest = (&mut read).take(length as u64);
        while frame.len() < length {
            match rest.read_buf(&mut frame).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
        let Some(answer) = waiting.recv().await else { return };
        // Whoever asked may have given up.
        let _ = answer.send(frame.freeze());
    }
}
