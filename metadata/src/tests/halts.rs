//! A shard that can't be folded halts, alone, and an operator can help it on.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::{Entry, PartitionId, PartitionRow, ShardId, shard_of};
use siltstone_store::Mutation;

use super::kit::*;
use crate::follow::ShardError;
use crate::keys::{partition_row, parts, shard_voids};

async fn void(cluster: &Cluster, shard: ShardId, positions: &[siltstone_log::Position]) {
    let value = shard_voids::encode(&positions.iter().copied().collect::<BTreeSet<_>>());
    cluster.put(vec![Mutation::Set { key: shard_voids::key(shard), value }]).await;
}

fn halted(agent: &Agent) -> bool {
    matches!(agent.shard.read(|_| ()), Err(ShardError::Halted(_)))
}

/// Two shards, one agent on each, and a partition of each.
async fn two_shards() -> (Cluster, [Agent; 2], [PartitionId; 2]) {
    let cluster = Cluster::new(2).await;
    let topic = cluster.topic("t", 2).await;
    let on = |shard| [0, 1].map(|n| id(&topic, n)).into_iter().find(|id| shard_of(*id, 2) == ShardId(shard));
    let partitions = [on(0).unwrap(), on(1).unwrap()];
    let agents = [Agent::start(&cluster, 1, ShardId(0)).await, Agent::start(&cluster, 2, ShardId(1)).await];
    for (agent, partition) in agents.iter().zip(partitions) {
        agent.shard.load(&[partition]).await.unwrap();
    }
    (cluster, agents, partitions)
}

#[tokio::test(start_paused = true)]
async fn an_unknown_entry_halts_its_shard_only_and_a_void_heals_it() {
    let (cluster, [a, b], [p, q]) = two_shards().await;
    a.append(vec![block(p, 0, &[plain(1)])]).await;
    let unknown = cluster.append_bytes(ShardId(0), vec![1, 99]).await;
    a.append(vec![block(p, 0, &[plain(1)])]).await;
    b.append(vec![block(q, 0, &[plain(1)])]).await;
    until("halted", || halted(&a)).await;
    let Err(ShardError::Halted(why)) = a.shard.read(|_| ()) else { panic!("served") };
    assert!(why.contains(&format!("{unknown:?}")), "an operator must learn which entry it is: {why}");
    assert!(matches!(a.shard.fresh().await, Err(ShardError::Halted(_))));
    b.shard.fresh().await.unwrap();
    assert_eq!(b.next(q), 1);

    void(&cluster, ShardId(0), &[unknown]).await;
    until("healed", || !halted(&a)).await;
    assert_eq!(a.next(p), 2, "with what came behind it");
    assert_eq!(a.told.reloads.lock().unwrap().last(), Some(&2));
    let cold = Agent::start(&cluster, 3, ShardId(0)).await;
    assert_eq!(cold.rows(&[p]).await, a.rows(&[p]).await);
}

#[tokio::test(start_paused = true)]
async fn a_change_of_the_voids_makes_followers_load_anew() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let p = id(&topic, 0);
    let (a, b) = (Agent::loaded(&cluster, 1, &[p]).await, Agent::loaded(&cluster, 2, &[p]).await);
    a.append(vec![block(p, 0, &[plain(5)])]).await;
    b.append(vec![block(p, 0, &[plain(3)])]).await;
    assert_eq!(a.rows(&[p]).await, b.rows(&[p]).await);
    let log = cluster.log(SHARD).await;
    let (first, _) = log.iter().find(|(_, entry)| matches!(entry, Entry::Append(_))).unwrap();
    void(&cluster, SHARD, &[*first]).await;
    assert_eq!(a.rows(&[p]).await, b.rows(&[p]).await);
    assert_eq!(a.next(p), 3, "its entry is void for everyone, its own agent included");
    assert_eq!(a.told.reloads.lock().unwrap().last(), Some(&0));
}

#[tokio::test(start_paused = true)]
async fn a_level_beyond_this_program_halts_also_from_the_head() {
    let cluster = Cluster::new(1).await;
    let agent = cluster.agent(1).await;
    agent.shard.fresh().await.unwrap();
    cluster.append_bytes(SHARD, Entry::Feature { level: 99 }.encode()).await;
    until("halted", || halted(&agent)).await;
    // A newer program folds it, and its checkpoint moves the floor past it.
    let head = siltstone_log::ShardHead { level: 99, ..Default::default() };
    let (position, _) = *cluster.log(SHARD).await.last().unwrap();
    let mut mutations = vec![
        Mutation::Set {
            key: crate::keys::shard_floor::key(SHARD),
            value: Bytes::copy_from_slice(&position.0),
        },
        Mutation::ClearRange { range: crate::keys::shard_log::up_to(SHARD, position) },
    ];
    parts::set(&mut mutations, &crate::keys::shard_head::prefix(SHARD), &head.encode().into());
    cluster.put(mutations).await;
    let other = cluster.agent(2).await;
    until("halted", || halted(&other)).await;
    assert!(matches!(other.shard.fresh().await, Err(ShardError::Halted(_))));
}

/// A row that can't be right makes the fold overflow: that must not be the end of the process, nor of the follower.
#[cfg(debug_assertions)]
#[tokio::test(start_paused = true)]
async fn a_panic_of_the_fold_halts_the_shard() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let p = id(&topic, 0);
    let row = PartitionRow { next: i64::MAX, ..PartitionRow::default() };
    let mut mutations = Vec::new();
    parts::set(&mut mutations, &partition_row::prefix(SHARD, p), &row.encode().into());
    cluster.put(mutations).await;
    let agent = Agent::loaded(&cluster, 1, &[p]).await;
    let position = cluster.append_bytes(SHARD, agent.entry(vec![block(p, 0, &[plain(1)])]).encode()).await;
    until("halted", || halted(&agent)).await;
    seconds(10).await;
    assert!(halted(&agent), "and stays so");
    void(&cluster, SHARD, &[position]).await;
    until("the follower lives and heals", || !halted(&agent)).await;
    assert_eq!(agent.next(p), i64::MAX);
}
