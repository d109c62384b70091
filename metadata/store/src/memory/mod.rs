//! A store in memory, for simulation: deterministic, with faults from a seed.
//!
//! It keeps the contract whatever its [`Faults`] are; they only use up what the contract allows. All chance comes from
//! the handle's seed and all time from `tokio::time`, so under paused time the same seed gives the same run.
//! Several [handles](MemoryStore::handle) share one database, each with faults of its own: one per agent.
//!
//! It is not durable, and its reads copy nothing to anywhere: everything lives as long as the last handle. A commit
//! that lands late does so in a task of the runtime that sent it; if that runtime ends, it never lands.

mod chance;
mod commit;
mod faults;
mod history;
mod snapshot;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use tokio::time::{Duration, sleep};

pub use chance::Chance;
pub use faults::Faults;

use crate::{Commit, CommitError, Committed, Snapshot, Store, StoreError, Version, Watch, check};
use history::Database;
use snapshot::MemorySnapshot;

/// How often a watch of a cut-off handle looks whether the cut has healed.
const CUT_POLL: Duration = Duration::from_millis(100);

/// A handle to a database in memory. See the module's text.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    database: Arc<Database>,
    agent: Arc<Agent>,
}

/// What belongs to one handle. Clones of a handle share it.
#[derive(Debug)]
struct Agent {
    chance: Mutex<Chance>,
    faults: Mutex<Faults>,
    watches: Arc<AtomicUsize>,
    /// The version at which the handle began to watch something last; 0 before.
    heard: AtomicU64,
}

impl Agent {
    fn new(seed: u64, faults: Faults) -> Arc<Self> {
        let (chance, faults) = (Mutex::new(Chance::new(seed)), Mutex::new(faults));
        Arc::new(Agent { chance, faults, watches: Arc::default(), heard: AtomicU64::new(0) })
    }

    fn faults(&self) -> Faults {
        lock(&self.faults).clone()
    }

    fn is_cut(&self) -> bool {
        lock(&self.faults).cut
    }

    /// Draws with the faults of this moment.
    fn draw<T>(&self, draw: impl FnOnce(&mut Chance, &Faults) -> T) -> T {
        let faults = self.faults();
        draw(&mut lock(&self.chance), &faults)
    }

    /// What comes before every read: a delay, and perhaps a failure.
    async fn before_read(&self) -> Result<(), StoreError> {
        let (delay, fails) = self
            .draw(|chance, faults| (chance.within(&faults.delay), chance.happens(faults.read_unavailable)));
        pause(delay).await;
        if self.is_cut() {
            return Err(StoreError::Unavailable("cut off".to_owned()));
        }
        if fails { Err(StoreError::Unavailable("injected".to_owned())) } else { Ok(()) }
    }
}

impl MemoryStore {
    /// An empty database, and its first handle.
    pub fn new(seed: u64, faults: Faults) -> Self {
        MemoryStore { database: Arc::default(), agent: Agent::new(seed, faults) }
    }

    /// Another handle to the same database, with a seed and faults of its own; at first the faults of this one.
    #[must_use]
    pub fn handle(&self, seed: u64) -> Self {
        MemoryStore { database: self.database.clone(), agent: Agent::new(seed, self.agent.faults()) }
    }

    /// Changes the faults of this handle, and of its clones, from now on. Operations under way keep the fate that they drew.
    pub fn set_faults(&self, faults: Faults) {
        *lock(&self.agent.faults) = faults;
    }

    /// The faults of this handle.
    pub fn faults(&self) -> Faults {
        self.agent.faults()
    }

    /// The version of the last commit, at once and without faults: for a simulation's oracle.
    pub fn version(&self) -> Version {
        self.database.version()
    }

    /// A snapshot of the last commit, at once, and without faults then and later: for a simulation's oracle.
    pub fn peek(&self) -> Box<dyn Snapshot> {
        let calm = Agent::new(0, Faults::none());
        Box::new(MemorySnapshot::new(self.database.clone(), calm, self.version()))
    }

    fn snapshot_of(&self, version: Version) -> Box<dyn Snapshot> {
        Box::new(MemorySnapshot::new(self.database.clone(), self.agent.clone(), version))
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        self.agent.before_read().await?;
        Ok(self.snapshot_of(self.database.version()))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        // Nothing is asked of the database here, so nothing fails but what can't be had.
        self.database.readable(version)?;
        Ok(self.snapshot_of(version))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        commit::send(&self.database, &self.agent, commit).await
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        check::read_key(key)?;
        // Registered first: what changes during the delay counts.
        let registered = self.database.watches.watch(key, &self.agent.watches)?;
        self.agent.heard.fetch_max(self.database.version().0, Ordering::AcqRel);
        self.agent.before_read().await?;
        let agent = self.agent.clone();
        Ok(async move {
            let (delay, spurious, lost) = agent.draw(|chance, faults| {
                let delay = chance.within(&faults.watch_delay);
                (delay, chance.happens(faults.watch_spurious), chance.happens(faults.watch_lost))
            });
            if !spurious && !lost {
                registered.await?;
            }
            pause(delay).await;
            while agent.is_cut() {
                sleep(CUT_POLL).await;
            }
            if lost {
                Err(StoreError::Unavailable("the watch was lost: injected".to_owned()))
            } else {
                Ok(())
            }
        }
        .boxed())
    }

    fn heard(&self) -> Option<Version> {
        // No newer than it must be.
        let heard = self.agent.heard.load(Ordering::Acquire);
        Some(Version(heard)).filter(|_| heard > 0)
    }
}

/// Sleeps, unless there is no time to sleep for: a timer's shortest sleep is a millisecond.
async fn pause(time: Duration) {
    if !time.is_zero() {
        sleep(time).await;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
