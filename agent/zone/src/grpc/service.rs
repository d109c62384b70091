//! The service: pages out of this agent's cache, for others.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use siltstone_objects::ReadError;
use siltstone_objects::cache::{PageCache, Rope};
use siltstone_peer::{Ask, Chunk, ReadRequest, chunks, pages_server};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::{Request, Response, Status};

use super::activity::Open;
use crate::{Identity, telemetry};

/// Answers are bounded in units of this many bytes.
const UNIT: u64 = 1024;
/// Nobody is waited for longer, whatever patience they have.
pub(super) const LONGEST: Duration = Duration::from_secs(30);

/// What an agent gives to others. A cheap clone.
#[derive(Clone)]
pub struct Pages {
    shared: Arc<Shared>,
}

struct Shared {
    identity: Identity,
    /// What is missing in it is read from the bucket, never from another agent.
    cache: PageCache,
    /// Bytes of answers on their way, in units.
    answers: Arc<Semaphore>,
    units: u32,
}

impl Pages {
    /// Gives what this cache has or reads from its source, which must ask no other agent. Answers on their way hold at most `answer_bytes`; a page that is
    /// larger passes alone.
    pub fn new(identity: Identity, cache: PageCache, answer_bytes: u64) -> Self {
        let units = u32::try_from(answer_bytes / UNIT).unwrap_or(u32::MAX).max(1);
        let answers = Arc::new(Semaphore::new(units as usize));
        Pages { shared: Arc::new(Shared { identity, cache, answers, units }) }
    }

    /// Bytes of answers that are on their way.
    pub fn serving(&self) -> u64 {
        (u64::from(self.shared.units) - self.shared.answers.available_permits() as u64) * UNIT
    }

    /// Refuses who is not of this cluster, or means another agent than this one.
    fn check(&self, ask: &Ask) -> Result<(), Status> {
        let Identity { cluster, incarnation, own } = &self.shared.identity;
        let refuse = |what: &str| Err(Status::failed_precondition(what));
        if ask.cluster != *cluster {
            return refuse("this agent belongs to another cluster");
        }
        if ask.incarnation != *incarnation {
            return refuse("this agent belongs to another incarnation of the cluster");
        }
        if ask.receiver != *own {
            return refuse("the agent that was here is gone");
        }
        Ok(())
    }

    async fn read(&self, ask: &Ask) -> Result<Held, Status> {
        let units =
            u32::try_from(ask.wanted().div_ceil(UNIT)).unwrap_or(u32::MAX).clamp(1, self.shared.units);
        let permit = self.shared.answers.clone().acquire_many_owned(units).await;
        let room = Room::new(permit.map_err(|_| Status::unavailable("stopping"))?);
        let rope: Rope =
            self.shared.cache.read(ask.segment, ask.range.clone()).await.map_err(|error| unread(&error))?;
        Ok(Held { chunks: Box::new(chunks(rope.into_pieces())), _room: room })
    }
}

fn unread(error: &ReadError) -> Status {
    let reason = error.to_string();
    match error {
        ReadError::NotFound { .. } => Status::not_found(reason),
        ReadError::Corrupt { .. } => Status::data_loss(reason),
        ReadError::Refused { .. } | ReadError::Unavailable { .. } => Status::aborted(reason),
    }
}

/// Room for an answer.
struct Room {
    permit: OwnedSemaphorePermit,
}

impl Room {
    fn new(permit: OwnedSemaphorePermit) -> Self {
        telemetry::serving(permit.num_permits() as f64 * UNIT as f64);
        Room { permit }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        telemetry::serving(-(self.permit.num_permits() as f64 * UNIT as f64));
    }
}

/// An answer's bytes, and the room that they take.
struct Held {
    chunks: Box<dyn Iterator<Item = Chunk> + Send>,
    _room: Room,
}

enum Sending {
    Going(Held),
    Over,
    /// Its asker has stopped waiting.
    Late,
}

/// An answer on its way. What it holds is let go at the deadline, also if nobody takes it: an asker that reads nothing would have it held for ever.
pub struct Answer {
    sending: Arc<Mutex<Sending>>,
    watch: tokio::task::JoinHandle<()>,
    _open: Option<Open>,
}

fn lock(sending: &Mutex<Sending>) -> MutexGuard<'_, Sending> {
    sending.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Answer {
    fn new(held: Held, deadline: Instant, open: Option<Open>) -> Self {
        let sending = Arc::new(Mutex::new(Sending::Going(held)));
        let watched = sending.clone();
        let watch = tokio::spawn(async move {
            sleep_until(deadline).await;
            let mut sending = lock(&watched);
            if matches!(*sending, Sending::Going(_)) {
                *sending = Sending::Late;
            }
        });
        Answer { sending, watch, _open: open }
    }
}

impl Stream for Answer {
    type Item = Result<Chunk, Status>;

    fn poll_next(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut sending = lock(&self.sending);
        let next = match &mut *sending {
            Sending::Going(held) => held.chunks.next().map(Ok),
            Sending::Over => None,
            Sending::Late => {
                telemetry::served("late");
                *sending = Sending::Over;
                return Poll::Ready(Some(Err(Status::deadline_exceeded("it was not taken in time"))));
            }
        };
        match &next {
            Some(Ok(chunk)) => telemetry::sent(Bytes::len(&chunk.data)),
            _ if matches!(*sending, Sending::Going(_)) => {
                telemetry::served("ok");
                *sending = Sending::Over;
            }
            _ => {}
        }
        Poll::Ready(next)
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        // The watch holds it, too, until it has ended.
        *lock(&self.sending) = Sending::Over;
        self.watch.abort();
    }
}

#[tonic::async_trait]
impl pages_server::Pages for Pages {
    type ReadStream = Answer;

    async fn read(&self, request: Request<ReadRequest>) -> Result<Response<Answer>, Status> {
        let begun = Instant::now();
        let refused = |status: Status| {
            telemetry::served("refused");
            status
        };
        let ask = Ask::decode(request.get_ref());
        let ask = ask.map_err(|error| refused(Status::invalid_argument(error.to_string())))?;
        self.check(&ask).map_err(refused)?;
        let deadline = begun + Duration::from_millis(u64::from(ask.patience_ms)).min(LONGEST);
        let held = timeout_at(deadline, Pages::read(self, &ask)).await.map_err(|_| {
            telemetry::served("late");
            Status::deadline_exceeded("it could not be read in time")
        })?;
        let held = held.inspect_err(|_| telemetry::served("unread"))?;
        let open = request.extensions().get::<Open>().cloned();
        Ok(Response::new(Answer::new(held, deadline, open)))
    }
}

#[cfg(test)]
#[path = "service_tests.rs"]
mod tests;
