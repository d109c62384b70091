//! Reading one topic: batches as the server keeps them, partition by partition, with one fetch ahead of the reader.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_kafka::fetch;
use siltstone_kafka::fetch::request::{Partition, Topic};
use siltstone_records::{Batch, FrameError, batches};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::error::check;
use super::{Client, Error};

/// The last version of Fetch that names topics.
const FETCH: i16 = 12;
/// Answers that wait for the reader.
const AHEAD: usize = 1;
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How to read.
#[derive(Debug, Clone)]
pub struct ConsumerOptions {
    /// How long a server may wait for new records.
    pub max_wait: Duration,
    /// Bytes that are worth an answer.
    pub min_bytes: i32,
    /// Bytes of an answer.
    pub max_bytes: i32,
    /// Bytes of one partition in an answer.
    pub partition_bytes: i32,
    /// Give up after so long without any answer. `None`: try for ever.
    pub give_up: Option<Duration>,
}

impl Default for ConsumerOptions {
    fn default() -> Self {
        ConsumerOptions {
            max_wait: Duration::from_millis(500),
            min_bytes: 1,
            max_bytes: 16 << 20,
            partition_bytes: 4 << 20,
            give_up: None,
        }
    }
}

/// What a fetch brought of one partition.
#[derive(Debug)]
pub struct Polled {
    /// The partition.
    pub partition: i32,
    /// Records below this offset were asked for already: batches are whole, so the first may begin with such.
    pub from: i64,
    /// In order; control batches are among them.
    pub batches: Vec<Batch>,
    /// The end of the partition as the server saw it.
    pub high_watermark: i64,
}

impl Polled {
    /// The offset behind the last batch.
    pub fn end(&self) -> i64 {
        self.batches.last().map_or(self.from, |last| last.base_offset + i64::from(last.last_offset_delta) + 1)
    }
}

/// Reads partitions of one topic. Dropping it ends its fetches.
#[derive(Debug)]
pub struct Consumer {
    polled: mpsc::Receiver<Result<Polled, Error>>,
    _task: JoinSet<()>,
}

impl Consumer {
    /// Reads each of these partitions of `topic` from the offset given with it. The client has described the topic.
    pub fn open(
        client: &Client,
        topic: &str,
        from: BTreeMap<i32, i64>,
        options: ConsumerOptions,
    ) -> Consumer {
        let (sender, polled) = mpsc::channel(AHEAD);
        let fetcher = Fetcher {
            client: client.clone(),
            topic: topic.to_owned(),
            options,
            positions: Mutex::new(from),
            sender,
        };
        let mut task = JoinSet::new();
        task.spawn(Arc::new(fetcher).run());
        Consumer { polled, _task: task }
    }

    /// The next records. Never empty; `None` after an error.
    ///
    /// # Errors
    /// One that does not pass by itself.
    pub async fn next(&mut self) -> Option<Result<Polled, Error>> {
        self.polled.recv().await
    }
}

struct Fetcher {
    client: Client,
    topic: String,
    options: ConsumerOptions,
    positions: Mutex<BTreeMap<i32, i64>>,
    sender: mpsc::Sender<Result<Polled, Error>>,
}

impl Fetcher {
    fn positions(&self) -> MutexGuard<'_, BTreeMap<i32, i64>> {
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run(self: Arc<Self>) {
        let mut pause = Duration::from_millis(20);
        let mut silent_since = None;
        loop {
            let began = tokio::time::Instant::now();
            let error = self.clone().fetch_all().await;
            if began.elapsed() > LONGEST_PAUSE * 2 {
                // It went well for a while.
                (silent_since, pause) = (None, Duration::from_millis(20));
            }
            let since = *silent_since.get_or_insert_with(tokio::time::Instant::now);
            let gave_up = self.options.give_up.is_some_and(|limit| since.elapsed() >= limit);
            if !error.is_retriable() || gave_up {
                let _ = self.sender.send(Err(error)).await;
                return;
            }
            tracing::debug!(%error, "fetching again");
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // Its failure shows when the leaders are asked for.
            let _ = self.client.topics(Some(&[&self.topic]), false).await;
        }
    }

