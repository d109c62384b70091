//! [`Objects`]: what the rest of the system knows of object storage.

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use bytes::Bytes;
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use object_store::{ObjectStore, PutPayload};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::attempt::{Complaints, Failure, Kind, Lane, Operation};
use crate::backend::{Backend, Found};
use crate::chance::Chance;
use crate::error::{DeleteError, PutError, ReadError, StoreError};
use crate::fault::{Fault, Sort};
use crate::gates::{self, Gates};
use crate::latency::Latency;
use crate::options::{Hedge, Options, Requests};
use crate::remote::Remote;
use crate::streak::Streak;
use crate::telemetry;

/// Names that one bulk delete sends; also S3's limit.
const DELETE_AT_ONCE: usize = 1000;
/// Objects in one page of a listing, at most.
const LIST_PAGE: usize = 1000;

/// One object, as a listing shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// The name, without the prefix of the URL.
    pub name: String,
    /// Its length in bytes.
    pub size: u64,
    /// When the store's clock says that it was written.
    pub modified: SystemTime,
}

/// PUTs fail, one after the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Since when: nothing that was sent later has succeeded.
    pub since: Instant,
    /// When one failed last.
    pub latest: Instant,
    /// The store said no: it will until somebody mends credentials, rights or the bucket.
    pub refused: bool,
    /// What the last one met.
    pub reason: String,
}

/// A bucket or directory with a prefix. A cheap clone, to be shared by everything in a process, so that its limits hold.
///
/// Names are relative to the URL's prefix: parts of letters, digits and `-_.=+`, none beginning with a dot, with slashes between.
#[derive(Clone)]
pub struct Objects {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) backend: Backend,
    /// What to call the store in messages: no credentials in it.
    pub(crate) place: String,
    pub(crate) chance: Chance,
    put: Lane,
    get: Lane,
    /// HEADs, DELETEs and LISTs: the permits of GETs, other times.
    other: Lane,
}

impl fmt::Debug for Objects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Objects({})", self.inner.place)
    }
}

impl Objects {
    /// Over a store that the caller made, below `prefix` (no slashes at its ends; may be empty). For tests and the simulation.
    pub fn from_store(store: Arc<dyn ObjectStore>, prefix: &str, options: &Options, seed: u64) -> Self {
        let place = format!("{store}/{prefix}");
        Self::over(Backend::Remote(Remote::new(store, prefix)), place, &options.requests, seed)
    }

