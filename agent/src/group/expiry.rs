//! Offsets that have expired, groups that nobody needs, and loaded groups that nobody asks for.

use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_log::{GroupHeadRow, OffsetRow, PartitionId};
use siltstone_metadata::keys::{group_head, group_offset};
use siltstone_metadata::lease::{self, GroupHold};
use siltstone_store::{Commit, KeyRange, Mutation, Snapshot};

use super::slot::{Deletion, Loaded};
use super::stored_offsets::{all, decode};
use super::{GroupError, Groups};

/// A loaded group without members is unloaded when nobody has asked for it for so long.
const UNUSED: Duration = Duration::from_secs(600);

/// What the group says about its offsets.
struct Terms {
    hold: GroupHold,
    /// Nobody is in it.
    idle: bool,
    /// Offsets of a group that had members expire from here on, those of others from when they were committed.
    since: Option<i64>,
}

impl Groups {
    /// Looks at all groups now and then, for as long as there are configs.
    pub async fn expire(self: Arc<Self>, config: impl Fn() -> Option<Arc<BrokerConfig>> + Send) {
        while let Some(now) = config() {
            tokio::time::sleep(Duration::from_millis(now.offsets.retention_check_interval_ms)).await;
            let Some(now) = config() else { return };
            if let Err(error) = self.sweep(&now).await {
                tracing::warn!(%error, "expired offsets were not all removed: later");
            }
        }
    }

    /// One look at all groups that this agent answers for.
    ///
    /// # Errors
    /// See [`GroupError`]: what was not looked at will be.
    pub async fn sweep(self: &Arc<Self>, config: &BrokerConfig) -> Result<(), GroupError> {
        self.unload().await;
        let snapshot = self.parts.store.snapshot().await?;
        for (key, value) in all(snapshot.as_ref(), group_head::all()).await? {
            let Some(group) = group_head::parse(&key) else { continue };
            let owner = lease::coordinator(snapshot.as_ref(), &group).await?;
            let ours = owner.is_none_or(|owner| owner == self.parts.registration);
            if ours && GroupHeadRow::decode(&value).is_ok() {
                self.sweep_group(config, &group).await?;
            }
        }
        Ok(())
    }

    async fn sweep_group(self: &Arc<Self>, config: &BrokerConfig, group: &str) -> Result<(), GroupError> {
        let snapshot = self.parts.store.snapshot().await?;
        let rows = all(snapshot.as_ref(), group_offset::of(group)).await?;
        let (now, retention) = (self.parts.ambient.clock.now(), config.offsets.retention_ms as i64);
        // Whether any can have expired, without loading the group.
        let mut old = rows.is_empty();
        for (_, value) in &rows {
            let row = decode(value)?;
            old |= now >= row.expires.unwrap_or(row.committed.saturating_add(retention));
        }
        let topics = self.parts.catalog.fresh().await;
        let topics = topics.map_err(|error| GroupError::Unavailable(error.to_string()))?;
        old |= rows.iter().any(|(key, _)| is_orphan(&topics, key));
        if !old {
            return Ok(());
        }
        let terms = self.with(config, group, false, |loaded, _| Terms {
            hold: loaded.hold.clone(),
            idle: loaded.machine.is_idle(),
            since: loaded.machine.since(),
        });
        let terms = terms.await?;
        let mut gone = Vec::new();
        for (key, value) in &rows {
            let expired = terms.idle && is_expired(&terms, &decode(value)?, now, retention);
            if expired || is_orphan(&topics, key) {
                gone.push(key.clone());
            }
        }
        let emptied = gone.len() == rows.len();
        if !gone.is_empty() {
            self.remove(&terms.hold, snapshot.as_ref(), gone).await?;
        }
        if emptied && terms.idle {
            let end = |loaded: &mut Loaded| {
                let bare = loaded.machine.is_idle();
                loaded.delete = bare.then_some(Deletion::IfBare);
            };
            self.with(config, group, false, move |loaded, _| end(loaded)).await?;
        }
        Ok(())
    }

    /// Removes rows unless they have changed since the snapshot: then they are not old any more.
    async fn remove(
        &self,
        hold: &GroupHold,
        snapshot: &dyn Snapshot,
        keys: Vec<bytes::Bytes>,
    ) -> Result<(), GroupError> {
        if !hold.holds(snapshot).await? {
            return Ok(());
        }
        let mut reads = hold.reads();
        reads.extend(keys.iter().map(|key| KeyRange::key(key.clone())));
        let mutations = keys.into_iter().map(|key| Mutation::Clear { key }).collect();
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        let done = self.parts.store.commit(commit).await;
        done.map(|_| ()).map_err(|error| GroupError::Unavailable(error.to_string()))
    }

    /// Lets go of groups without members that nobody asks for: their rows say all about them.
    async fn unload(&self) {
        let slots: Vec<_> = self.lock().values().cloned().collect();
        for slot in slots {
            let (slot, mut inner) = self.enter(&slot.group).await;
            let unused = |used: Duration| self.started.elapsed().saturating_sub(used) >= UNUSED;
            if inner.as_ref().is_none_or(|loaded| loaded.machine.is_idle() && unused(loaded.used)) {
                *inner = None;
                self.leave_slot(&slot);
            }
        }
    }
}

fn is_expired(terms: &Terms, row: &OffsetRow, now: i64, retention: i64) -> bool {
    let from = terms.since.map_or(row.committed, |since| since.max(row.committed));
    now >= row.expires.unwrap_or(from.saturating_add(retention))
}

/// Whether the offset is one of a topic that has been deleted.
fn is_orphan(topics: &siltstone_metadata::catalog::CatalogState, key: &[u8]) -> bool {
    let partition: Option<PartitionId> = group_offset::parse(key);
    partition.is_some_and(|partition| topics.by_id(partition.topic).is_none())
}
