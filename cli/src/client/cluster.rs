//! [`Client`]: which brokers there are, who leads what, and a connection to each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_kafka::api::ApiRequest;
use siltstone_kafka::{ErrorCode, metadata};
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use uuid::Uuid;

use super::error::check;
use super::{Connection, Error};

/// How long an ordinary request may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// The latest version of Metadata that we ask in.
const METADATA: i16 = 13;
/// How long a topic may take to get its leaders.
const SETTLE: Duration = Duration::from_secs(15);

/// A topic, as a server describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: String,
    /// Its id; nil on servers that have none.
    pub id: Uuid,
    /// Whether it belongs to Kafka itself.
    pub internal: bool,
    /// By index.
    pub partitions: Vec<Partition>,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its index.
    pub index: i32,
    /// Node id of its leader, -1 if it has none.
    pub leader: i32,
    /// Node ids.
    pub replicas: Vec<i32>,
    /// Node ids.
    pub in_sync: Vec<i32>,
}

/// A client of a cluster. A cheap clone.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    bootstrap: Vec<String>,
    client_id: String,
    connections: AsyncMutex<BTreeMap<String, Arc<Connection>>>,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    brokers: BTreeMap<i32, String>,
    leaders: BTreeMap<String, Vec<i32>>,
}

impl Client {
    /// A client that begins at `bootstrap`: `HOST:PORT`, several with commas. Nothing is sent yet.
    pub fn new(bootstrap: &str, client_id: &str) -> Client {
        let bootstrap = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        let inner = Inner {
            bootstrap,
            client_id: client_id.to_owned(),
            connections: AsyncMutex::default(),
            known: Mutex::default(),
        };
        Client { inner: Arc::new(inner) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A connection to `address`, one for all who ask.
    ///
    /// # Errors
    /// As [`Connection::open`].
    pub async fn connect(&self, address: &str) -> Result<Arc<Connection>, Error> {
        let mut connections = self.inner.connections.lock().await;
        if let Some(open) = connections.get(address).filter(|connection| !connection.is_closed()) {
            return Ok(open.clone());
        }
        let connection = Connection::open(address, &self.inner.client_id).await?;
        connections.insert(address.to_owned(), connection.clone());
        Ok(connection)
    }

    /// A connection to any broker.
    ///
    /// # Errors
    /// That of the last bootstrap address.
    pub async fn any(&self) -> Result<Arc<Connection>, Error> {
        let mut last =
            Error::Connect { address: "(nowhere)".to_owned(), reason: "no address was given".to_owned() };
        for address in &self.inner.bootstrap {
            match self.connect(address).await {
                Ok(connection) => return Ok(connection),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    /// Asks any broker.
    ///
    /// # Errors
    /// As [`Connection::call`].
    pub async fn ask<R: ApiRequest>(&self, request: &R, latest: i16) -> Result<R::Response, Error> {
        self.any().await?.call(request, latest, PATIENCE).await
    }

    /// The brokers, as last heard: node id and address.
    pub fn brokers(&self) -> BTreeMap<i32, String> {
        self.known().brokers.clone()
    }

    /// Describes `topics`, or all. Topics with an error come as that error.
    ///
    /// # Errors
    /// If the request as a whole fails.
    pub async fn topics(
        &self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<Vec<Result<Topic, Error>>, Error> {
        let named =
            |name: &&str| metadata::request::Topic { name: Some((*name).to_owned()), ..Default::default() };
        let request = metadata::Request {
            topics: topics.map(|topics| topics.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..Default::default()
        };
        let answer = self.ask(&request, METADATA).await?;
        check(|| "asking for metadata".to_owned(), answer.error_code, None)?;
        let topics: Vec<Result<Topic, Error>> = answer.topics.into_iter().map(topic).collect();
        let mut known = self.known();
        known.brokers =
            answer.brokers.into_iter().map(|b| (b.node_id, format!("{}:{}", b.host, b.port))).collect();
        for topic in topics.iter().flatten() {
            let leaders = topic.partitions.iter().map(|partition| partition.leader).collect();
            known.leaders.insert(topic.name.clone(), leaders);
        }
        Ok(topics)
    }

    /// Describes one topic whose partitions all have leaders; waits a little for a new one to get there.
    ///
    /// # Errors
    /// If there is no such topic and `create` is off or the server creates none, or if its leaders don't come.
    pub async fn topic(&self, name: &str, create: bool) -> Result<Topic, Error> {
        let until = Instant::now() + SETTLE;
        let mut pause = Duration::from_millis(20);
        loop {
            let found = self.topics(Some(&[name]), create).await?.pop();
            let error = match found {
                Some(Ok(topic)) if topic.partitions.iter().all(|partition| partition.leader >= 0) => {
                    return Ok(topic);
                }
                Some(Err(error)) if !settles(&error, create) => return Err(error),
                Some(Err(error)) => error,
                _ => Error::Refused {
                    what: format!("topic {name}"),
                    code: ErrorCode::LeaderNotAvailable.code(),
                    message: None,
                },
            };
            if Instant::now() >= until {
                return Err(error);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(500));
        }
    }

    /// A connection to the leader of a partition, as last heard; [`Client::topic`] hears anew.
    ///
    /// # Errors
    /// If it is not known or can't be reached.
    pub async fn leader(&self, topic: &str, partition: i32) -> Result<Arc<Connection>, Error> {
        let address = {
            let known = self.known();
            let leader =
                known.leaders.get(topic).and_then(|leaders| leaders.get(usize::try_from(partition).ok()?));
            leader.and_then(|leader| known.brokers.get(leader)).cloned()
        };
        let unknown = || Error::Refused {
            what: format!("partition {partition} of topic {topic}"),
            code: ErrorCode::LeaderNotAvailable.code(),
            message: None,
        };
        self.connect(&address.ok_or_else(unknown)?).await
    }
}

/// Whether a topic's error may pass by itself: a new topic takes moments to be known.
fn settles(error: &Error, create: bool) -> bool {
    match error.code() {
        Some(ErrorCode::UnknownTopicOrPartition) => create,
        _ => error.is_retriable(),
    }
}

fn topic(found: metadata::response::Topic) -> Result<Topic, Error> {
    let name = found.name.unwrap_or_default();
    check(|| format!("topic {name}"), found.error_code, None)?;
    let mut partitions: Vec<Partition> = found
        .partitions
        .into_iter()
        .map(|partition| Partition {
            index: partition.partition_index,
            leader: partition.leader_id,
            replicas: partition.replica_nodes,
            in_sync: partition.isr_nodes,
        })
        .collect();
    partitions.sort_by_key(|partition| partition.index);
    Ok(Topic { name, id: found.topic_id, internal: found.is_internal, partitions })
}
