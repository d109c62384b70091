//! Reading requests from a socket: a size in four bytes, then so many bytes.
//!
//! Guarantees: memory for a request is reserved before its body is read, from the write budget for Produce and from one of its own for
//! all else, so that heartbeats and fetches go on while producers wait (S11). A large request lies in an allocation of exactly its size,
//! read into without a copy; small ones share a buffer, but for Produce, whose batches stay in memory and must not pin more than themselves.
//! An idle connection holds no buffer.

use std::io;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use siltstone_kafka::ApiKey;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::Instant;

use crate::produce::{Budget, Reservation};

/// Requests up to this are read through the shared buffer.
const SMALL: usize = 16 << 10;
/// Read at once after a small request.
const READ: usize = 16 << 10;
/// Read at once after a large request: what is read here of the next large one is copied.
const PEEK: usize = 256;
/// While others wait for memory, a request that holds some has to come at this rate, bytes a second ...
const SLOWEST: usize = 16 << 10;
/// ... after so long.
const GRACE: Duration = Duration::from_secs(2);
/// So often it is looked whether others wait.
const LOOK: Duration = Duration::from_millis(500);
const SIZE_LEN: usize = 4;
/// API key, version, correlation id.
const HEAD_LEN: usize = 8;
/// Requests other than Produce up to this size need no reservation: a connection has few of them.
const FREE: usize = 4 << 10;
/// Requests other than Produce may not be larger, whatever socket.request.max.bytes says: 100,000 topics or partitions fit well.
const MOST_OTHERS: usize = 16 << 20;
/// What a request takes in memory once decoded, times its size, at most: the decoder is told so. Produce is mostly records, which stay
/// slices.
const DECODED: usize = 8;
const MOST_DECODED: usize = 64 << 20;

/// Why there is no further request.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadEnd {
    /// The client has closed the connection.
    #[error("closed by the client")]
    Closed,
    /// In the middle of a request.
    #[error("closed by the client in the middle of a request")]
    Truncated,
    /// The connection broke.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// The size can't be one.
    #[error(
        "a request of {size} bytes; the limit (socket.request.max.bytes, less for all but Produce) is {max}"
    )]
    Size {
        /// As it was sent.
        size: i32,
        /// What is allowed.
        max: usize,
    },
    /// Nothing came for too long.
    #[error("idle for {0:?} (connections.max.idle.ms)")]
    Idle(Duration),
    /// A request comes so slowly that others wait for the memory that it holds.
    #[error("a request came slower than {SLOWEST} bytes a second while others waited for memory")]
    Slow,
    /// A request began and did not go on.
    #[error("nothing came for {0:?} in the middle of a request")]
    Stalled(Duration),
}

/// The bounds on requests in memory.
#[derive(Debug, Clone)]
pub(super) struct RequestBudgets {
    /// For Produce: the writer's.
    pub(super) produce: Budget,
    /// For everything else.
    pub(super) others: Budget,
}

impl RequestBudgets {
    async fn reserve(&self, api: i16, size: usize) -> Option<(Reservation, Pace<'_>)> {
        let (budget, bytes) = if api == ApiKey::Produce.code() {
            (&self.produce, size)
        } else if size > FREE {
            (&self.others, size * (1 + DECODED))
        } else {
            return None;
        };
        let reservation = budget.reserve(bytes).await;
        Some((reservation, Pace { budget, began: Instant::now() }))
    }
}

/// Of a request that holds memory of a budget: whoever sends slowly may do so until others need it.
struct Pace<'a> {
    budget: &'a Budget,
    began: Instant,
}

impl Pace<'_> {
    /// Whether `have` bytes are too few by now.
    fn is_slow(&self, have: usize) -> bool {
        let due = GRACE + Duration::from_secs((have / SLOWEST) as u64);
        // Who waits takes what there is: something is left only if nobody does.
        self.budget.available() == 0 && self.began.elapsed() > due
    }
}

/// What a request of `size` bytes may take in memory beside its bytes.
pub(super) fn decoded_limit(api: ApiKey, size: usize) -> usize {
    let times = if api == ApiKey::Produce { 2 } else { DECODED };
    (64 << 10) + (times * size).min(MOST_DECODED)
}

/// How long to wait, and how much to take.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadLimits {
    /// Largest request.
    pub(super) max: usize,
    /// Between requests; `None` is for ever.
    pub(super) idle: Option<Duration>,
    /// Within a request.
    pub(super) stall: Duration,
}

/// A request as it came, without its size.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Header and body.
    pub(super) frame: Bytes,
    /// The memory that it takes.
    pub(super) reservation: Option<Reservation>,
}

/// Reads requests from one connection.
#[derive(Debug)]
pub(super) struct FrameReader {
    stream: OwnedReadHalf,
    buffer: BytesMut,
    after_large: bool,
}

