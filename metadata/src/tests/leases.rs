//! Leases on tasks: one holder's writes count (S10).

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::RegistrationId;
use siltstone_store::memory::{Chance, Faults, MemoryStore};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Store};

use super::kit::*;
use crate::keys::lease::Task;
use crate::lease::{Held, TaskLease, end, register};

const LEASE: Duration = Duration::from_secs(30);
const TASK: Task = Task::Checkpoint(SHARD);

async fn registered(cluster: &Cluster, n: u64) -> (MemoryStore, TaskLease) {
    let store = cluster.store.handle(n);
    register(&store, &registration_row(RegistrationId(u128::from(n)))).await.unwrap();
    let lease = TaskLease::new(Arc::new(store.clone()), TASK, RegistrationId(u128::from(n)), LEASE);
    (store, lease)
}

/// A write that rests on the lease.
async fn write(store: &MemoryStore, held: &Held, key: &'static [u8], beat: bool) -> Result<(), CommitError> {
    let unavailable = |error: siltstone_store::StoreError| CommitError::Unavailable(error.to_string());
    let snapshot = store.snapshot().await.map_err(unavailable)?;
    if !held.holds(snapshot.as_ref()).await.map_err(unavailable)? {
        return Err(CommitError::Conflict);
    }
    store.commit(commit(snapshot.version(), held, key, beat)).await.map(drop)
}

fn commit(version: siltstone_store::Version, held: &Held, key: &'static [u8], beat: bool) -> Commit {
    let set = Mutation::Set { key: Bytes::from_static(key), value: Bytes::from_static(b"x") };
    let mutations = if beat { vec![set, held.beat()] } else { vec![set] };
    Commit { read_version: Some(version), reads: held.reads(), mutations, ..Commit::default() }
}

