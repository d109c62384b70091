//! Asking for erasures: one request, one entry in each shard, whatever becomes of a commit's answer.

use bytes::Bytes;
use siltstone_log::{Entry, ErasureId, KeyDigest, ShardId};
use siltstone_store::memory::Faults;

use super::kit::{self, Cluster, block, plain};
use crate::checkpoint::CheckpointSettings;
use crate::erase::{self, EraseError, MAX_KEYS_IN_FORCE};
use crate::keys::erasure;

const ALICE: Bytes = Bytes::from_static(b"alice");

async fn entries(cluster: &Cluster, shard: u16) -> Vec<ErasureId> {
    let log = cluster.log(ShardId(shard)).await;
    let of = |entry: &Entry| match entry {
        Entry::Erase { erasure, .. } => Some(*erasure),
        _ => None,
    };
    log.iter().filter_map(|(_, entry)| of(entry)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_request_lands_once_in_every_shard_of_the_topic() {
    for seed in 0..30 {
        let cluster = Cluster::new(4).await;
        let topic = cluster.topic("t", 3).await;
        let store = cluster.store.handle(seed);
        store.set_faults(Faults {
            commit_unavailable: 0.2,
            unknown_never: 0.2,
            unknown_applied: 0.2,
            conflict: 0.1,
            read_unavailable: 0.1,
            ..Faults::none()
        });
        let (id, row) = erase::ask(&store, &kit::ambient(seed), 4, "t", &[ALICE, ALICE]).await.unwrap();
        assert!(row.stamp.is_some() && row.named == 1 && row.keys.contains(&KeyDigest::of(topic.id, &ALICE)));
        let mut found: Vec<_> = Vec::new();
        for shard in 0..4 {
            found.extend(entries(&cluster, shard).await);
        }
        assert_eq!(found, [id; 3], "seed {seed}: a shard without a partition of it has none");
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_asked_for_is_refused() {
    let cluster = Cluster::new(2).await;
    cluster.topic("t", 1).await;
    let ambient = kit::ambient(1);
    let ask = async |topic: &'static str, keys: &[Bytes]| {
        erase::ask(&cluster.store, &ambient, 2, topic, keys).await.map(|(id, _)| id)
    };
    assert_eq!(ask("none", &[ALICE]).await, Err(EraseError::NoTopic("none".to_owned())));
    assert_eq!(ask("t", &[]).await, Err(EraseError::Keys(0)));
    let many: Vec<Bytes> = (0..257_u32).map(|n| Bytes::copy_from_slice(&n.to_be_bytes())).collect();
    assert_eq!(ask("t", &many).await, Err(EraseError::Keys(257)));
    for _ in 0..MAX_KEYS_IN_FORCE / 256 {
        ask("t", &many[..256]).await.unwrap();
    }
    assert_eq!(ask("t", &[ALICE]).await, Err(EraseError::TooManyKeys(MAX_KEYS_IN_FORCE)));
}

#[tokio::test(start_paused = true)]
async fn a_receipt_is_dropped_only_once_it_is_complete() {
    let cluster = Cluster::new(2).await;
    cluster.topic("t", 1).await;
    let (id, _) = erase::ask(&cluster.store, &kit::ambient(1), 2, "t", &[ALICE]).await.unwrap();
    erase::note_invisible(&cluster.store, id, 77).await.unwrap();
    erase::note_invisible(&cluster.store, id, 99).await.unwrap();
    let mut row = erase::row(cluster.snapshot().as_ref(), id).await.unwrap();
    assert_eq!(row.invisible, Some(77), "the first one counts");
    assert_eq!(erase::forget(&cluster.store, id).await, Err(EraseError::UnderWay(id)));
    row.completed = Some(100);
    cluster.put(vec![erasure::set(id, &row), erasure::set_upto(id, 0, 5)]).await;
    erase::forget(&cluster.store, id).await.unwrap();
    assert_eq!(erase::forget(&cluster.store, id).await, Err(EraseError::Unknown(id)));
    assert!(cluster.range(&erasure::details(id)).await.is_empty());
    assert!(erase::list(cluster.snapshot().as_ref()).await.unwrap().is_empty());
}

/// In a row by the next checkpoint, and still in force where it is loaded from there.
#[tokio::test(start_paused = true)]
async fn rows_keep_what_is_in_force() {
    let cluster = Cluster::new(1).await;
    let topic = cluster.topic("t", 1).await;
    let id = kit::id(&topic, 0);
    let agent = kit::Agent::loaded(&cluster, 5, &[id]).await;
    agent.append(vec![block(id, 0, &[plain(3)])]).await;
    erase::ask(&cluster.store, &kit::ambient(1), 1, "t", &[ALICE]).await.unwrap();
    let settings =
        CheckpointSettings { floor_lag: std::time::Duration::ZERO, ..CheckpointSettings::default() };
    let mut checkpointer = agent.checkpointer(settings);
    agent.shard.fresh().await.unwrap();
    for _ in 0..3 {
        checkpointer.round().await.unwrap();
    }
    assert!(cluster.log(kit::SHARD).await.is_empty(), "the floor has passed the entry");
    let other = kit::Agent::loaded(&cluster, 6, &[id]).await;
    let uptos = other.with(id, |state| state.row().erasures.values().map(|e| e.upto).collect::<Vec<_>>());
    assert_eq!(uptos, [3]);
}
