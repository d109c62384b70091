//! Writing to one topic: records gather into batches by partition, and go out pipelined.
//!
//! ```text
//! send() ─▶ lane's open batch ─ full, or old enough ─▶ ready ─▶ up to five requests under way ─▶ delivered
//! ```
//!
//! Each partition has a lane: a task that keeps its batches in order. After a failure that may pass, a lane waits for all of its
//! requests, then sends again what is missing, in order, under the same sequence numbers. An error that can't pass ends the
//! whole producer: nothing later is written past a hole.

mod lane;

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rand::Rng;
use siltstone_kafka::init_producer_id;
use siltstone_records::{Compression, NewHeader, NewRecord};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::cluster::PATIENCE;
use super::error::check;
use super::{Client, Error, Topic, partition_of_key};
use lane::{Lane, LaneRunner};

/// Bytes that a record takes beside key and value, at most, and each header beside its own.
const OVERHEAD: usize = 32;

/// How to write.
#[derive(Debug, Clone)]
pub struct ProducerOptions {
    /// A batch is closed when its records reach so many bytes, before compression.
    pub batch_bytes: usize,
    /// How long a batch waits for more records.
    pub linger: Duration,
    /// 0: no answer, 1 and -1: durable.
    pub acks: i16,
    /// How batches are compressed.
    pub compression: Compression,
    /// Whether each record is written once, whatever happens to connections. Needs acks=-1.
    pub idempotent: bool,
    /// Requests of one partition under way at once; at most 5 if idempotent.
    pub in_flight: usize,
    /// Bytes that may wait to be written; beyond it [`Producer::send`] waits.
    pub buffer_bytes: usize,
    /// How long a batch is tried.
    pub delivery_timeout: Duration,
    /// Keep the instant at which each record was due, for [`Delivery::sent`].
    pub stamps: bool,
}

impl Default for ProducerOptions {
    fn default() -> Self {
        ProducerOptions {
            batch_bytes: 256 << 10,
            linger: Duration::from_millis(5),
            acks: -1,
            compression: Compression::None,
            idempotent: true,
            in_flight: 5,
            buffer_bytes: 32 << 20,
            delivery_timeout: Duration::from_secs(120),
            stamps: false,
        }
    }
}

/// A record to write, borrowed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Record<'a> {
    /// Where to; else by key, or if there is none wherever a batch is open.
    pub partition: Option<i32>,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// Key or null.
    pub key: Option<&'a [u8]>,
    /// Value or null.
    pub value: Option<&'a [u8]>,
    /// Headers, in order.
    pub headers: &'a [NewHeader<'a>],
    /// When it should have been sent, for [`Delivery::sent`]. Default: when it is.
    pub due: Option<Instant>,
}

/// A batch that was written.
#[derive(Debug)]
pub struct Delivery {
    /// The partition.
    pub partition: i32,
    /// The offset of its first record; -1 with acks=0.
    pub base_offset: i64,
    /// How many records.
    pub records: u32,
    /// Bytes of the batch as sent.
    pub bytes: usize,
    /// When each record was due, if the options ask for it.
    pub sent: Vec<Instant>,
}

type OnDelivery = Box<dyn Fn(Delivery) + Send + Sync>;

/// What the lanes share.
struct Shared {
    client: Client,
    topic: String,
    options: ProducerOptions,
    id: Option<(i64, i16)>,
    buffered: AtomicUsize,
    /// Lanes are to send what they have, however young.
    flushing: AtomicBool,
    room: Notify,
    failed: Mutex<Option<Error>>,
    on_delivery: OnDelivery,
    delivered: AtomicI64,
}

impl Shared {
    fn failure(&self) -> Option<Error> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fail(&self, error: Error) {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.room.notify_waiters();
    }

    fn release(&self, bytes: usize) {
        self.buffered.fetch_sub(bytes, Ordering::AcqRel);
        self.room.notify_waiters();
    }
}

/// Writes to one topic. Dropping it drops what is not yet written: see [`Producer::flush`].
pub struct Producer {
    shared: Arc<Shared>,
    lanes: Vec<Arc<Lane>>,
    sticky: AtomicUsize,
    _tasks: JoinSet<()>,
}

impl std::fmt::Debug for Producer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Producer({})", self.shared.topic)
    }
}

