//! The placement as clients of each listener see it, made anew when an agent comes, goes, or stands differently. An agent that is out of touch with
//! the others sends clients to them, whatever it last knew of itself.
//!
//! Bounded by this agent's own listeners: clients choose among them, they do not name them. Zones of clients cost nothing here: a placement
//! holds all of them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use siltstone_log::Standing;
use siltstone_metadata::lease::Member;

use crate::placement::Placement;

/// The last placement of each listener, and the agents that it was made of.
#[derive(Debug, Default)]
pub(super) struct Placements(Mutex<BTreeMap<Arc<str>, Made>>);

#[derive(Debug)]
struct Made {
    agents: Arc<Vec<Member>>,
    without: Option<u32>,
    placement: Arc<Placement>,
}

impl Placements {
    /// The placement among these agents; one of them, `without`, leads nothing where others can. The same list is known by its place in memory.
    pub(super) fn of(
        &self,
        listener: &str,
        agents: Arc<Vec<Member>>,
        without: Option<u32>,
        shards: u16,
    ) -> Arc<Placement> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |made: &&Made| made.without == without && Arc::ptr_eq(&made.agents, &agents);
        if let Some(made) = all.get(listener).filter(same) {
            return made.placement.clone();
        }
        let placement = match without {
            None => Placement::new(&agents, listener, shards),
            Some(node) => {
                let mut others = (*agents).clone();
                let left_out =
                    others.iter_mut().filter(|agent| agent.row.node == node && !agent.standing.drains());
                left_out.for_each(|agent| agent.standing = Standing::BACK);
                Placement::new(&others, listener, shards)
            }
        };
        let placement = Arc::new(placement);
        all.insert(listener.into(), Made { agents, without, placement: placement.clone() });
        placement
    }
}
