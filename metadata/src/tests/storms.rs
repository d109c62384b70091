//! Several agents append, follow, checkpoint, drop out and come back while the store does everything that it may. Then it is calm, and all
//! of them, and one that starts cold, have the same state, in which every batch is exactly once.

use std::time::Duration;

use siltstone_store::memory::{Chance, Faults};

use super::kit::*;
use crate::checkpoint::CheckpointSettings;
use crate::keys::shard_floor;
use crate::rows::chunks_from;
use crate::shard::Lookup;

const BATCHES: i32 = 60;

fn settings() -> CheckpointSettings {
    CheckpointSettings {
        interval: Duration::from_secs(5),
        floor_lag: Duration::from_secs(15),
        lease: Duration::from_secs(20),
        producer_expiration: Duration::from_secs(24 * 60 * 60),
    }
}

async fn storm(seed: u64) {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 3).await;
    let all = [id(&topic, 0), id(&topic, 1), id(&topic, 2)];
    let mut agents = Vec::new();
    for n in 1..4 {
        agents.push(std::sync::Arc::new(Agent::start(&cluster, 10 * seed + n, SHARD).await));
    }
    let checkpointers: Vec<_> =
        agents.iter().map(|agent| tokio::spawn(agent.checkpointer(settings()).run())).collect();
    let mut writers = Vec::new();
    for (n, agent) in agents.iter().cloned().enumerate() {
        agent.store.set_faults(Faults::storm());
        let mut chance = Chance::new(seed * 1000 + n as u64);
        writers.push(tokio::spawn(async move {
            for sequence in 0..BATCHES {
                let producer = of(n as i64, sequence, 1);
                agent
                    .append(vec![block(all[0], 0, &[producer]), block(all[1 + n % 2], 10, &[producer])])
                    .await;
                if chance.below(15) == 0 {
                    // Away: some of these are longer than the floor's lag and the lease.
                    agent.store.set_faults(Faults::cut());
                    tokio::time::sleep(Duration::from_secs(chance.below(60))).await;
                    agent.store.set_faults(Faults::storm());
                }
                tokio::time::sleep(Duration::from_millis(chance.below(1500))).await;
                if chance.below(5) == 0 {
                    // Under faults a load may fail; the next one tries again.
                    let _ = agent.shard.load(&[all[chance.below(3) as usize]]).await;
                }
            }
        }));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    agents.iter().for_each(|agent| agent.store.set_faults(Faults::calm()));
    seconds(90).await;
    check(seed, &cluster, &agents, &all).await;
    checkpointers.iter().for_each(tokio::task::JoinHandle::abort);
}

async fn check(
    seed: u64,
    cluster: &Cluster,
    agents: &[std::sync::Arc<Agent>],
    all: &[siltstone_log::PartitionId; 3],
) {
    let expected = agents[0].rows(all).await;
    for agent in &agents[1..] {
        assert_eq!(agent.rows(all).await, expected, "seed {seed}");
    }
    let cold = cluster.agent(9999).await;
    assert_eq!(cold.rows(all).await, expected, "seed {seed}");
    let batches = i64::from(BATCHES);
    assert_eq!(
        all.map(|id| cold.next(id)),
        [3 * batches, 2 * batches, batches],
        "seed {seed}: each batch once"
    );
    let floor = shard_floor::decode(cluster.get(&shard_floor::key(SHARD)).await.as_deref()).unwrap();
    assert_eq!(floor, cold.position(), "seed {seed}: in the calm the floor comes to the log's end");
    for id in all {
        // Every offset has an extent, from rows and fold together, and each one only once.
        let rows = chunks_from(cluster.snapshot().as_ref(), SHARD, *id, 0, usize::MAX).await.unwrap();
        let mut next = 0;
        for extent in &rows {
            assert_eq!(extent.base, next, "seed {seed}: {id:?}");
            next = extent.end();
        }
        assert_eq!(cold.with(*id, |p| p.lookup(next)), Lookup::End, "seed {seed}: {id:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn storms_end_with_one_state() {
    for seed in 1..=8 {
        storm(seed).await;
    }
}
