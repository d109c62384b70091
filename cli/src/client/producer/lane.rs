//! One partition's batches, in order.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::produce;
use siltstone_kafka::{ErrorCode, Records};
use siltstone_records::{BatchBuilder, NewRecord, Producer as ProducerTag, Scratch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::super::connection::Answer;
use super::super::error::check;
use super::super::{Connection, Error};
use super::{Delivery, Shared};

/// The last version of Produce that names topics.
const PRODUCE: i16 = 12;
/// What a server may take to answer one request.
const ANSWER: Duration = Duration::from_secs(40);
/// What a server is told that it may take.
const TIMEOUT_MS: i32 = 30_000;
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The batch that records are added to.
struct Open {
    builder: BatchBuilder,
    born: Instant,
    size: usize,
    stamps: Vec<Instant>,
}

/// A batch as it is sent, however often.
struct Batch {
    bytes: Bytes,
    records: u32,
    /// What it counts for in the buffer.
    size: usize,
    born: Instant,
    stamps: Vec<Instant>,
}

#[derive(Default)]
struct State {
    open: Option<Open>,
    ready: VecDeque<Batch>,
    sequence: i32,
    scratch: Scratch,
}

pub(super) struct Lane {
    partition: i32,
    state: Mutex<State>,
    news: Notify,
}

impl Lane {
    pub(super) fn new(partition: i32) -> Self {
        Lane { partition, state: Mutex::default(), news: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn wake(&self) {
        self.news.notify_one();
    }

    /// Adds a record of about `size` bytes; true if a batch was closed.
    pub(super) fn push(
        &self,
        shared: &Shared,
        record: &NewRecord<'_>,
        size: usize,
        due: Option<Instant>,
    ) -> Result<bool, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let full = state.open.as_ref().is_some_and(|open| open.size + size > shared.options.batch_bytes);
        if full {
            state.close(shared)?;
        }
        let opened = state.open.is_none();
        let open = state.open.get_or_insert_with(|| Open {
            builder: BatchBuilder::new().compression(shared.options.compression, None),
            born: now,
            size: 0,
            stamps: Vec::new(),
        });
        open.builder.push(record).map_err(|error| Error::Records(error.to_string()))?;
        open.size += size;
        if shared.options.stamps {
            open.stamps.push(due.unwrap_or(now));
        }
        shared.buffered.fetch_add(size, Ordering::AcqRel);
        drop(state);
        if opened || full {
            self.wake();
        }
        Ok(full)
    }
}

/// What to do next.
enum Next {
    Send(Batch),
    /// Something is there, but it may wait until then.
    Wait(Instant),
    Nothing,
}

impl State {
    /// Makes a batch of what is open. Sequences are given out here, in order.
    fn close(&mut self, shared: &Shared) -> Result<(), Error> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let records = u32::try_from(open.builder.count()).unwrap_or(u32::MAX);
        let builder = match shared.id {
            Some((id, epoch)) => {
                open.builder.producer(ProducerTag { id, epoch, base_sequence: self.sequence })
            }
            None => open.builder,
        };
        let bytes = builder.build(&mut self.scratch).map_err(|error| Error::Records(error.to_string()))?;
        // Sequences wrap to 0.
        self.sequence = self.sequence.wrapping_add(records as i32) & i32::MAX;
        self.ready.push_back(Batch { bytes, records, size: open.size, born: open.born, stamps: open.stamps });
        Ok(())
    }

    fn next(&mut self, shared: &Shared) -> Result<Next, Error> {
        if let Some(batch) = self.ready.pop_front() {
            return Ok(Next::Send(batch));
        }
        let Some(open) = &self.open else { return Ok(Next::Nothing) };
        let due = open.born + shared.options.linger;
        if due > Instant::now() && !shared.flushing.load(Ordering::Acquire) {
            return Ok(Next::Wait(due));
        }
        self.close(shared)?;
        Ok(self.ready.pop_front().map_or(Next::Nothing, Next::Send))
    }
}

type Sent = (Batch, Answer<produce::Response>);

/// The task of a lane.
pub(super) struct LaneRunner {
    lane: Arc<Lane>,
    shared: Arc<Shared>,
    under_way: VecDeque<Sent>,
    failures: u32,
    /// Whether the partition has taken a batch. Until then only one is under way: a server that knows nothing of this producer takes any
    /// first sequence, and so would take the second batch where the first was refused for a reason that passes.
    begun: bool,
}

impl LaneRunner {
    pub(super) fn new(lane: Arc<Lane>, shared: Arc<Shared>) -> Self {
        LaneRunner { lane, shared, under_way: VecDeque::new(), failures: 0, begun: false }
    }

    /// Runs until the producer is dropped or fails.
    pub(super) async fn run(mut self) {
        while self.shared.failure().is_none() {
            if let Err(error) = self.step().await {
                self.shared.fail(error);
            }
        }
    }

    fn window(&self) -> usize {
        let begun = self.begun || !self.shared.options.idempotent;
        if begun { self.shared.options.in_flight.max(1) } else { 1 }
    }

    async fn step(&mut self) -> Result<(), Error> {
        let due = self.fill().await?;
        let lane = self.lane.clone();
        let window = self.under_way.len() < self.window();
        let more = async {
            let waiting = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! { biased; () = lane.news.notified() => {}, () = waiting => {} }
        };
        let Some((_, answer)) = self.under_way.front_mut() else {
            more.await;
            return Ok(());
        };
        let result = tokio::select! {
            biased;
            result = answer.wait(ANSWER) => result,
            () = more, if window => return Ok(()),
        };
        let Some((batch, _)) = self.under_way.pop_front() else { return Ok(()) };
        match self.judge(result) {
            Ok(offset) => self.delivered(batch, offset),
            Err(error) => self.recover(batch, error).await?,
        }
        Ok(())
    }

    /// Sends while there is something and the window has room. Gives the instant at which more will be due.
    async fn fill(&mut self) -> Result<Option<Instant>, Error> {
        while self.under_way.len() < self.window() {
            let next = self.lane.lock().next(&self.shared)?;
            match next {
                Next::Wait(due) => return Ok(Some(due)),
                Next::Nothing => return Ok(None),
                Next::Send(batch) => {
                    if let Err((batch, error)) = self.send(batch).await {
                        self.recover(batch, error).await?;
                    }
                }
            }
        }
        Ok(None)
    }

    async fn send(&mut self, batch: Batch) -> Result<(), (Batch, Error)> {
        let connection: Arc<Connection> =
            match self.shared.client.leader(&self.shared.topic, self.lane.partition).await {
                Ok(connection) => connection,
                Err(error) => return Err((batch, error)),
            };
        let request = self.request(batch.bytes.clone());
        if self.shared.options.acks == 0 {
            return match connection.send_unanswered(&request, PRODUCE).await {
                Ok(()) => {
                    self.delivered(batch, -1);
                    Ok(())
                }
                Err(error) => Err((batch, error)),
            };
        }
        match connection.send(&request, PRODUCE).await {
            Ok(answer) => {
                self.under_way.push_back((batch, answer));
                Ok(())
            }
            Err(error) => Err((batch, error)),
        }
    }

    fn request(&self, bytes: Bytes) -> produce::Request {
        use produce::request::{Partition, Topic};
        let partition = Partition { index: self.lane.partition, records: Some(Records::from(bytes)) };
        let topic =
            Topic { name: self.shared.topic.clone(), partition_data: vec![partition], ..Default::default() };
        produce::Request {
            transactional_id: None,
            acks: self.shared.options.acks,
            timeout_ms: TIMEOUT_MS,
            topic_data: vec![topic],
        }
    }

    fn judge(&self, result: Result<produce::Response, Error>) -> Result<i64, Error> {
        let mut answers = result?.responses.into_iter().flat_map(|topic| topic.partition_responses);
        let what = || format!("writing to {}/{}", self.shared.topic, self.lane.partition);
        let Some(answer) = answers.next() else {
            return Err(Error::Records(format!("{}: the server's answer is empty", what())));
        };
        let code = answer.error_code;
        // It is written already: the answer to an earlier sending was lost.
        if ErrorCode::from_code(code) == Some(ErrorCode::DuplicateSequenceNumber) {
            return Ok(answer.base_offset);
        }
        check(what, code, answer.error_message.as_deref())?;
        Ok(answer.base_offset)
    }

    fn delivered(&mut self, batch: Batch, base_offset: i64) {
        (self.failures, self.begun) = (0, true);
        let records = batch.records;
        (self.shared.on_delivery)(Delivery {
            partition: self.lane.partition,
            base_offset,
            records,
            bytes: batch.bytes.len(),
            sent: batch.stamps,
        });
        self.shared.delivered.fetch_add(i64::from(records), Ordering::AcqRel);
        self.shared.release(batch.size);
    }

    /// Waits for all that is under way, then puts back what is missing, so that it is sent again in order.
    async fn recover(&mut self, first: Batch, error: Error) -> Result<(), Error> {
        let deadline = first.born + self.shared.options.delivery_timeout;
        if !error.is_retriable() || Instant::now() >= deadline {
            return Err(error);
        }
        let mut missing = VecDeque::from([first]);
        while let Some((batch, mut answer)) = self.under_way.pop_front() {
            let result = answer.wait(ANSWER).await;
            match self.judge(result) {
                Ok(offset) => self.delivered(batch, offset),
                // What follows a batch that is missing is out of order until that one is there.
                Err(error)
                    if error.is_retriable() || error.code() == Some(ErrorCode::OutOfOrderSequenceNumber) =>
                {
                    missing.push_back(batch);
                }
                Err(error) => return Err(error),
            }
        }
        {
            let mut state = self.lane.lock();
            while let Some(batch) = missing.pop_back() {
                state.ready.push_front(batch);
            }
        }
        tracing::debug!(%error, partition = self.lane.partition, "sending again");
        self.pause().await;
        // Its failure shows when the leader is asked for.
        let _ = self.shared.client.topics(Some(&[&self.shared.topic]), false).await;
        Ok(())
    }

    async fn pause(&mut self) {
        let pause = FIRST_PAUSE.saturating_mul(1 << self.failures.min(6)).min(LONGEST_PAUSE);
        self.failures += 1;
        tokio::time::sleep(pause).await;
    }
}
