//! The store in FoundationDB, 7.3 or later: what the contract was taken from, so that this is mostly translation.
//!
//! ```text
//!   commit()   ──▶ one transaction: read version, conflict ranges, mutations ──▶ proxies ──▶ stamp, or what its error means
//!   snapshot() ──▶ a transaction with a fresh read version; get / range are snapshot reads in it
//!   watch()    ──▶ a transaction that sets the watch and commits; the watch outlives it
//! ```
//!
//! * **Order, snapshots, stamps, atomicity** are FoundationDB's own. Its client is told not to keep what a transaction has written
//!   for that transaction's reads (`READ_YOUR_WRITES_DISABLE`), so mutations go out in the order in which they were given.
//! * **Nothing is retried here.** Every error means one of the contract's outcomes (see [`error`]), and the caller knows whether what it did may
//!   be done again. FoundationDB's client retries by itself what never reached a proxy.
//! * **Time.** A transaction that the cluster doesn't answer ends after [`Options::patience`]; a commit's result is
//!   [`CommitError::Unknown`](crate::CommitError::Unknown) then. Snapshots live 5 s, by FoundationDB's rule.
//! * **Prefix.** All keys are below [`Options::prefix`]; other programs may use the same cluster, and so may other clusters of Siltstone.
//! * **One network thread per process**, begun by the first store and ended by [`shutdown`], which a program calls before it ends.

mod commit;
pub mod error;
mod network;
mod options;
mod snapshot;
mod space;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use async_trait::async_trait;
use foundationdb::options::{DatabaseOption, TransactionOption};
use foundationdb::{Database, Transaction};
use futures::FutureExt;

pub use network::shutdown;
pub use options::{Address, MAX_PREFIX, OpenError, Options, Tls};

use crate::limits::WATCHES;
use crate::{Commit, CommitError, Committed, Snapshot, Store, StoreError, Version, Watch, check};
use snapshot::At;
use space::Space;

/// A handle on a store.
pub struct FdbStore {
    inner: Arc<Inner>,
    /// Watches that are not over.
    watches: Arc<AtomicUsize>,
}

struct Inner {
    database: Database,
    space: Space,
    options: Options,
    /// The highest version that this handle knows to be there.
    seen: AtomicU64,
}

impl FdbStore {
    /// Opens the cluster that a cluster file names. Its servers are looked for when they are first needed: this waits until they answer, for
    /// [`Options::patience`].
    ///
    /// # Errors
    /// [`OpenError`], which names the cluster file.
    pub async fn open(address: Address, options: Options) -> Result<Self, OpenError> {
        let unusable = |why: String| OpenError { address: address.to_string(), why };
        network::begin(&address.tls).map_err(unusable)?;
        let path = address.cluster_file.as_ref().map(|path| path.to_string_lossy().into_owned());
        let database = Database::new(path.as_deref()).map_err(|error| unusable(error::told(error)))?;
        // Callers' are counted by this handle: FoundationDB tells of its limit only once a watch is waited for.
        let watches = i32::try_from(WATCHES).unwrap_or(i32::MAX);
        database
            .set_option(DatabaseOption::MaxWatches(watches))
            .map_err(|error| unusable(error::told(error)))?;
        let space = Space::new(&address.prefix);
        let store = FdbStore {
            inner: Arc::new(Inner { database, space, options, seen: AtomicU64::new(0) }),
            watches: Arc::default(),
        };
        store.snapshot().await.map_err(|error| unusable(error.to_string()))?;
        Ok(store)
    }
}

impl std::fmt::Debug for FdbStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FdbStore").finish_non_exhaustive()
    }
}

/// One of a handle's watches, until it is over.
struct Place(Arc<AtomicUsize>);

impl Place {
    fn take(watches: &Arc<AtomicUsize>) -> Result<Self, StoreError> {
        let place = Place(watches.clone());
        match watches.fetch_add(1, Ordering::AcqRel) {
            before if before < WATCHES => Ok(place),
            _ => Err(StoreError::Limit(format!("more than {WATCHES} watches"))),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

impl Inner {
    /// A version that is there.
    fn saw(&self, version: Version) -> Version {
        self.seen.fetch_max(version.0, Ordering::AcqRel);
        version
    }

    /// A transaction that ends by itself.
    fn begin(&self) -> Result<Transaction, foundationdb::FdbError> {
        let transaction = self.database.create_trx()?;
        let millis = i32::try_from(self.options.patience.as_millis()).unwrap_or(i32::MAX);
        transaction.set_option(TransactionOption::Timeout(millis))?;
        Ok(transaction)
    }

    /// A watch that fires once the value differs from that at this version; 0: at a fresh one.
    async fn watch(
        &self,
        key: &[u8],
        version: u64,
    ) -> Result<impl Future<Output = Result<(), foundationdb::FdbError>> + Send + Sync + use<>, StoreError>
    {
        let transaction = self.begin().map_err(error::reading)?;
        if let Some(read) = i64::try_from(version).ok().filter(|read| *read > 0) {
            transaction.set_read_version(read);
        }
        let watch = transaction.watch(&self.space.key(key));
        transaction.commit().await.map_err(|failed| error::reading(failed.into()))?;
        Ok(watch)
    }

    /// One whose writes its reads don't see.
    fn begin_plain(&self) -> Result<Transaction, foundationdb::FdbError> {
        let transaction = self.begin()?;
        transaction.set_option(TransactionOption::ReadYourWritesDisable)?;
        Ok(transaction)
    }
}

#[async_trait]
impl Store for FdbStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let transaction = self.inner.begin_plain().map_err(error::reading)?;
        let version = transaction.get_read_version().await.map_err(error::reading)?;
        let version = self.inner.saw(Version(u64::try_from(version).unwrap_or(0)));
        Ok(Box::new(At { inner: self.inner.clone(), transaction, version }))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        // FoundationDB would tell with the first read. What this handle has seen, or is told of now, is there.
        if version.0 > self.inner.seen.load(Ordering::Acquire) && version > self.snapshot().await?.version() {
            return Err(StoreError::Future);
        }
        let transaction = self.inner.begin_plain().map_err(error::reading)?;
        // Versions begin at 1.
        let read = i64::try_from(version.0).ok().filter(|read| *read > 0).ok_or(StoreError::TooOld)?;
        transaction.set_read_version(read);
        Ok(Box::new(At { inner: self.inner.clone(), transaction, version }))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        check::commit(&commit)?;
        commit::run(&self.inner, commit).await
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        check::read_key(key)?;
        let place = Place::take(&self.watches)?;
        // What changed since a version that is known fires it too, and need not be asked for; unless that is too old by now.
        let known = self.inner.seen.load(Ordering::Acquire);
        let watch = match self.inner.watch(key, known).await {
            Err(StoreError::TooOld | StoreError::Future) => self.inner.watch(key, 0).await?,
            told => told?,
        };
        let inner = self.inner.clone();
        let fired = watch.map(move |fired| {
            // The database is not closed under its watches.
            drop((inner, place));
            fired.map_err(error::reading)
        });
        Ok(fired.boxed())
    }
}
