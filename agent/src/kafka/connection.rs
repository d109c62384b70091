//! One connection: requests in, answers out, in order.
//!
//! Requests are taken up as they arrive, to a limit, and work at the same time; Produce enters the writer right here, in the order of
//! arrival, and only its outcome is waited for later. What a client gets wrong costs its connection and one log line that says why.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use siltstone_kafka::wire::Limits;
use siltstone_kafka::{ApiKey, Request, RequestHead, Response, frame};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::answers::{self, Answer, Pending};
use super::context::{Broker, Context};
use super::dispatch;
use super::frames::{self, FrameReader, Incoming, ReadEnd, ReadLimits, RequestBudgets};
use super::held::{Held, NextTurn, Turns};
use super::telemetry::Direction;
use super::{api_versions, large, produce, telemetry};
use crate::produce::Reservation;

/// The runtime gets a chance after so many requests that were there at once.
const YIELD_AFTER: u32 = 32;

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum End {
    /// While reading.
    #[error("{0}")]
    Read(#[from] ReadEnd),
    /// While writing.
    #[error("answer not written: {0}")]
    Write(std::io::Error),
    /// A request that can't be read.
    #[error("bad request: {0}")]
    Bad(String),
    /// An API or version that isn't served.
    #[error("{api} version {version} is not served")]
    NotServed {
        /// Which.
        api: ApiKey,
        /// In which version.
        version: i16,
    },
    /// An answer asked for it.
    #[error("{0}")]
    Answer(String),
    /// The server stops: no more requests are taken.
    #[error("the server stops")]
    Stopping,
    /// All answers are written.
    #[error("the server stops, all requests are answered")]
    Drained,
}

impl End {
    /// Whether this is the ordinary end of a connection, of which an operator need not hear.
    pub(super) fn is_ordinary(&self) -> bool {
        match self {
            End::Read(ReadEnd::Closed | ReadEnd::Idle(_)) | End::Stopping | End::Drained => true,
            End::Read(ReadEnd::Io(error)) | End::Write(error) => {
                use std::io::ErrorKind::{BrokenPipe, ConnectionReset};
                matches!(error.kind(), BrokenPipe | ConnectionReset)
            }
            _ => false,
        }
    }
}

/// Limits of a connection.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConnectionLimits {
    pub(super) in_flight: usize,
    pub(super) stall: Duration,
    pub(super) write: Duration,
}

/// What a connection works with.
pub(super) struct Connection {
    pub(super) cx: Context,
    pub(super) limits: ConnectionLimits,
    pub(super) budgets: RequestBudgets,
    turns: Turns,
    /// How many answers are written, and how many are to be.
    written: watch::Receiver<u64>,
    asked: AtomicU64,
    /// Offsets that a client commits one after the other never overtake each other.
    commits: Turns,
    /// acks=0: what went wrong, to be told by closing.
    failures: mpsc::Sender<String>,
}

/// Drops what the connection left in the write buffer, however it ends.
struct Left(Arc<Broker>, u64);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.engine.writer().close_connection(self.1);
    }
}

/// Serves a connection to its end.
pub(super) async fn serve(
    stream: TcpStream,
    cx: Context,
    limits: ConnectionLimits,
    budgets: RequestBudgets,
    stop: watch::Receiver<bool>,
) -> End {
    let _left = Left(cx.broker.clone(), cx.connection);
    let (reader, writer) = stream.into_split();
    let (requests, queue) = mpsc::channel(1);
    let (failures, mut failed) = mpsc::channel(1);
    let (written, line) = watch::channel(0);
    let connection = Connection {
        cx,
        limits,
        budgets,
        turns: Turns::default(),
        written: line,
        asked: AtomicU64::new(0),
        commits: Turns::single(),
        failures,
    };
    let in_flight = AtomicUsize::new(0);
    let rules = answers::Rules { in_flight: limits.in_flight, patience: limits.write, written };
    let writing = answers::write_all(writer, queue, &in_flight, rules);
    let mut writing = std::pin::pin!(writing);
    let reading = connection.read_all(FrameReader::new(reader), requests, &in_flight, stop);
    let mut reading = std::pin::pin!(reading);
    tokio::select! {
        biased;
        end = &mut writing => end,
        Some(why) = failed.recv() => End::Answer(why),
        end = &mut reading => match end {
            End::Stopping => writing.await,
            end => end,
        },
    }
}