impl FrameReader {
    pub(super) fn new(stream: OwnedReadHalf) -> Self {
        FrameReader { stream, buffer: BytesMut::new(), after_large: false }
    }

    /// The next request.
    pub(super) async fn next(
        &mut self,
        limits: &ReadLimits,
        budgets: &RequestBudgets,
    ) -> Result<Incoming, ReadEnd> {
        self.fill(SIZE_LEN, limits, None).await?;
        let size = i32::from_be_bytes([self.buffer[0], self.buffer[1], self.buffer[2], self.buffer[3]]);
        let length = usize::try_from(size).ok().filter(|size| *size <= limits.max);
        let Some(length) = length else { return Err(ReadEnd::Size { size, max: limits.max }) };
        self.fill(SIZE_LEN + length.min(HEAD_LEN), limits, None).await?;
        let api = match self.buffer.get(SIZE_LEN..SIZE_LEN + 2) {
            Some(&[high, low]) => i16::from_be_bytes([high, low]),
            _ => -1, // too short for any request: decoding says so
        };
        if api != ApiKey::Produce.code() && length > MOST_OTHERS {
            return Err(ReadEnd::Size { size, max: MOST_OTHERS });
        }
        let (reservation, pace) = budgets.reserve(api, length).await.unzip();
        self.after_large = length > SMALL;
        let frame = if self.after_large {
            self.large(length, limits, pace.as_ref()).await?
        } else {
            self.fill(SIZE_LEN + length, limits, pace.as_ref()).await?;
            self.buffer.advance(SIZE_LEN);
            let frame = self.buffer.split_to(length);
            if api == ApiKey::Produce.code() { Bytes::copy_from_slice(&frame) } else { frame.freeze() }
        };
        Ok(Incoming { frame, reservation })
    }

    async fn large(
        &mut self,
        length: usize,
        limits: &ReadLimits,
        pace: Option<&Pace<'_>>,
    ) -> Result<Bytes, ReadEnd> {
        self.buffer.advance(SIZE_LEN);
        let mut body = BytesMut::with_capacity(length);
        let have = self.buffer.len().min(length);
        body.extend_from_slice(&self.buffer.split_to(have));
        while body.len() < length {
            let left = length - body.len();
            match there(self.stream.try_read_buf(&mut (&mut body).limit(left)))? {
                Some(0) => return Err(ReadEnd::Truncated),
                Some(_) => {}
                None => self.go_on(limits.stall, pace, body.len()).await?,
            }
        }
        Ok(body.freeze())
    }

    /// Reads until the buffer holds `least` bytes, and what else there is.
    async fn fill(
        &mut self,
        least: usize,
        limits: &ReadLimits,
        pace: Option<&Pace<'_>>,
    ) -> Result<(), ReadEnd> {
        while self.buffer.len() < least {
            let most = if self.after_large { PEEK } else { READ }.max(least - self.buffer.len());
            self.buffer.reserve(most);
            match there(self.stream.try_read_buf(&mut (&mut self.buffer).limit(most)))? {
                Some(0) if self.buffer.is_empty() => return Err(ReadEnd::Closed),
                Some(0) => return Err(ReadEnd::Truncated),
                Some(_) => {}
                None if self.buffer.is_empty() => {
                    self.buffer = BytesMut::new();
                    self.wait(limits.idle, ReadEnd::Idle).await?;
                }
                None => self.go_on(limits.stall, pace, self.buffer.len()).await?,
            }
        }
        Ok(())
    }

    /// Waits for the rest of a request, of which `have` bytes are there.
    async fn go_on(&self, stall: Duration, pace: Option<&Pace<'_>>, have: usize) -> Result<(), ReadEnd> {
        let Some(pace) = pace else { return self.wait(Some(stall), ReadEnd::Stalled).await };
        let deadline = Instant::now() + stall;
        loop {
            if pace.is_slow(have) {
                return Err(ReadEnd::Slow);
            }
            match tokio::time::timeout(LOOK, self.stream.readable()).await {
                Ok(readable) => return Ok(readable?),
                Err(_) if Instant::now() >= deadline => return Err(ReadEnd::Stalled(stall)),
                Err(_) => {}
            }
        }
    }

    async fn wait(&self, patience: Option<Duration>, end: fn(Duration) -> ReadEnd) -> Result<(), ReadEnd> {
        match patience {
            None => Ok(self.stream.readable().await?),
            Some(patience) => match tokio::time::timeout(patience, self.stream.readable()).await {
                Ok(readable) => Ok(readable?),
                Err(_) => Err(end(patience)),
            },
        }
    }
}

/// `None` if there is nothing to read now.
fn there(read: io::Result<usize>) -> io::Result<Option<usize>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