#[tokio::test(start_paused = true)]
async fn a_silent_holder_loses_it_after_the_lease_time_and_not_before() {
    let cluster = Cluster::new(1).await;
    let ((a, mut first), (b, mut second)) = (registered(&cluster, 1).await, registered(&cluster, 2).await);
    let held = first.acquire().await.unwrap().expect("free");
    assert_eq!(first.acquire().await.unwrap(), Some(held), "it is held already");
    assert_eq!(second.acquire().await.unwrap(), None);
    seconds(29).await;
    assert_eq!(second.acquire().await.unwrap(), None);
    write(&a, &held, b"w1", true).await.unwrap();
    seconds(29).await;
    assert_eq!(second.acquire().await.unwrap(), None, "the beat starts the wait anew");
    write(&a, &held, b"w2", false).await.unwrap();
    seconds(31).await;
    let snapshot = a.snapshot().await.unwrap();
    assert!(held.holds(snapshot.as_ref()).await.unwrap());
    let taken = second.acquire().await.unwrap().expect("silent for long enough");
    // The first one decided before the takeover, and writes after it.
    assert_eq!(a.commit(commit(snapshot.version(), &held, b"late", false)).await, Err(CommitError::Conflict));
    assert_eq!(write(&a, &held, b"late", false).await, Err(CommitError::Conflict));
    write(&b, &taken, b"w3", true).await.unwrap();
    assert_eq!(cluster.get(b"late").await, None);
    assert_eq!(first.acquire().await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn renewing_never_aborts_the_holders_own_writes() {
    let cluster = Cluster::new(1).await;
    let (a, mut lease) = registered(&cluster, 1).await;
    let held = lease.acquire().await.unwrap().unwrap();
    let snapshot = a.snapshot().await.unwrap();
    write(&a, &held, b"w", true).await.unwrap();
    a.commit(commit(snapshot.version(), &held, b"v", true)).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_dead_holder_is_followed_at_once_and_a_dead_agent_takes_nothing() {
    let cluster = Cluster::new(1).await;
    let ((a, mut first), (_, mut second)) = (registered(&cluster, 1).await, registered(&cluster, 2).await);
    let held = first.acquire().await.unwrap().unwrap();
    assert_eq!(second.acquire().await.unwrap(), None);
    assert!(end(&cluster.store, RegistrationId(1), 1, None).await.unwrap());
    assert_eq!(write(&a, &held, b"late", false).await, Err(CommitError::Conflict));
    assert_eq!(first.acquire().await.unwrap(), None, "it held it, and is over");
    assert!(second.acquire().await.unwrap().is_some());
    seconds(100).await;
    assert_eq!(first.acquire().await.unwrap(), None);
    seconds(100).await;
    assert_eq!(first.acquire().await.unwrap(), None, "even a silent holder's");
}

/// A beat between a challenger's look and its takeover saves the holder.
#[tokio::test(start_paused = true)]
async fn a_beat_in_between_makes_a_takeover_fail() {
    let cluster = Cluster::new(1).await;
    let ((a, mut first), (b, _)) = (registered(&cluster, 1).await, registered(&cluster, 2).await);
    let held = first.acquire().await.unwrap().unwrap();
    let gated = Gated::new(&b);
    let gate = gated.open.clone();
    let mut second = TaskLease::new(gated, TASK, RegistrationId(2), LEASE);
    assert_eq!(second.acquire().await.unwrap(), None);
    seconds(31).await;
    gate.send_replace(false);
    let taking = tokio::spawn(async move { second.acquire().await });
    until("its takeover is under way", || gate.receiver_count() > 0).await;
    write(&a, &held, b"w", true).await.unwrap();
    gate.send_replace(true);
    assert_eq!(taking.await.unwrap().unwrap(), None);
    write(&a, &held, b"v", true).await.unwrap();
}

/// The lease of an ended registration is worth nothing, even before anybody took it over.
#[tokio::test(start_paused = true)]
async fn a_write_decided_before_the_own_end_fails() {
    let cluster = Cluster::new(1).await;
    let (a, mut lease) = registered(&cluster, 1).await;
    let held = lease.acquire().await.unwrap().unwrap();
    let snapshot = a.snapshot().await.unwrap();
    assert!(end(&cluster.store, RegistrationId(1), 1, None).await.unwrap());
    assert_eq!(a.commit(commit(snapshot.version(), &held, b"late", true)).await, Err(CommitError::Conflict));
}

#[tokio::test(start_paused = true)]
async fn two_challengers_do_not_both_get_it() {
    let cluster = Cluster::new(1).await;
    let (_, mut a) = registered(&cluster, 1).await;
    let (_, mut b) = registered(&cluster, 2).await;
    let (first, second) = tokio::join!(a.acquire(), b.acquire());
    let holders = [first, second].into_iter().filter(|held| matches!(held, Ok(Some(_)))).count();
    assert_eq!(holders, 1);
}

/// S10 under everything that a store may do: in the order of commits, writes of one holder never follow those of a later one.
#[tokio::test(start_paused = true)]
async fn takeovers_are_a_fence_in_any_weather() {
    let mut changes = 0;
    for seed in 0..5 {
        let cluster = Cluster::new(1).await;
        let mut tasks = Vec::new();
        for n in 1..4_u64 {
            let (store, mut lease) = registered(&cluster, 100 * seed + n).await;
            store.set_faults(Faults::storm());
            let mut chance = Chance::new(100 * seed + n);
            tasks.push(tokio::spawn(async move {
                for _ in 0..60 {
                    // Now and then it is away for longer than the lease, holding it or not.
                    tokio::time::sleep(Duration::from_secs(if chance.below(8) == 0 { 80 } else { 3 })).await;
                    let Ok(Some(held)) = lease.acquire().await else { continue };
                    let Ok(snapshot) = store.snapshot().await else { continue };
                    if !matches!(held.holds(snapshot.as_ref()).await, Ok(true)) {
                        continue;
                    }
                    let mut commit = commit(snapshot.version(), &held, b"w", true);
                    let value = Bytes::from(format!("{held:?}"));
                    let (prefix, suffix) = (Bytes::from_static(b"log"), Bytes::new());
                    commit.mutations.push(Mutation::SetVersionstampedKey { prefix, suffix, value });
                    // Unknown or refused, late or never: the next round goes on all the same.
                    let _ = store.commit(commit).await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        seconds(60).await;
        let log = cluster.range(&KeyRange::prefix(Bytes::from_static(b"log"))).await;
        let mut holders: Vec<_> = log.into_iter().map(|(_, value)| value).collect();
        assert!(holders.len() > 20, "seed {seed}: {} writes", holders.len());
        holders.dedup();
        let turns = holders.len();
        changes += turns - 1;
        holders.sort();
        holders.dedup();
        assert_eq!(holders.len(), turns, "seed {seed}: a holder wrote after its successor");
    }
    assert!(changes > 10, "the lease changed hands {changes} times only");
}
