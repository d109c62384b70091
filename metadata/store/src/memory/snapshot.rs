//! A snapshot of the memory store.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use bytes::Bytes;

use super::Agent;
use super::history::Database;
use crate::{KeyRange, Page, RangeLimit, Snapshot, StoreError, Version, check};

pub(super) struct MemorySnapshot {
    database: Arc<Database>,
    agent: Arc<Agent>,
    version: Version,
    /// Once too old, too old for ever.
    too_old: AtomicBool,
}

impl MemorySnapshot {
    pub(super) fn new(database: Arc<Database>, agent: Arc<Agent>, version: Version) -> Self {
        MemorySnapshot { database, agent, version, too_old: AtomicBool::new(false) }
    }

    async fn before_read(&self) -> Result<(), StoreError> {
        self.agent.before_read().await?;
        let ages = self.agent.draw(|chance, faults| chance.happens(faults.read_too_old));
        if self.too_old.fetch_or(ages, Ordering::AcqRel) || ages {
            return Err(StoreError::TooOld);
        }
        self.database.readable(self.version)
    }
}

#[async_trait]
impl Snapshot for MemorySnapshot {
    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check::read_key(key)?;
        self.before_read().await?;
        self.database.get(self.version, key)
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        check::read_range(range)?;
        self.before_read().await?;
        self.database.range(self.version, range, limit)
    }
}
