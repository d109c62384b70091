//! Which shards clients are sent to this agent for: those it follows all the time (design, section 6).
//!
//! Guarantees: as rosters agree, every shard of which clients are told an agent has one that follows it. Correctness does not rest on it: any agent
//! follows whatever it is asked for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationRow, ShardId};
use siltstone_metadata::follow::Followers;
use siltstone_metadata::lease::{Member, Roster};

use super::placements::Placements;

/// How soon a change of the roster is taken in.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What an agent stands for.
pub(super) struct Stands {
    pub(super) placements: Arc<Placements>,
    pub(super) own: RegistrationRow,
}

impl Stands {
    /// The shards that the agent is one of those for, among these, for clients of whichever of its listeners.
    pub(super) fn shards(&self, agents: &Arc<Vec<Member>>, shards: u16) -> BTreeSet<ShardId> {
        let others = self.own.listeners.iter().map(|listener| listener.name.as_str());
        let listeners: BTreeSet<&str> = others.chain([""]).collect();
        let of = |listener| self.placements.of(listener, agents.clone(), None, shards).stands(self.own.node);
        listeners.into_iter().flat_map(of).collect()
    }

    /// Tells the followers for as long as the roster changes, which is for ever.
    pub(super) async fn run(self, roster: Arc<Roster>, followers: Followers) {
        let mut known: Option<Arc<Vec<Member>>> = None;
        loop {
            let agents = roster.agents();
            // The same list is known by its place in memory.
            if known.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &agents)) {
                followers.stand_for(&self.shards(&agents, followers.count()));
                known = Some(agents);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}
