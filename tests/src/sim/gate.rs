//! Gates: between an agent and everything outside of it. A closed one holds back requests and answers alike.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{FutureExt, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use siltstone_metadata::level::Level;
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::MemoryStore;
use siltstone_store::{
    Commit, CommitError, Committed, KeyRange, Page, RangeLimit, Snapshot, Store, StoreError, Version, Watch,
};

/// One agent's gate. A cheap clone.
#[derive(Debug, Clone)]
pub(super) struct Gate {
    closed: Arc<Level<bool>>,
    trap: Arc<Mutex<Option<Trap>>>,
}

/// Ends the life of whoever has passed its gate so often.
#[derive(Debug)]
struct Trap {
    left: u64,
    life: Arc<Level<bool>>,
}

impl Gate {
    /// An open one.
    pub(super) fn new() -> Self {
        Gate { closed: Arc::new(Level::new(false)), trap: Arc::default() }
    }

    pub(super) fn close(&self) {
        self.closed.set(true);
    }

    pub(super) fn open(&self) {
        self.closed.set(false);
    }

    /// Whoever passes for the `count`th time from now on passes no more: `life` is told so. So a life may end between any two of its steps, before
    /// a request or behind it, however close they lie together.
    pub(super) fn trap(&self, count: u64, life: Arc<Level<bool>>) {
        *self.lock() = Some(Trap { left: count, life });
    }

    pub(super) fn disarm(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Trap>> {
        self.trap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn springs(&self) -> bool {
        let mut trap = self.lock();
        let Some(armed) = trap.as_mut() else { return false };
        armed.left = armed.left.saturating_sub(1);
        let life = (armed.left == 0).then(|| armed.life.clone());
        if let Some(life) = &life {
            *trap = None;
            life.set(true);
        }
        life.is_some()
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        self.closed.wait_for(|closed| !closed).await;
        if self.springs() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits before and after `work`.
    async fn through<T>(&self, work: impl Future<Output = T>) -> T {
        self.pass().await;
        let done = work.await;
        self.pass().await;
        done
    }
}

/// The metadata store as one agent reaches it.
pub(super) struct GatedStore {
    pub(super) inner: MemoryStore,
    pub(super) gate: Gate,
}

struct GatedSnapshot {
    inner: Box<dyn Snapshot>,
    gate: Gate,
}

#[async_trait]
impl Store for GatedStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let inner = self.gate.through(self.inner.snapshot()).await?;
        Ok(Box::new(GatedSnapshot { inner, gate: self.gate.clone() }))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        let inner = self.inner.snapshot_at(version).await?;
        Ok(Box::new(GatedSnapshot { inner, gate: self.gate.clone() }))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        self.gate.through(self.inner.commit(commit)).await
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        let watch = self.gate.through(self.inner.watch(key)).await?;
        let gate = self.gate.clone();
        Ok(async move {
            let fired = watch.await;
            gate.pass().await;
            fired
        }
        .boxed())
    }

    fn heard(&self) -> Option<Version> {
        self.inner.heard()
    }
}

#[async_trait]
impl Snapshot for GatedSnapshot {
    fn version(&self) -> Version {
        self.inner.version()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.gate.through(self.inner.get(key)).await
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        self.gate.through(self.inner.range(range, limit)).await
    }
}

/// The bucket as one agent reaches it.
#[derive(Debug)]
pub(super) struct GatedObjects {
    pub(super) inner: Arc<FaultyStore>,
    pub(super) gate: Gate,
}

impl fmt::Display for GatedObjects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GatedObjects")
    }
}

#[async_trait]
impl ObjectStore for GatedObjects {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.gate.through(self.inner.put_opts(path, payload, options)).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.gate.through(self.inner.get_opts(path, options)).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let gate = self.gate.clone();
        let held = self.inner.delete_stream(paths).then(move |deleted| {
            let gate = gate.clone();
            async move {
                gate.pass().await;
                deleted
            }
        });
        held.boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.gate.through(self.inner.list_with_delimiter(prefix)).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(path, options).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.gate.through(self.inner.copy_opts(from, to, options)).await
    }
}
