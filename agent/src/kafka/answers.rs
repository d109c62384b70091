//! Answers: what a request becomes, and writing them in the order of the requests.
//!
//! Guarantees: responses leave in the order in which their requests came; chunks of records are written as they lie, many in one call; what
//! can't be written in time ends the connection, so that a client that doesn't read can't hold memory for ever (S11).

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::{FuturesOrdered, StreamExt};
use siltstone_kafka::Frame;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::connection::End;
use super::held::Held;
use super::telemetry;

/// Chunks in one call to the kernel, at most.
const SLICES: usize = 128;
/// Ready responses are written together up to so many bytes.
const TOGETHER: usize = 1 << 20;
/// A client must take at least so many bytes a second of an answer that has had its time.
const SLOWEST: usize = 64 << 10;

/// A client that takes nothing at all for so long loses its connection if others wait for the memory that its answers hold.
const YIELD: Duration = Duration::from_secs(3);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What comes of a request.
pub(super) enum Answer {
    /// A response, and the memory that it holds until it is written.
    Frame(Frame, Option<Held>),
    /// Only the end of the connection tells the client what it must know.
    Close(String),
}

/// What writing goes by.
pub(super) struct Rules {
    /// Requests that are worked on at once.
    pub(super) in_flight: usize,
    /// An answer must be written within this time.
    pub(super) patience: Duration,
    /// Told how many answers are written.
    pub(super) written: watch::Sender<u64>,
}

/// An answer on its way.
pub(super) type Pending = BoxFuture<'static, Answer>;

/// Takes pending answers and writes them, until there are no more.
pub(super) async fn write_all(
    stream: OwnedWriteHalf,
    mut requests: mpsc::Receiver<Pending>,
    in_flight: &AtomicUsize,
    rules: Rules,
) -> End {
    let mut pending = FuturesOrdered::new();
    let mut open = true;
    let mut out = Out { chunks: VecDeque::new(), bytes: 0, held: Vec::new() };
    loop {
        let first = tokio::select! {
            biased;
            Some(answer) = pending.next(), if !pending.is_empty() => answer,
            request = requests.recv(), if open && pending.len() < rules.in_flight => {
                match request {
                    Some(request) => {
                        pending.push_back(request);
                        in_flight.store(pending.len(), Ordering::Relaxed);
                    }
                    None => open = false,
                }
                continue;
            }
            else => return End::Drained,
        };
        let mut end = out.add(first);
        let mut answers = 1;
        while end.is_none() && out.bytes < TOGETHER {
            let Some(Some(answer)) = pending.next().now_or_never() else { break };
            end = out.add(answer);
            answers += 1;
        }
        in_flight.store(pending.len(), Ordering::Relaxed);
        if let Err(error) = out.write(&stream, &rules).await {
            return End::Write(error);
        }
        rules.written.send_modify(|written| *written += answers);
        if let Some(why) = end {
            return End::Answer(why);
        }
    }
}

/// Chunks to be written.
struct Out {
    chunks: VecDeque<Bytes>,
    bytes: usize,
    held: Vec<Held>,
}

impl Out {
    /// Adds an answer; says why the connection has to end, if so.
    fn add(&mut self, answer: Answer) -> Option<String> {
        match answer {
            Answer::Frame(frame, held) => {
                self.bytes += frame.len();
                self.chunks.extend(frame.into_chunks());
                self.held.extend(held);
                None
            }
            Answer::Close(why) => Some(why),
        }
    }

    async fn write(&mut self, stream: &OwnedWriteHalf, rules: &Rules) -> io::Result<()> {
        telemetry::sent(self.bytes);
        let seconds = (self.bytes / SLOWEST) as u64;
        let mut moved = Instant::now();
        let deadline = moved + rules.patience + Duration::from_secs(seconds);
        while !self.chunks.is_empty() {
            match self.write_some(stream) {
                Ok(()) => moved = Instant::now(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let look = deadline.min(Instant::now() + LOOK);
                    match tokio::time::timeout_at(look, stream.writable()).await {
                        Ok(writable) => writable?,
                        Err(_) => self.may_wait(moved, deadline)?,
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.bytes = 0;
        self.held.clear();
        Ok(())
    }

    /// Whether a client that takes nothing may go on so.
    fn may_wait(&self, moved: Instant, deadline: Instant) -> io::Result<()> {
        let now = Instant::now();
        let wanted = self.held.iter().find_map(Held::wanted).filter(|_| now >= moved + YIELD);
        let why = if now >= deadline {
            "the client does not read its answers".to_owned()
        } else if let Some(setting) = wanted {
            format!("the client does not read, and others wait for the memory of its answers ({setting})")
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    }

    fn write_some(&mut self, stream: &OwnedWriteHalf) -> io::Result<()> {
        let mut slices = [IoSlice::new(&[]); SLICES];
        let mut count = 0;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            *slice = IoSlice::new(chunk);
            count += 1;
        }
        let mut written = stream.try_write_vectored(&slices[..count])?;
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        while let Some(front) = self.chunks.front_mut() {
            if written < front.len() {
                front.advance(written);
                break;
            }
            written -= front.len();
            self.chunks.pop_front();
        }
        Ok(())
    }
}
