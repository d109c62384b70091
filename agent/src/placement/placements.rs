//! The placement as clients of each listener see it, made anew when an agent comes, goes, or stands differently.
//!
//! Bounded by this agent's own listeners: clients choose among them, they do not name them. Zones of clients cost nothing here: a placement
//! holds all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_metadata::lease::Member;

use super::Placement;

/// The last placement of each listener, and the agents that it was made of.
#[derive(Debug, Default)]
pub(crate) struct Placements(Mutex<BTreeMap<Arc<str>, Made>>);

#[derive(Debug)]
struct Made {
    agents: Arc<Vec<Member>>,
    placement: Arc<Placement>,
}

impl Placements {
    /// The placement among these agents. The same list is known by its place in memory.
    pub(crate) fn of(&self, listener: &str, agents: Arc<Vec<Member>>, shards: u16) -> Arc<Placement> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = all.get(listener).filter(|made| Arc::ptr_eq(&made.agents, &agents)) {
            return made.placement.clone();
        }
        let placement = Arc::new(Placement::new(&agents, listener, shards));
        all.insert(listener.into(), Made { agents, placement: placement.clone() });
        placement
    }
}
