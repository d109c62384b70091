//! The catalog that this agent follows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use siltstone_log::{CatalogEntry, ClusterRow, FormatError, Position, TopicRow, decode_configs};
use siltstone_store::{Pages, RangeLimit, Snapshot, Store, StoreError, Watch};
use tokio::sync::Notify;
use tokio::time::Instant;

use super::state::CatalogState;
use crate::follow::{STALE_AFTER, until_news};
use crate::keys::{broker_configs, catalog_floor, catalog_log, catalog_tick, cluster, topic_name};
use crate::level::Level;

const CONFIRM_EVERY: Duration = Duration::from_secs(1);
const RETRY: Duration = Duration::from_millis(200);

/// Why the catalog can't be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogReadError {
    /// The store does not answer; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row can't be read by this program.
    #[error("catalog: {0}")]
    Format(#[from] FormatError),
    /// Nothing has been read for too long.
    #[error("the catalog is not up to date: the metadata store does not answer")]
    Stale,
}

/// The followed catalog.
pub struct Catalog {
    store: Arc<dyn Store>,
    state: RwLock<(Arc<CatalogState>, Option<Instant>)>,
    requested: AtomicU64,
    completed: Level<u64>,
    poke: Notify,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Catalog")
    }
}

impl Catalog {
    /// A catalog that knows nothing yet.
    pub fn new(store: Arc<dyn Store>) -> Arc<Self> {
        Arc::new(Catalog {
            store,
            state: RwLock::new((Arc::default(), None)),
            requested: AtomicU64::new(0),
            completed: Level::new(0),
            poke: Notify::new(),
        })
    }

    /// What this agent knows. May trail other agents; see [`Catalog::fresh`].
    pub fn state(&self) -> Arc<CatalogState> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// Waits until everything that was committed before this call is known, and returns it.
    ///
    /// # Errors
    /// [`CatalogReadError::Stale`] if that isn't so in time.
    pub async fn fresh(&self) -> Result<Arc<CatalogState>, CatalogReadError> {
        let ticket = self.requested.fetch_add(1, Ordering::SeqCst) + 1;
        self.poke.notify_one();
        let done = tokio::time::timeout(STALE_AFTER, self.completed.wait_for(|done| done >= ticket)).await;
        if done.is_ok() { Ok(self.state()) } else { Err(CatalogReadError::Stale) }
    }

    /// Follows the catalog. Never returns.
    pub async fn run(self: Arc<Self>) {
        let mut watch: Option<Watch> = None;
        loop {
            if watch.is_none() {
                watch = self.store.watch(&catalog_tick::key()).await.ok();
            }
            let pause = match self.round().await {
                Ok(()) => CONFIRM_EVERY,
                Err(error) => {
                    tracing::warn!(%error, "catalog not read");
                    RETRY
                }
            };
            until_news(&mut watch, &self.poke, pause).await;
        }
    }

    async fn round(&self) -> Result<(), CatalogReadError> {
        let ticket = self.requested.load(Ordering::SeqCst);
        let began = Instant::now();
        let snapshot = self.store.snapshot().await?;
        let (known, confirmed) = self.state.read().unwrap_or_else(PoisonError::into_inner).clone();
        let floor = snapshot.get(&catalog_floor::key()).await?;
        let floor = floor.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(Position::ZERO, Position);
        let next = if confirmed.is_none() || known.position() < floor {
            Some(load(snapshot.as_ref()).await?)
        } else {
            advance(snapshot.as_ref(), &known).await?
        };
        {
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            state.1 = Some(began);
            if let Some(next) = next {
                state.0 = Arc::new(next);
            }
        }
        self.completed.set(ticket);
        Ok(())
    }
}

/// Reads all rows. The position is the log's end at that version, so that following goes on from there.
async fn load(snapshot: &dyn Snapshot) -> Result<CatalogState, CatalogReadError> {
    let level = match snapshot.get(&cluster::key()).await? {
        Some(bytes) => ClusterRow::decode(&bytes)?.level,
        None => 0,
    };
    let limit = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
    let last = snapshot.range(&catalog_log::after(Position::ZERO), limit).await?;
    let floor = snapshot.get(&catalog_floor::key()).await?;
    let floor = floor.and_then(|bytes| bytes.as_ref().try_into().ok()).map_or(Position::ZERO, Position);
    let position = last.entries.first().and_then(|(key, _)| catalog_log::position(key)).unwrap_or(floor);
    let mut state = CatalogState::new(position, level);
    let mut pages = Pages::of(topic_name::all());
    while let Some(page) = pages.next(snapshot).await? {
        for (_, value) in &page {
            state.put(TopicRow::decode(value)?);
        }
    }
    let brokers = snapshot.range(&broker_configs::all(), RangeLimit::default()).await?;
    for (key, value) in &brokers.entries {
        let node = broker_configs::node(key).unwrap_or_default().to_owned();
        state.put_broker(node, decode_configs(value)?);
    }
    Ok(state)
}

/// What the log adds to `known`, if anything.
async fn advance(
    snapshot: &dyn Snapshot,
    known: &CatalogState,
) -> Result<Option<CatalogState>, CatalogReadError> {
    let mut next: Option<CatalogState> = None;
    loop {
        let from = next.as_ref().unwrap_or(known).position();
        let page = snapshot.range(&catalog_log::after(from), RangeLimit::default()).await?;
        for (key, value) in &page.entries {
            let Some(position) = catalog_log::position(key) else { continue };
            next.get_or_insert_with(|| known.clone()).apply(position, CatalogEntry::decode(value)?);
        }
        if !page.more || page.entries.is_empty() {
            return Ok(next);
        }
    }
}