    /// One loop for each leader, until one of them meets an error.
    async fn fetch_all(self: Arc<Self>) -> Error {
        let mut by_leader: BTreeMap<String, Vec<i32>> = BTreeMap::new();
        let partitions: Vec<i32> = self.positions().keys().copied().collect();
        for partition in partitions {
            match self.client.leader(&self.topic, partition).await {
                Ok(leader) => by_leader.entry(leader.address().to_owned()).or_default().push(partition),
                Err(error) => return error,
            }
        }
        let mut loops = JoinSet::new();
        for (address, partitions) in by_leader {
            loops.spawn(self.clone().fetch_from(address, partitions));
        }
        match loops.join_next().await {
            Some(Ok(error)) => error,
            Some(Err(error)) => Error::Records(format!("a fetch ended unexpectedly: {error}")),
            None => Error::Records("there is no partition to read".to_owned()),
        }
    }

    async fn fetch_from(self: Arc<Self>, address: String, mut partitions: Vec<i32>) -> Error {
        loop {
            match self.fetch_once(&address, &partitions).await {
                // Whoever came first last time comes last now, so that a full answer starves nobody.
                Ok(()) => partitions.rotate_left(1),
                Err(error) => return error,
            }
        }
    }

    async fn fetch_once(&self, address: &str, partitions: &[i32]) -> Result<(), Error> {
        let connection = self.client.connect(address).await?;
        let request = self.request(partitions);
        let patience = self.options.max_wait + Duration::from_secs(30);
        let answer = connection.call(&request, FETCH, patience).await?;
        check(|| format!("reading {}", self.topic), answer.error_code, None)?;
        for found in answer.responses.into_iter().flat_map(|topic| topic.partitions) {
            let what = || format!("reading {}/{}", self.topic, found.partition_index);
            check(what, found.error_code, None)?;
            self.hand_over(found).await?;
        }
        Ok(())
    }

    fn request(&self, partitions: &[i32]) -> fetch::Request {
        let positions = self.positions();
        let partition = |index: &i32| Partition {
            partition: *index,
            fetch_offset: positions.get(index).copied().unwrap_or_default(),
            partition_max_bytes: self.options.partition_bytes,
            ..Default::default()
        };
        let partitions = partitions.iter().map(partition).collect();
        fetch::Request {
            max_wait_ms: i32::try_from(self.options.max_wait.as_millis()).unwrap_or(i32::MAX),
            min_bytes: self.options.min_bytes,
            max_bytes: self.options.max_bytes,
            topics: vec![Topic { topic: self.topic.clone(), partitions, ..Default::default() }],
            ..Default::default()
        }
    }

    /// The position moves only when the records have a place in the channel, so that a fetch that is cut off loses nothing.
    async fn hand_over(&self, found: fetch::response::Partition) -> Result<(), Error> {
        let Some(records) = found.records.filter(|records| !records.is_empty()) else { return Ok(()) };
        let from = self.positions().get(&found.partition_index).copied().unwrap_or_default();
        let mut whole = Vec::new();
        for batch in batches(records.into_bytes()) {
            match batch {
                Ok(batch) => whole.push(batch),
                // Kafka cuts the last batch off where the answer is full.
                Err(FrameError::Truncated { .. }) if !whole.is_empty() => break,
                Err(error) => {
                    let place = format!("{}/{} at offset {from}", self.topic, found.partition_index);
                    return Err(Error::Records(format!("{place} holds what is no record batch: {error}")));
                }
            }
        }
        let polled = Polled {
            partition: found.partition_index,
            from,
            batches: whole,
            high_watermark: found.high_watermark,
        };
        let Ok(place) = self.sender.reserve().await else {
            return Err(Error::Records("the reader is gone".to_owned()));
        };
        self.positions().insert(polled.partition, polled.end());
        place.send(Ok(polled));
        Ok(())
    }
}
