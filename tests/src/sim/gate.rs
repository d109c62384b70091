//! Gates: between an agent and everything outside of it. A closed one holds back requests and answers alike.

use std::fmt;
use std::sync::Arc;

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
pub(super) struct Gate(Arc<Level<bool>>);

impl Gate {
    /// An open one.
    pub(super) fn new() -> Self {
        Gate(Arc::new(Level::new(false)))
    }

    pub(super) fn close(&self) {
        self.0.set(true);
    }

    pub(super) fn open(&self) {
        self.0.set(false);
    }

    /// Waits until it is open.
    pub(super) async fn pass(&self) {
        self.0.wait_for(|closed| !closed).await;
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
