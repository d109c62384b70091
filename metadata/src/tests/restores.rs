//! After a restore nothing takes effect that was known before it.

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{ClusterRow, Entry, Position, RegistrationId, ShardId};
use siltstone_store::{Commit, CommitError, Mutation, Store, Version};

use super::kit::*;
use crate::keys::lease::Task;
use crate::keys::{cluster, producer_ids, shard_log};
use crate::lease::{RestoreError, TaskLease, existing_cluster, list, restored};

#[tokio::test(start_paused = true)]
async fn whoever_lived_in_the_backup_is_over_and_its_writes_are_void() {
    let cluster = Cluster::new(3).await;
    let (a, b) = (cluster.agent(1).await, cluster.agent(2).await);
    let topic = cluster.topic("t", 1).await;
    cluster
        .put(vec![Mutation::Set { key: producer_ids::key(), value: 77_u64.to_be_bytes().to_vec().into() }])
        .await;
    let mut lease = TaskLease::new(Arc::new(a.store.clone()), Task::Reclaim, a.own, Duration::from_secs(30));
    let held = lease.acquire().await.unwrap().expect("free");
    // Decided before the restore, sent after it.
    let append = a.commit_of(&a.entry(vec![block(id(&topic, 0), 0, &[plain(1)])])).await.unwrap();
    let snapshot = cluster.snapshot();
    let leased = Commit {
        read_version: Some(snapshot.version()),
        reads: held.reads(),
        mutations: vec![Mutation::Set { key: "x".into(), value: "y".into() }],
        ..Commit::default()
    };
    let before = existing_cluster(&cluster.store).await.unwrap().expect("a cluster");

    let done = restored(&cluster.store, &ambient(9)).await.unwrap();
    let ended: Vec<RegistrationId> = done.ended.iter().map(|row| row.id).collect();
    assert_eq!(ended, [a.own, b.own]);
    assert_ne!(done.cluster.incarnation, before.incarnation);
    assert_eq!(ClusterRow { incarnation: before.incarnation, ..done.cluster.clone() }, before);
    assert_eq!(existing_cluster(&cluster.store).await.unwrap(), Some(done.cluster));
    assert!(list(&cluster.store).await.unwrap().is_empty());
    for shard in (0..3).map(ShardId) {
        let log = cluster.log(shard).await;
        let over = |own| log.iter().any(|(_, entry)| *entry == Entry::Ended { registration: own });
        assert!(over(a.own) && over(b.own), "{shard:?}");
    }
    for late in [append, leased] {
        assert_eq!(a.store.commit(late).await, Err(CommitError::Conflict));
    }
    assert!(!held.holds(&*cluster.snapshot()).await.unwrap());
    assert_eq!(lease.acquire().await.unwrap(), None, "its registration is over");
    let next = producer_ids::decode(cluster.get(&producer_ids::key()).await.as_deref()).unwrap();
    assert!(
        next > 77 + (1 << 40),
        "ids that were given out since the backup are not given out again: {next}"
    );

    let again = restored(&cluster.store, &ambient(10)).await.unwrap();
    assert!(again.ended.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_store_that_counts_anew_is_refused() {
    let cluster = Cluster::new(2).await;
    let mut stamp = [0; 10];
    stamp[..8].copy_from_slice(&9_000_000_000_u64.to_be_bytes());
    let last = shard_log::up_to(ShardId(1), Position::new(stamp, 3)).end;
    // The end of a range is the key that it is up to, and a zero.
    let key = last.slice(..last.len() - 1);
    assert_eq!(shard_log::position(&key), Some(Position::new(stamp, 3)));
    let value = Entry::Feature { level: 1 }.encode().into();
    cluster.put(vec![Mutation::Set { key, value }]).await;
    let before = cluster.get(&cluster::key()).await;
    let error = restored(&cluster.store, &ambient(9)).await.expect_err("it counts anew");
    let RestoreError::Behind { there, .. } = &error else { panic!("{error}") };
    assert_eq!(*there, Version(9_000_000_000));
    assert!(error.to_string().contains("advanceversion 9000000001"), "{error}");
    assert_eq!(cluster.get(&cluster::key()).await, before, "nothing was changed");
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_cluster_is_refused() {
    let store = siltstone_store::memory::MemoryStore::new(1, siltstone_store::memory::Faults::none());
    assert!(matches!(restored(&store, &ambient(9)).await, Err(RestoreError::NoCluster)));
}
