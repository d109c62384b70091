//! Groups with members and without a coordinator, after an agent's end: whoever finds one first takes it, so that silent members are put out and the
//! others are told, though nobody asks.

use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_metadata::keys::lease::decode_owner;
use siltstone_metadata::keys::{group_member, group_owner, registration};
use siltstone_store::{Pages, RangeLimit, Snapshot};

use super::{GroupError, Groups};

/// Pause between looks. The first look is at the start.
const LOOK_EVERY: Duration = Duration::from_secs(10);

impl Groups {
    /// Looks for orphans now and then, for as long as there are configs.
    pub(super) async fn take_orphans(
        self: &Arc<Self>,
        config: &(impl Fn() -> Option<Arc<BrokerConfig>> + Send + Sync),
    ) {
        while let Some(now) = config() {
            if let Err(error) = self.look_for_orphans(&now).await {
                tracing::debug!(%error, "groups without a coordinator were not all found: later");
            }
            drop(now);
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// One look, a page of coordinators at a time.
    async fn look_for_orphans(self: &Arc<Self>, config: &BrokerConfig) -> Result<(), GroupError> {
        let mut pages = Pages::of(group_owner::all());
        while let Some((snapshot, page)) = pages.next_seen(self.parts.store.as_ref()).await? {
            for (key, owner) in &page {
                if let Some(group) = group_owner::parse(key)
                    && self.is_orphan(snapshot.as_ref(), &group, owner).await?
                {
                    self.take_orphan(config, &group).await;
                }
            }
        }
        Ok(())
    }

    /// Whether nobody lets time pass for the group's members.
    async fn is_orphan(
        &self,
        snapshot: &dyn Snapshot,
        group: &str,
        owner: &[u8],
    ) -> Result<bool, GroupError> {
        let Some((holder, _)) = decode_owner(owner) else { return Ok(false) };
        if holder == self.parts.registration && self.lock().contains_key(group) {
            return Ok(false);
        }
        if holder != self.parts.registration && snapshot.get(&registration::key(holder)).await?.is_some() {
            return Ok(false);
        }
        let first = RangeLimit { entries: 1, ..RangeLimit::default() };
        Ok(!snapshot.range(&group_member::of(group), first).await?.entries.is_empty())
    }

    /// Loading begins the members' timers, and to be settled sets the group's.
    async fn take_orphan(self: &Arc<Self>, config: &BrokerConfig, group: &str) {
        match self.with(config, group, false, |_, _| ()).await {
            Ok(()) => tracing::info!(group, "a group without a coordinator: now it is this agent"),
            Err(error) => tracing::debug!(group, %error, "a group without a coordinator was not taken"),
        }
    }
}