impl Producer {
    /// A producer for `topic`, which the client has described. `on_delivery` is called for each batch once it is written, in the order
    /// of a partition's batches; it must not wait.
    ///
    /// # Errors
    /// If the server gives no producer id.
    pub async fn open(
        client: &Client,
        topic: &Topic,
        options: ProducerOptions,
        on_delivery: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Result<Producer, Error> {
        let id = if options.idempotent { Some(producer_id(client).await?) } else { None };
        let shared = Arc::new(Shared {
            client: client.clone(),
            topic: topic.name.clone(),
            options,
            id,
            buffered: AtomicUsize::new(0),
            flushing: AtomicBool::new(false),
            room: Notify::new(),
            failed: Mutex::new(None),
            on_delivery: Box::new(on_delivery),
            delivered: AtomicI64::new(0),
        });
        let mut tasks = JoinSet::new();
        let lane = |partition: &super::Partition| Arc::new(Lane::new(partition.index));
        let lanes: Vec<Arc<Lane>> = topic.partitions.iter().map(lane).collect();
        for lane in &lanes {
            tasks.spawn(LaneRunner::new(lane.clone(), shared.clone()).run());
        }
        let sticky = AtomicUsize::new(rand::rng().random_range(0..lanes.len().max(1)));
        Ok(Producer { shared, lanes, sticky, _tasks: tasks })
    }

    /// Takes a record, and waits while too much is on its way. It is written later: see [`Producer::flush`].
    ///
    /// # Errors
    /// If the record can't be encoded, the partition is none, or the producer has failed.
    pub async fn send(&self, record: Record<'_>) -> Result<(), Error> {
        self.wait_until(|buffered| buffered < self.shared.options.buffer_bytes).await?;
        let at = self.place(&record)?;
        let new = NewRecord {
            timestamp: record.timestamp,
            key: record.key,
            value: record.value,
            headers: record.headers,
        };
        let headers: usize =
            record.headers.iter().map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len)).sum();
        let size = record.key.map_or(0, <[u8]>::len)
            + record.value.map_or(0, <[u8]>::len)
            + headers
            + OVERHEAD * (1 + record.headers.len());
        let closed_one = self.lanes[at].push(&self.shared, &new, size, record.due)?;
        if closed_one && record.key.is_none() && record.partition.is_none() {
            let next = rand::rng().random_range(0..self.lanes.len());
            self.sticky.store(next, Ordering::Relaxed);
        }
        Ok(())
    }

    fn place(&self, record: &Record<'_>) -> Result<usize, Error> {
        let count = self.lanes.len();
        match (record.partition, record.key) {
            (Some(partition), _) => {
                let at = usize::try_from(partition).ok().filter(|at| *at < count);
                at.ok_or_else(|| {
                    let topic = &self.shared.topic;
                    Error::Records(format!(
                        "topic {topic} has no partition {partition}: they are 0 to {}",
                        count - 1
                    ))
                })
            }
            (None, Some(key)) => Ok(partition_of_key(key, count)),
            (None, None) => Ok(self.sticky.load(Ordering::Relaxed).min(count - 1)),
        }
    }

    async fn wait_until(&self, done: impl Fn(usize) -> bool) -> Result<(), Error> {
        loop {
            let room = self.shared.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if let Some(error) = self.shared.failure() {
                return Err(error);
            }
            if done(self.shared.buffered.load(Ordering::Acquire)) {
                return Ok(());
            }
            room.await;
        }
    }

    /// Records that were written so far.
    pub fn delivered(&self) -> i64 {
        self.shared.delivered.load(Ordering::Acquire)
    }

    /// Sends what is there without waiting for more, and returns once all of it is written.
    ///
    /// # Errors
    /// Why the producer failed.
    pub async fn flush(&self) -> Result<(), Error> {
        self.shared.flushing.store(true, Ordering::Release);
        self.lanes.iter().for_each(|lane| lane.wake());
        let flushed = self.wait_until(|buffered| buffered == 0).await;
        self.shared.flushing.store(false, Ordering::Release);
        flushed
    }
}

/// A new id; asked for again while the server is not ready to give one.
async fn producer_id(client: &Client) -> Result<(i64, i16), Error> {
    let request = init_producer_id::Request {
        transactional_id: None,
        transaction_timeout_ms: 60_000,
        ..Default::default()
    };
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = client.ask(&request, 5).await?;
        match check(|| "asking for a producer id".to_owned(), answer.error_code, None) {
            Ok(()) => return Ok((answer.producer_id, answer.producer_epoch)),
            Err(error) if !error.is_retriable() || Instant::now() > until => return Err(error),
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}