    pub(crate) fn over(backend: Backend, place: String, requests: &Requests, seed: u64) -> Self {
        // A second write to the same disk is only more work for it.
        let local = matches!(backend, Backend::Dir(_));
        let hedge = |bounds: Option<Hedge>| if local { None } else { bounds };
        let lane = |permits: &Arc<Semaphore>, most, hedge| Lane {
            permits: Arc::clone(permits),
            most,
            gates: Gates::new(most),
            record: Mutex::default(),
            origin: Instant::now(),
            latency: Latency::new(),
            hedge,
            timeout: requests.timeout,
            backoff: (requests.backoff_first, requests.backoff_max),
            complaints: Complaints::default(),
        };
        let puts = Arc::new(Semaphore::new(requests.max_puts));
        let gets = Arc::new(Semaphore::new(requests.max_gets));
        let inner = Inner {
            backend,
            place,
            chance: Chance::new(seed),
            put: lane(&puts, requests.max_puts, hedge(requests.hedge_put)),
            get: lane(&gets, requests.max_gets, hedge(requests.hedge_get)),
            other: lane(&gets, requests.max_gets, None),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Where objects go, for messages: the URL without anything secret.
    pub fn place(&self) -> &str {
        &self.inner.place
    }

    pub(crate) fn inner(&self) -> &Inner {
        &self.inner
    }

    /// Stores `chunks`, one after the other, under `name`. Durable when it answers Ok. Nothing is copied on the way.
    ///
    /// Sent again after transient failures, and a second time while it is slow, always with this name and these bytes; ended at
    /// `deadline`. When it fails or is dropped the object may exist, see [`PutError::may_exist`].
    pub async fn put(&self, name: &str, chunks: Vec<Bytes>, deadline: Instant) -> Result<(), PutError> {
        let payload: PutPayload = chunks.into_iter().collect();
        let bytes = payload.content_length() as u64;
        let operation = self.operation(Kind::Put, &self.inner.put, gates::part(name), bytes, deadline);
        let attempt = || self.inner.backend.put(name, payload.clone());
        match operation.run(attempt).await {
            Ok(()) => {
                telemetry::bytes(Kind::Put, bytes);
                Ok(())
            }
            Err(failure) => Err(put_error(name, failure)),
        }
    }

    /// Reads bytes `range` of an object: exactly those, or an error. Retried, and hedged while slow, until `deadline`.
    pub async fn get(&self, name: &str, range: Range<u64>, deadline: Instant) -> Result<Bytes, ReadError> {
        if range.is_empty() {
            return Ok(Bytes::new());
        }
        let bytes = range.end - range.start;
        let operation = self.operation(Kind::Get, &self.inner.get, gates::part(name), bytes, deadline);
        let read = operation.run(|| self.inner.backend.get(name, range.clone())).await;
        let read = read.map_err(|failure| read_error(name, failure.fault))?;
        telemetry::bytes(Kind::Get, bytes);
        Ok(read)
    }

    /// Looks at an object without reading it.
    pub async fn head(&self, name: &str, deadline: Instant) -> Result<ObjectInfo, ReadError> {
        let operation = self.operation(Kind::Head, &self.inner.other, gates::part(name), 0, deadline);
        let found = operation.run(|| self.inner.backend.head(name)).await;
        found.map(info).map_err(|failure| read_error(name, failure.fault))
    }

    /// Deletes objects, in bulk where the store can. What does not exist counts as deleted.
    pub async fn delete(&self, names: Vec<String>, deadline: Instant) -> Result<(), DeleteError> {
        let mut names = names;
        let mut failed: Option<DeleteError> = None;
        while !names.is_empty() {
            let rest = names.split_off(names.len().min(DELETE_AT_ONCE));
            if let Err(more) = self.delete_some(names, deadline).await {
                let sum = failed.get_or_insert_with(|| DeleteError { left: Vec::new(), ..more.clone() });
                sum.left.extend(more.left);
            }
            names = rest;
        }
        failed.map_or(Ok(()), Err)
    }

    async fn delete_some(&self, names: Vec<String>, deadline: Instant) -> Result<(), DeleteError> {
        // Each attempt goes on with what the one before it left.
        let left = Mutex::new(names);
        let lock = || left.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let current = || lock().clone();
        // Where objects go one by one, all of them may take longer than an attempt may.
        let gone = |name: &str| lock().retain(|known| known != name);
        let attempt = || async {
            let deleted = self.inner.backend.delete(current(), &gone).await;
            *lock() = deleted.left;
            deleted.fault.map_or(Ok(()), Err)
        };
        let operation = self.operation(Kind::Delete, &self.inner.other, "", 0, deadline);
        operation.run(attempt).await.map_err(|failure| DeleteError {
            left: current(),
            refused: failure.fault.sort == Sort::Refused,
            reason: failure.fault.reason,
        })
    }

    /// Lists the objects below `prefix` (whole parts of names: `a/b` finds `a/b/c`, never `a/bc`; empty: all), in pages of at
    /// most 1000. A page that fails is asked for again; the stream ends with the first error that remains. `deadline` is that of the
    /// whole listing. What is written or deleted meanwhile may or may not be seen.
    pub fn list(
        &self,
        prefix: &str,
        deadline: Instant,
    ) -> BoxStream<'static, Result<Vec<ObjectInfo>, StoreError>> {
        let walk =
            Listing { objects: self.clone(), prefix: prefix.to_owned(), deadline, open: None, last: None };
        stream::try_unfold(Some(walk), |walk| async move {
            let Some(mut walk) = walk else { return Ok(None) };
            let page = walk.page().await?;
            let more = page.len() == LIST_PAGE;
            Ok((!page.is_empty()).then(|| (page, more.then_some(walk))))
        })
        .boxed()
    }

    pub(crate) fn operation<'a>(
        &'a self,
        kind: Kind,
        lane: &'a Lane,
        part: &'a str,
        bytes: u64,
        deadline: Instant,
    ) -> Operation<'a> {
        let (backend, chance) = (&self.inner.backend, &self.inner.chance);
        Operation { kind, lane, backend, chance, part, bytes, deadline }
    }

    /// Whether PUTs fail: `None` if the last one of this process that ended was answered.
    pub fn trouble(&self) -> Option<Trouble> {
        let lane = &self.inner.put;
        let record = lane.record();
        let Streak { since, latest, refused, reason } = record.streak()?.clone();
        Some(Trouble { since: lane.origin + since, latest: lane.origin + latest, refused, reason })
    }
}

