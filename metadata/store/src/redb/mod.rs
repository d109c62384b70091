//! The embedded store: one file on one machine, on redb, durable at commit.
//!
//! ```text
//!   commit() ──▶ bounded queue ──▶ writer thread: takes all that wait ▸ conflicts ▸ journal ▸ fsync ▸ one redb transaction, in memory
//!                                        ▸ publish the version ▸ answers ▸ watches
//! ```
//!
//! * Commits that wait together are written together, with one sync, and share a version; their order tells them apart.
//!   They are checked against each other as if each had been alone. Nobody sees or is told of any before the sync.
//! * What is synced is a journal beside the file ([`journal`]); the file itself is synced when the journal is full, and at the end. So
//!   after a crash both are needed, and after a clean end the file alone has everything.
//! * A write that fails (a full disk) means that the group was not applied: its commits are
//!   [`CommitError::Unavailable`]. redb serves nothing after an error, so the database is opened again in place, and
//!   commits go on as soon as writing succeeds. A *sync* that fails means [`CommitError::Unknown`]; what the operating system
//!   has in memory is dropped before the database is opened again, since after a failed sync only the disk tells the truth.
//! * On a full disk commits are refused and reads go on: what the database would write there is held in memory ([`held`]).
//! * [`Store::snapshot_at`] knows the last version and those of the last 16 groups of which somebody took a
//!   snapshot. A fresh snapshot costs as little.
//! * After a crash redb checks the whole file when it is opened (about 3 s per GiB of data); after a clean end it does not.
//!
//! It does not replicate, and a file that is damaged is an error, not repaired.

mod disk;
mod file;
mod group;
mod held;
mod journal;
mod options;
mod view;
mod writer;

use std::path::Path;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;

use async_trait::async_trait;
use futures::FutureExt;
use tokio::sync::{Semaphore, oneshot};

pub use disk::{Disk, FileDisk};
pub use options::{OpenError, Options};

use crate::watches::Watches;
use crate::{Commit, CommitError, Committed, Snapshot, Store, StoreError, Version, Watch, check};
use group::Request;
use view::Live;
use writer::Writer;

/// A commit takes a place in the queue per so many bytes, and at least one.
const PLACE_BYTES: usize = 4 << 10;

/// An open store. Dropping it writes what is queued, closes the file, and waits for both.
pub struct RedbStore {
    shared: Arc<Shared>,
    places: Arc<Semaphore>,
    most_places: u32,
    /// `None` only while it is dropped.
    queue: Option<mpsc::SyncSender<Request>>,
    writer: Option<JoinHandle<()>>,
    own_watches: Arc<AtomicUsize>,
}

/// What the writer thread and the callers share.
struct Shared {
    live: Live,
    watches: Watches,
}

impl RedbStore {
    /// Opens the store in the file at `path`, creating it if there is none; its directory must exist.
    /// Blocks while it reads, which after a crash takes time in proportion to the file.
    ///
    /// # Errors
    /// [`OpenError`], which names the file.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(FileDisk::new(path.as_ref())), options)
    }

    /// Opens the store on a disk of any kind.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_on(disk: Arc<dyn Disk>, options: Options) -> Result<Self, OpenError> {
        let path = disk.path().to_owned();
        let shared = Arc::new(Shared { live: Live::default(), watches: Watches::default() });
        let places = (options.queue_bytes / PLACE_BYTES).clamp(1, Semaphore::MAX_PERMITS.min(1 << 20));
        let (queue, requests) = mpsc::sync_channel(places);
        let writer = Writer::open(disk, options, shared.clone())?;
        let writer = std::thread::Builder::new()
            .name("siltstone-store".to_owned())
            .spawn(move || writer.run(&requests))
            .map_err(|source| OpenError::Io { path, source })?;
        Ok(RedbStore {
            shared,
            places: Arc::new(Semaphore::new(places)),
            most_places: places as u32,
            queue: Some(queue),
            writer: Some(writer),
            own_watches: Arc::default(),
        })
    }
}

impl Drop for RedbStore {
    fn drop(&mut self) {
        drop(self.queue.take());
        // A panic of the thread has been reported by the panic itself.
        let _ = self.writer.take().map(JoinHandle::join);
    }
}

impl std::fmt::Debug for RedbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbStore").finish_non_exhaustive()
    }
}

#[async_trait]
impl Store for RedbStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.shared.live.newest()
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        self.shared.live.at(version)
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check::commit(&commit)?;
        let ended = || CommitError::Unavailable("the metadata store has ended".to_owned());
        let bytes = check::size(&commit);
        let places = u32::try_from(bytes.div_ceil(PLACE_BYTES)).unwrap_or(u32::MAX);
        let places = places.clamp(1, self.most_places);
        let place = self.places.clone().acquire_many_owned(places).await.map_err(|_| ended())?;
        let (answer, result) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(ended)?;
        // Never full: there are no more places than the queue is long.
        queue.try_send(Request { commit, bytes, answer, _place: place }).map_err(|_| ended())?;
        result.await.unwrap_or_else(|_| Err(CommitError::Unknown("the writer thread ended".to_owned())))
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        check::read_key(key)?;
        Ok(self.shared.watches.watch(key, &self.own_watches)?.boxed())
    }
}
