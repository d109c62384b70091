//! What an agent and the others of its zone are to each other: each keeps a part of the pages that all of them read.
//!
//! Here the roster becomes a list of neighbours, and the page cache gets a source that asks them. Without a [`Peering`] (a server that is alone, the
//! simulation) pages come from the bucket alone, and nothing of this runs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use siltstone_log::{ClusterRow, RegistrationRow};
use siltstone_metadata::lease::{Member, Roster};
use siltstone_objects::cache::SegmentSource;
use siltstone_zone::{Identity, Neighbour, Neighbours, Transport, Zone, ZoneParts};

/// How an agent asks others for pages.
#[derive(Clone)]
pub struct Peering {
    /// What carries the questions.
    pub transport: Arc<dyn Transport>,
    /// A page's owner that takes longer has the bucket asked beside it.
    pub patience: Duration,
}

impl std::fmt::Debug for Peering {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Peering")
    }
}

/// Who an agent is to others.
pub(crate) fn identity(cluster: &ClusterRow, own: &RegistrationRow) -> Identity {
    Identity { cluster: cluster.cluster_id.clone(), incarnation: cluster.incarnation, own: own.id }
}

/// Where pages come from: their owners, or else `direct`.
pub(crate) fn source(
    peering: Option<Peering>,
    cluster: &ClusterRow,
    own: &RegistrationRow,
    roster: &Arc<Roster>,
    direct: Arc<dyn SegmentSource>,
) -> Arc<dyn SegmentSource> {
    let Some(Peering { transport, patience }) = peering else { return direct };
    let neighbours = in_zone(roster.clone(), own.zone.clone());
    Arc::new(Zone::new(ZoneParts {
        identity: identity(cluster, own),
        direct,
        transport,
        neighbours,
        patience,
    }))
}

/// A roster's list, and what was made of it.
type Listed = (Arc<Vec<Member>>, Arc<Vec<Neighbour>>);

/// The agents of a zone that serve others, as the roster has them. Made anew only when the roster has changed: it is asked for with every page.
fn in_zone(roster: Arc<Roster>, zone: String) -> Neighbours {
    let listed = |agents: Arc<Vec<Member>>, zone: &str| {
        let neighbours = Arc::new(agents.iter().filter_map(|agent| neighbour(agent, zone)).collect());
        (agents, neighbours)
    };
    let known: Mutex<Listed> = Mutex::new(listed(roster.agents(), &zone));
    Arc::new(move || {
        let agents = roster.agents();
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known.0, &agents) {
            *known = listed(agents, &zone);
        }
        known.1.clone()
    })
}

fn neighbour(agent: &Member, zone: &str) -> Option<Neighbour> {
    let Member { row, standing } = agent;
    let place = row.peer.as_ref().filter(|_| row.zone == zone)?;
    let (host, port) = (place.host.clone(), place.port);
    Some(Neighbour { id: row.id, node: row.node, weight: standing.weight(), host, port })
}

#[cfg(test)]
mod tests {
    use siltstone_log::{Endpoint, Standing};

    use super::*;

    fn member(node: u32, zone: &str, peer: bool, standing: Standing) -> Member {
        let Member { row, .. } = crate::placement::tests::member(node, zone, standing.weight());
        let peer = peer.then(|| Endpoint { host: format!("peer{node}"), port: 9093 });
        Member { row: RegistrationRow { peer, ..row }, standing }
    }

    #[test]
    fn neighbours_are_those_of_the_zone_that_others_can_reach() {
        let roster = Arc::new(Roster::default());
        let neighbours = in_zone(roster.clone(), "a".into());
        assert!(neighbours().is_empty());
        roster.tell(vec![
            member(1, "a", true, Standing::FULL),
            member(2, "b", true, Standing::FULL),
            member(3, "a", false, Standing::FULL),
            member(4, "a", true, Standing::DRAINING),
        ]);
        let first = neighbours();
        let listed: Vec<_> = first.iter().map(|one| (one.node, one.weight, one.host.as_str())).collect();
        assert_eq!(listed, [(1, 1000, "peer1"), (4, 0, "peer4")]);
        assert!(Arc::ptr_eq(&first, &neighbours()), "nothing has changed");
        roster.tell(Vec::new());
        assert!(neighbours().is_empty());
    }
}