/// A listing under way.
struct Listing {
    objects: Objects,
    prefix: String,
    deadline: Instant,
    open: Option<BoxStream<'static, Result<Found, Fault>>>,
    /// The last name that was handed out.
    last: Option<String>,
}

impl Listing {
    async fn page(&mut self) -> Result<Vec<ObjectInfo>, StoreError> {
        let objects = self.objects.clone();
        let prefix = self.prefix.clone();
        let operation =
            objects.operation(Kind::List, &objects.inner.other, gates::part(&prefix), 0, self.deadline);
        // One attempt at a time holds the lock, since listings are not hedged.
        let listing = tokio::sync::Mutex::new(self);
        let page = operation.run(|| async { listing.lock().await.attempt().await }).await;
        page.map_err(|failure| match failure.fault.sort {
            Sort::Refused => StoreError::Refused { reason: failure.fault.reason },
            _ => StoreError::Unavailable { reason: failure.fault.reason },
        })
    }

    async fn attempt(&mut self) -> Result<Vec<ObjectInfo>, Fault> {
        let backend = &self.objects.inner.backend;
        // Taken out, so that an attempt that fails or is dropped leaves nothing half read.
        let open = self.open.take().unwrap_or_else(|| backend.list(&self.prefix, self.last.as_deref()));
        let mut open = open;
        let mut page = Vec::new();
        while page.len() < LIST_PAGE {
            match open.try_next().await? {
                Some(found) => page.push(info(found)),
                None => break,
            }
        }
        if let Some(last) = page.last() {
            self.last = Some(last.name.clone());
        }
        self.open = Some(open);
        Ok(page)
    }
}

fn info(found: Found) -> ObjectInfo {
    ObjectInfo { name: found.name, size: found.size, modified: found.modified }
}

fn put_error(name: &str, failure: Failure) -> PutError {
    let name = name.to_owned();
    let reason = failure.fault.reason;
    match failure.fault.sort {
        Sort::Refused => PutError::Refused { name, may_exist: failure.ambiguous, reason },
        _ if failure.ambiguous => PutError::Unknown { name, reason },
        _ => PutError::Unavailable { name, reason },
    }
}

fn read_error(name: &str, fault: Fault) -> ReadError {
    let (name, reason) = (name.to_owned(), fault.reason);
    match fault.sort {
        Sort::Missing => ReadError::NotFound { name, reason },
        Sort::Short | Sort::Truncated => ReadError::Corrupt { name, reason },
        Sort::Refused => ReadError::Refused { name, reason },
        Sort::Transient | Sort::Busy => ReadError::Unavailable { name, reason },
    }
}

#[cfg(test)]
#[path = "objects_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "misbehaving_tests.rs"]
mod misbehaving_tests;
