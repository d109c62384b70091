//! How agents stand: told to all, soon, and gone with the registration.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{RegistrationId, Standing};
use siltstone_store::memory::Faults;
use tokio::task::JoinHandle;

use super::kit::*;
use crate::keys::standing;
use crate::lease::{Membership, Roster, end, join, members, seen_by_all, stand};

const LEASE: Duration = Duration::from_secs(10);

/// An agent's membership, and what it tells.
struct Seat {
    agent: Agent,
    roster: Arc<Roster>,
    running: JoinHandle<()>,
}

impl Seat {
    async fn new(cluster: &Cluster, n: u64) -> Seat {
        let agent = cluster.agent(n).await;
        let roster = Arc::new(Roster::default());
        let membership = Membership::new(Arc::new(agent.store.clone()), agent.own, cluster.shards, LEASE);
        let running = tokio::spawn(membership.telling(roster.clone()).run());
        Seat { agent, roster, running }
    }

    /// How this one sees that other to stand.
    fn sees(&self, other: &Seat) -> Option<u16> {
        let found = self.roster.agents().iter().find(|member| member.row.id == other.agent.own).cloned();
        found.map(|member| member.standing.weight())
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.running.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn when_all_have_looked_all_know_who_drains() {
    for seed in 0..20 {
        let cluster = Cluster::new(2).await;
        let (a, b, c) =
            (Seat::new(&cluster, 1).await, Seat::new(&cluster, 2).await, Seat::new(&cluster, 3).await);
        let slow = Duration::from_millis(1 + seed * 7);
        for seat in [&a, &b, &c] {
            seat.agent.store.set_faults(Faults { delay: slow / 3..=slow, ..Faults::none() });
        }
        seconds(5).await;
        assert_eq!((b.sees(&a), c.sees(&a)), (Some(1000), Some(1000)));
        assert!(stand(&a.agent.store, a.agent.own, Standing::DRAINING).await.unwrap());
        let waiting = seen_by_all(&a.agent.store, a.agent.own);
        tokio::time::timeout(Duration::from_secs(60), waiting).await.expect("they look").unwrap();
        assert_eq!((b.sees(&a), c.sees(&a)), (Some(0), Some(0)), "seed {seed}");
        assert!(end(&cluster.store, a.agent.own, cluster.shards, None).await.unwrap());
        assert_eq!(cluster.get(&standing::key(a.agent.own)).await, None);
        until("it is gone everywhere", || b.sees(&a).is_none() && c.sees(&a).is_none()).await;
    }
}

/// Whoever is dead need not have looked, once it is known to be dead.
#[tokio::test(start_paused = true)]
async fn the_dead_are_not_waited_for() {
    let cluster = Cluster::new(1).await;
    let (a, b) = (Seat::new(&cluster, 1).await, Seat::new(&cluster, 2).await);
    seconds(5).await;
    b.agent.store.set_faults(Faults::cut());
    let waiting = seen_by_all(&a.agent.store, a.agent.own);
    tokio::time::timeout(Duration::from_secs(600), waiting).await.expect("until b is ended").unwrap();
    assert_eq!(a.sees(&b), None);
    let alone = seen_by_all(&a.agent.store, a.agent.own);
    tokio::time::timeout(Duration::from_secs(1), alone).await.expect("nobody to wait for").unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_standing_begins_and_ends_with_its_registration() {
    let cluster = Cluster::new(1).await;
    let row = registration_row(RegistrationId(9));
    let warm = Standing::new(100);
    join(&cluster.store, row.clone(), Some(9), warm).await.unwrap();
    let listed = members(&cluster.store).await.unwrap();
    assert_eq!(listed.iter().find(|member| member.row == row).map(|member| member.standing), Some(warm));
    assert!(stand(&cluster.store, row.id, Standing::FULL).await.unwrap());
    assert_eq!(cluster.get(&standing::key(row.id)).await, None, "what is taken where there is no row");
    assert!(stand(&cluster.store, row.id, Standing::DRAINING).await.unwrap());
    assert!(!stand(&cluster.store, row.id, warm).await.unwrap(), "it drains for good");
    assert!(stand(&cluster.store, row.id, Standing::DRAINING).await.unwrap());
    assert!(end(&cluster.store, row.id, 1, None).await.unwrap());
    assert!(!stand(&cluster.store, row.id, warm).await.unwrap());
    assert_eq!(cluster.get(&standing::key(row.id)).await, None);
}
