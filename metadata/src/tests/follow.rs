//! Followers: equal state, freshness, staleness, loading.

use siltstone_log::{PartitionId, TopicId};
use siltstone_store::memory::Faults;

use super::kit::*;
use crate::follow::{OwnOutcome, ShardError, Subscription};
use crate::shard::Effect;

#[tokio::test(start_paused = true)]
async fn agents_agree_and_so_does_one_that_starts_cold() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 3).await;
    let all = [id(&topic, 0), id(&topic, 1), id(&topic, 2)];
    let (a, b) = (Agent::loaded(&cluster, 1, &all).await, Agent::loaded(&cluster, 2, &all[..1]).await);
    for n in 0..20 {
        a.append(vec![block(all[0], 0, &[of(1, n, 1)]), block(all[1], 10, &[plain(2)])]).await;
        b.append(vec![block(all[0], 0, &[of(2, 2 * n, 2)])]).await;
    }
    let expected = a.rows(&all).await;
    assert_eq!(b.rows(&all).await, expected);
    assert_eq!(cluster.agent(3).await.rows(&all).await, expected);
    assert_eq!((a.next(all[0]), a.next(all[1]), a.next(all[2])), (60, 40, 0));
}

#[tokio::test(start_paused = true)]
async fn an_agent_learns_of_its_own_entries_and_of_no_others() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let (a, b) = (Agent::loaded(&cluster, 1, &[id(&topic, 0)]).await, cluster.agent(2).await);
    for _ in 0..3 {
        a.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
        b.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
    }
    a.shard.fresh().await.unwrap();
    let told = a.told.outcomes.lock().unwrap();
    let counters: Vec<_> = told
        .iter()
        .map(|outcome| match outcome {
            OwnOutcome::Folded { counter, effect: Effect::Appended(_) } => *counter,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(counters, [1, 2, 3]);
}

#[tokio::test(start_paused = true)]
async fn fresh_sees_what_was_committed_before() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let (a, b) = (cluster.agent(1).await, Agent::loaded(&cluster, 2, &[id(&topic, 0)]).await);
    // Without watches that fire in time.
    b.store.set_faults(Faults {
        watch_delay: std::time::Duration::from_secs(99)..=std::time::Duration::from_secs(99),
        ..Faults::none()
    });
    for n in 1..50 {
        a.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
        b.shard.fresh().await.unwrap();
        assert_eq!(b.next(id(&topic, 0)), n);
    }
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_cannot_be_confirmed_goes_stale_and_recovers() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let (a, b) = (cluster.agent(1).await, Agent::loaded(&cluster, 2, &[id(&topic, 0)]).await);
    seconds(60).await;
    assert!(b.shard.read(|_| ()).is_ok(), "a quiet shard is confirmed again and again");
    b.store.set_faults(Faults::cut());
    a.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
    assert_eq!(b.shard.fresh().await, Err(ShardError::Stale(SHARD)));
    seconds(1).await;
    assert_eq!(b.shard.read(|_| ()), Err(ShardError::Stale(SHARD)));
    assert!(matches!(b.shard.partition(id(&topic, 0), |_| ()), Err(ShardError::Stale(_))));
    b.store.set_faults(Faults::none());
    until("served again", || b.shard.partition(id(&topic, 0), |p| p.next()) == Ok(1)).await;
    b.shard.fresh().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn partitions_are_loaded_when_asked_for() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 2).await;
    let agent = cluster.agent(1).await;
    agent.append(vec![block(id(&topic, 0), 0, &[plain(7)])]).await;
    agent.shard.fresh().await.unwrap();
    let at = |partition| agent.shard.partition(partition, |p| p.next());
    assert_eq!(at(id(&topic, 0)), Err(ShardError::NotLoaded(id(&topic, 0))));
    let none = PartitionId { topic: TopicId(1), index: 0 };
    agent.shard.load(&[id(&topic, 0), none, id(&topic, 2)]).await.unwrap();
    assert_eq!(at(id(&topic, 0)), Ok(7));
    assert_eq!(at(id(&topic, 1)), Err(ShardError::NotLoaded(id(&topic, 1))));
    assert_eq!(at(none), Err(ShardError::NoPartition(none)));
    assert_eq!(at(id(&topic, 2)), Err(ShardError::NoPartition(id(&topic, 2))));
    cluster.changes.add_partitions("t", 2, 3).await.unwrap();
    agent.shard.load(&[id(&topic, 2)]).await.unwrap();
    assert_eq!(at(id(&topic, 2)), Ok(0));
    cluster.changes.delete("t", topic.id).await.unwrap();
    agent.shard.fresh().await.unwrap();
    assert_eq!(at(id(&topic, 0)), Err(ShardError::NoPartition(id(&topic, 0))));
}

#[tokio::test(start_paused = true)]
async fn idle_partitions_are_dropped_even_if_nobody_ever_read_them() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 2).await;
    let agent = Agent::loaded(&cluster, 1, &[id(&topic, 0), id(&topic, 1)]).await;
    let loaded =
        || agent.shard.read(|state| state.partitions().keys().map(|id| id.index).collect::<Vec<_>>());
    until("the idle one is dropped", || {
        agent.shard.partition(id(&topic, 1), |_| ()).unwrap();
        loaded() == Ok(vec![1])
    })
    .await;
    agent.shard.load(&[id(&topic, 0)]).await.unwrap();
    assert_eq!(loaded(), Ok(vec![0, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_subscription_is_woken_by_the_fold() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 2).await;
    let (a, b) = (cluster.agent(1).await, Agent::loaded(&cluster, 2, &[id(&topic, 0)]).await);
    let mut subscription = Subscription::default();
    b.shard.subscribe(&mut subscription, id(&topic, 0));
    let wait = |time| tokio::time::timeout(std::time::Duration::from_secs(time), subscription.changed());
    a.append(vec![block(id(&topic, 1), 0, &[plain(1)])]).await;
    assert!(wait(30).await.is_err(), "another partition");
    a.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
    wait(30).await.unwrap();
    assert_eq!(b.next(id(&topic, 0)), 1);
    a.append(vec![block(id(&topic, 0), 0, &[plain(1)])]).await;
    b.shard.fresh().await.unwrap();
    wait(30).await.expect("news from before the wait counts");
}