impl Connection {
    async fn read_all(
        &self,
        mut frames: FrameReader,
        requests: mpsc::Sender<Pending>,
        in_flight: &AtomicUsize,
        mut stop: watch::Receiver<bool>,
    ) -> End {
        let mut taken = 0u32;
        loop {
            let limits = self.read_limits();
            let incoming = tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return End::Stopping,
                incoming = frames.next(&limits, &self.budgets) => incoming,
            };
            let incoming = match incoming {
                Ok(incoming) => incoming,
                // Quiet, but for answers that it still waits for.
                Err(ReadEnd::Idle(_)) if in_flight.load(Ordering::Relaxed) > 0 => continue,
                Err(end) => return end.into(),
            };
            match self.take(incoming).await {
                Ok(Some(pending)) => {
                    self.asked.fetch_add(1, Ordering::Relaxed);
                    if requests.send(pending).await.is_err() {
                        return End::Drained;
                    }
                }
                Ok(None) => {}
                Err(end) => return end,
            }
            taken = taken.wrapping_add(1);
            if taken.is_multiple_of(YIELD_AFTER) {
                tokio::task::yield_now().await;
            }
        }
    }

    fn read_limits(&self) -> ReadLimits {
        let config = self.cx.broker.broker_config();
        ReadLimits {
            max: config.socket_request_max_bytes as usize,
            idle: config.connections_max_idle_ms.map(Duration::from_millis),
            stall: self.limits.stall,
        }
    }

    /// Takes a request up.
    async fn take(&self, incoming: Incoming) -> Result<Option<Pending>, End> {
        let Incoming { frame, reservation } = incoming;
        let began = Instant::now();
        telemetry::received(frame.len());
        let (head, body) = RequestHead::decode(&frame).map_err(|error| End::Bad(error.to_string()))?;
        let RequestHead { api, version, correlation_id, client_id } = head;
        if api == ApiKey::ApiVersions && !api.supports(version) {
            let response = Response::ApiVersions(api_versions::unsupported());
            return Ok(Some(Box::pin(async move { encode(correlation_id, 0, &response, None, began) })));
        }
        if !dispatch::serves(api, version) {
            return Err(End::NotServed { api, version });
        }
        if frame.len() > dispatch::most_bytes(api) {
            return Err(End::Bad(format!("{api} of {} bytes: more than are looked at", frame.len())));
        }
        let limits = Limits { memory: frames::decoded_limit(api, frame.len()) };
        let request = Request::decode_within(api, version, &body, limits)
            .map_err(|error| End::Bad(format!("{api} version {version}: {error}")))?;
        let size = frame.len();
        drop((frame, body));
        let cx = Context { client_id, ..self.cx.clone() };
        match request {
            Request::Produce(request) => {
                telemetry::crossed(Direction::Received, cx.zones(None), size);
                let begun = produce::begin(&cx, version, request, reservation).await;
                self.produced(begun, correlation_id, version, began)
            }
            request => {
                let turn = matches!(request, Request::Fetch(_)).then(|| self.turns.next());
                let order = matches!(request, Request::OffsetCommit(_)).then(|| self.commits.next());
                let line = large::may_be(&request).then(|| self.line());
                let work = work(cx, (correlation_id, version), request, (turn, line), reservation, began);
                Ok(Some(Box::pin(async move {
                    let _order = futures::future::OptionFuture::from(order).await;
                    work.await
                })))
            }
        }
    }

    /// A place behind all requests so far.
    fn line(&self) -> Line {
        Line { written: self.written.clone(), before: self.asked.load(Ordering::Relaxed) }
    }

    /// The rest of a Produce, whose batches are in the writer.
    fn produced(
        &self,
        begun: produce::Begun,
        correlation_id: i32,
        version: i16,
        began: Instant,
    ) -> Result<Option<Pending>, End> {
        if begun.wants_answer() {
            return Ok(Some(Box::pin(async move {
                match begun.finish().await {
                    Ok(response) => {
                        encode(correlation_id, version, &Response::Produce(response), None, began)
                    }
                    Err(why) => Answer::Close(why),
                }
            })));
        }
        if let Some(why) = begun.refused() {
            return Err(End::Answer(why));
        }
        // Not in the queue of answers: what comes behind needn't wait. Bounded by the write budget.
        let failures = self.failures.clone();
        tokio::spawn(async move {
            if let Err(why) = begun.finish_unanswered().await {
                // Full: the connection is ending already.
                drop(failures.try_send(why));
            }
            telemetry::answered(ApiKey::Produce, began);
        });
        Ok(None)
    }
}

/// A request's place among those of its connection that are answered.
struct Line {
    written: watch::Receiver<u64>,
    before: u64,
}

impl Line {
    /// Waits until all before it are answered, and their answers sent.
    async fn first(mut self) {
        // The other end goes with the connection, and with it whoever waits here.
        drop(self.written.wait_for(|written| *written >= self.before).await);
    }
}

async fn work(
    cx: Context,
    (correlation_id, version): (i32, i16),
    request: Request,
    (turn, line): (Option<NextTurn>, Option<Line>),
    reservation: Option<Reservation>,
    mut began: Instant,
) -> Answer {
    let api = request.api();
    let admitted = match line {
        Some(line) => {
            line.first().await;
            // A long poll that the client sent before is none of this request's time.
            began = Instant::now();
            Some(large::admit(&cx, version, &request).await)
        }
        None => None,
    };
    let answered = dispatch::answer(&cx, version, request, turn).await;
    drop(reservation);
    let Some((response, held)) = answered else {
        return Answer::Close(format!("{api} version {version} is not served"));
    };
    let answer = encode(correlation_id, version, &response, held, began);
    drop(response);
    match (admitted, answer) {
        (Some(admitted), Answer::Frame(frame, _)) => {
            let held = admitted.held(frame.len()).await;
            Answer::Frame(frame, held)
        }
        (_, answer) => answer,
    }
}

fn encode(
    correlation_id: i32,
    version: i16,
    response: &Response,
    held: Option<Held>,
    began: Instant,
) -> Answer {
    telemetry::answered(response.api(), began);
    telemetry::errors(response);
    match frame::encode_any_response(correlation_id, version, response) {
        Ok(frame) => Answer::Frame(frame, held),
        Err(error) => {
            tracing::error!(api = %response.api(), version, %error, "a response can't be encoded: a defect");
            Answer::Close(format!("the answer to {} can't be encoded: {error}", response.api()))
        }
    }
}
