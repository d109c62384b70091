//! The store in PostgreSQL, 13 or later, for those who run one already.
//!
//! ```text
//!   commit() ──▶ bounded queue ──▶ writer task: takes all that wait ──▶ one statement: siltstone_commit_1(…)
//!                                                    server: lock ▸ per commit: conflicts? ▸ version + 1 ▸ rows ▸ … ▸ NOTIFY
//!   snapshot() ──▶ the last version ──▶ get / range: rows up to that version, with the horizon as of the same moment
//! ```
//!
//! * **Order.** A group of commits takes an advisory lock that ends with its transaction; each commit gets the next version. So
//!   versions are in the order in which commits become visible, and whoever reads the last version sees all up to it. (The design
//!   takes the version from a sequence as the last step; here the greatest committed version plus one is read under the lock: it needs
//!   no second source of truth, and stamped keys need it before the rows are written.)
//! * **Snapshots** are versions. Rows keep the values of the last 10 s ([`Options::snapshot_age`]), so that any number of snapshots may be
//!   held without an open transaction; older rows are removed in small steps by whichever agent gets to it, and the horizon, moved in the same
//!   transaction, makes reads below it [`StoreError::TooOld`].
//! * **Unknown is rare.** A commit has an id. After a lost connection the next one bars the old one from committing ever after, looks
//!   which ids are there, and sends the others again. Only if the server stays away is the result
//!   [`CommitError::Unknown`].
//! * **Watches** hear notifications, sent in the commits' own transactions, with their versions: who is woken knows where to read on to
//!   and need not ask; see `listen`.
//! * Only the primary is read and written. If commits are to survive the loss of its machine, it must replicate synchronously; a standby that
//!   lacks commits shows as [`StoreError::Corrupt`] to every handle that knew them.
//!
//! It opens a fixed number of connections, all of which come back by themselves. It needs connections that keep their session:
//! a pooler between them must not be in transaction mode.

mod gather;
mod listen;
mod options;
mod ranges;
mod reads;
mod schema;
mod session;
mod snapshot;
mod steps;
#[cfg(feature = "testing")]
pub mod testing;
mod tidy;
mod tls;
mod together;
mod touched;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

pub use options::{Address, OpenError, Options};

use crate::watches::Watches;
use crate::{Commit, CommitError, Committed, Snapshot, Store, StoreError, Version, Watch, check};
use listen::Ears;
use reads::Reads;
use session::Connector;
use snapshot::At;
use writer::{Request, Writer};

/// A commit takes a place in the queue per so many bytes, and at least one.
const PLACE_BYTES: usize = 4 << 10;
/// How often, and with what pauses, a version that isn't there yet is looked for.
const FUTURE_TRIES: u32 = 5;
const FUTURE_PAUSE: Duration = Duration::from_millis(20);

/// A handle on a store. Dropping it ends its connections once what is queued has been committed.
pub struct PostgresStore {
    reads: Arc<Reads>,
    watches: Watches,
    ears: Arc<Ears>,
    own_watches: Arc<AtomicUsize>,
    places: Arc<Semaphore>,
    most_places: u32,
    queue: mpsc::Sender<Request>,
    patience: Duration,
    tasks: [AbortHandle; 2],
}

impl PostgresStore {
    /// Connects, and makes the tables where there are none.
    ///
    /// # Errors
    /// [`OpenError`], which names the server and never the password.
    pub async fn open(address: Address, options: Options) -> Result<Self, OpenError> {
        let unreachable = |why| OpenError::Unreachable { address: address.clone(), why };
        let connector = Connector::new(address.clone(), options).map_err(unreachable)?;
        let session = connector.connect(|_| {}).await.map_err(unreachable)?;
        schema::ensure(&session, &address).await?;
        drop(session);
        let options = connector.options.clone();
        let (reads, watches) = (Arc::new(Reads::new(connector.clone())), Watches::default());
        reads.head().await.map_err(|error| unreachable(error.to_string()))?;
        let writer = Writer::new(connector.clone(), reads.clone());
        let ears = Arc::new(Ears::new(reads.clone()));
        let listen = tokio::spawn(listen::run(connector.clone(), watches.clone(), ears.clone()));
        let tidy = tokio::spawn(tidy::run(connector, writer.id()));
        let places = (options.queue_bytes / PLACE_BYTES).clamp(1, 1 << 20);
        let (queue, requests) = mpsc::channel(places);
        tokio::spawn(writer.run(requests));
        Ok(PostgresStore {
            reads,
            watches,
            ears,
            own_watches: Arc::default(),
            places: Arc::new(Semaphore::new(places)),
            most_places: u32::try_from(places).unwrap_or(u32::MAX),
            queue,
            patience: options.patience,
            tasks: [listen.abort_handle(), tidy.abort_handle()],
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.watches.lose_all();
    }
}

impl std::fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let version = self.reads.head().await?;
        Ok(Box::new(At { reads: self.reads.clone(), version }))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        for attempt in 0..FUTURE_TRIES {
            // A version that this handle knows of is there; whether it still is, every read tells.
            if version <= self.reads.seen() || version <= self.reads.head().await? {
                return Ok(Box::new(At { reads: self.reads.clone(), version }));
            }
            sleep(FUTURE_PAUSE * attempt).await;
        }
        Err(StoreError::Future)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check::commit(&commit)?;
        let ended = || CommitError::Unavailable("the metadata store has ended".to_owned());
        let bytes = check::size(&commit);
        let deadline = Instant::now() + self.patience;
        let places = u32::try_from(bytes.div_ceil(PLACE_BYTES)).unwrap_or(u32::MAX);
        let places = places.clamp(1, self.most_places);
        let place = self.places.clone().acquire_many_owned(places).await.map_err(|_| ended())?;
        let (answer, result) = oneshot::channel();
        // Never full: there are no more places than the queue is long.
        let request = Request { commit, bytes, deadline, answer, _place: place };
        self.queue.try_send(request).map_err(|_| ended())?;
        result.await.unwrap_or_else(|_| Err(CommitError::Unknown("the writer task ended".to_owned())))
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        check::read_key(key)?;
        Ok(self.watches.watch(key, &self.own_watches)?.boxed())
    }

    fn heard(&self) -> Option<Version> {
        self.ears.heard()
    }
}
