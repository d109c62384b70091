//! Whose turn a checkpoint is: those that stand for a shard, when there is something to write; others only if nobody does it.

use siltstone_log::{PartitionId, Position, RegistrationId};

use super::kit::*;
use crate::checkpoint::{CheckpointSettings, Checkpointer};
use crate::keys::lease::{Task, beat, decode_owner, owner};
use crate::keys::shard_floor;

const TASK: Task = Task::Checkpoint(SHARD);

async fn floor(cluster: &Cluster) -> Position {
    shard_floor::decode(cluster.get(&shard_floor::key(SHARD)).await.as_deref()).unwrap()
}

/// Who holds the lease; 0 is nobody.
async fn holder(cluster: &Cluster) -> u128 {
    let value = cluster.get(&owner(TASK)).await;
    value.and_then(|value| decode_owner(&value)).map_or(0, |(RegistrationId(id), _)| id)
}

/// Turns as they come, so many of each of these.
async fn turns(checkpointers: &mut [&mut Checkpointer], count: u64) {
    for _ in 0..count {
        for checkpointer in checkpointers.iter_mut() {
            checkpointer.turn().await.unwrap();
        }
        tokio::time::sleep(CheckpointSettings::default().interval).await;
    }
}

async fn two(cluster: &Cluster) -> (Agent, Agent, PartitionId) {
    let topic = cluster.topic("t", 1).await;
    let partition = id(&topic, 0);
    let (a, b) = (Agent::loaded(cluster, 1, &[partition]).await, cluster.agent(2).await);
    (a, b, partition)
}

#[tokio::test(start_paused = true)]
async fn a_quiet_shard_needs_no_sign_of_life() {
    let cluster = Cluster::new(1).await;
    let (a, _, partition) = two(&cluster).await;
    let mut checkpointer = a.checkpointer(CheckpointSettings::default());
    for _ in 0..3 {
        a.append(vec![block(partition, 0, &[plain(1)])]).await;
        turns(&mut [&mut checkpointer], 6).await;
        assert_eq!(floor(&cluster).await, a.position(), "all is written");
        let before = cluster.get(&beat(TASK)).await;
        // Less than the hour in which producers are expired once.
        turns(&mut [&mut checkpointer], 40).await;
        assert_eq!(cluster.get(&beat(TASK)).await, before);
    }
    assert_eq!(holder(&cluster).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shard_that_is_left_to_itself_is_taken_care_of_and_left_again() {
    let cluster = Cluster::new(1).await;
    let (a, b, partition) = two(&cluster).await;
    a.append(vec![block(partition, 0, &[plain(1)])]).await;
    a.shard.fresh().await.unwrap();
    let mut beside = b.checkpointer(CheckpointSettings::default());
    b.shard.stand(false);
    until("it is let go", || !b.shard.is_followed()).await;
    turns(&mut [&mut beside], 60).await;
    assert_eq!(floor(&cluster).await, a.position());
    assert_eq!((holder(&cluster).await, b.shard.held()), (0, false));
    until("it is let go again", || !b.shard.is_followed()).await;
    turns(&mut [&mut beside], 60).await;
    assert_eq!(holder(&cluster).await, 0, "there is nothing to do");
}

#[tokio::test(start_paused = true)]
async fn who_stands_no_more_makes_room_for_who_does() {
    let cluster = Cluster::new(1).await;
    let (a, b, partition) = two(&cluster).await;
    let (mut old, mut new) =
        (a.checkpointer(CheckpointSettings::default()), b.checkpointer(CheckpointSettings::default()));
    a.append(vec![block(partition, 0, &[plain(1)])]).await;
    b.shard.fresh().await.unwrap();
    turns(&mut [&mut old, &mut new], 1).await;
    assert_eq!(holder(&cluster).await, 1);
    a.shard.stand(false);
    turns(&mut [&mut old, &mut new], 1).await;
    assert_eq!((holder(&cluster).await, a.shard.held()), (2, false));
    turns(&mut [&mut old, &mut new], 10).await;
    assert_eq!((holder(&cluster).await, floor(&cluster).await), (2, b.position()));
}
