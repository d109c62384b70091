//! Giving up all groups, for others to take at once: when the agent leaves.

use siltstone_metadata::keys::group_owner;
use siltstone_metadata::keys::lease::decode_owner;
use siltstone_metadata::lease;
use siltstone_store::{Pages, StoreError};

use super::{GroupError, Groups};

/// Groups that are given up at once.
const AT_ONCE: usize = 64;

impl Groups {
    /// Takes no group from now on, and gives up those that it has: first those that it works with, then whatever else has its name. Members that wait for an
    /// answer are told to find the coordinator. What could not be given up others may take once the registration is over.
    pub(crate) async fn hand_over(&self) {
        self.leaving.set(true);
        let held: Vec<String> = self.lock().keys().cloned().collect();
        for some in held.chunks(AT_ONCE) {
            futures::future::join_all(some.iter().map(|group| self.give_up(group))).await;
        }
        if let Err(error) = self.give_up_the_rest().await {
            tracing::warn!(%error, "not all groups were given up: others take them when this agent is gone");
        }
    }

    /// With the slot's lock: what is under way is done, and nothing begins any more.
    async fn give_up(&self, group: &str) {
        let (slot, mut inner) = self.enter(group).await;
        // Those who wait are answered by this, and find the next coordinator.
        *inner = None;
        if let Err(error) =
            lease::release_group(self.parts.store.as_ref(), group, self.parts.registration).await
        {
            tracing::debug!(group, %error, "a group was not given up");
        }
        self.leave_slot(&slot);
    }

    /// Groups that nobody has asked for lately have this agent's name, too.
    async fn give_up_the_rest(&self) -> Result<(), StoreError> {
        let mut pages = Pages::of(group_owner::all());
        while let Some((_, page)) = pages.next_seen(self.parts.store.as_ref()).await? {
            let own = page.iter().filter(|(_, owner)| {
                decode_owner(owner).is_some_and(|(holder, _)| holder == self.parts.registration)
            });
            let groups: Vec<String> = own.filter_map(|(key, _)| group_owner::parse(key)).collect();
            for some in groups.chunks(AT_ONCE) {
                futures::future::join_all(some.iter().map(|group| self.give_up(group))).await;
            }
        }
        Ok(())
    }

    /// Whether this agent may begin to coordinate a group.
    pub(super) fn may_take(&self) -> Result<(), GroupError> {
        if self.leaving.get() { Err(GroupError::NotCoordinator) } else { Ok(()) }
    }
}
