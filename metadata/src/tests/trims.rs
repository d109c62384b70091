//! Trims: whatever becomes of a commit's answer, the entry is in the log in the end.

use siltstone_log::{Entry, PartitionId, Position, shard_of};
use siltstone_store::memory::Faults;

use super::kit::{self, Cluster};
use crate::trim::{TrimError, trim};

async fn trims(cluster: &Cluster, partition: PartitionId) -> Vec<i64> {
    let log = cluster.log(shard_of(partition, cluster.shards)).await;
    let offset = |entry: &(Position, Entry)| match &entry.1 {
        Entry::Trim { partition: of, offset } if *of == partition => Some(*offset),
        _ => None,
    };
    log.iter().filter_map(offset).collect()
}

#[tokio::test(start_paused = true)]
async fn a_trim_is_sent_until_its_result_is_known() {
    for seed in 0..30 {
        let cluster = Cluster::new(4).await;
        let topic = cluster.topic("t", 2).await;
        let at = |index| PartitionId { topic: topic.id, index };
        let store = cluster.store.handle(seed);
        store.set_faults(Faults {
            commit_unavailable: 0.2,
            unknown_never: 0.2,
            unknown_applied: 0.2,
            conflict: 0.1,
            read_unavailable: 0.1,
            ..Faults::none()
        });
        trim(&store, &kit::ambient(seed), 4, &[(at(0), 5), (at(1), 7)]).await.unwrap();
        let (first, second) = (trims(&cluster, at(0)).await, trims(&cluster, at(1)).await);
        // Perhaps more than once, which does no harm; never without the other: it is one transaction.
        assert!(!first.is_empty() && first.iter().all(|offset| *offset == 5), "seed {seed}");
        assert!(second.len() == first.len() && second.iter().all(|offset| *offset == 7), "seed {seed}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_for_good_is_an_error_in_the_end() {
    let cluster = Cluster::new(4).await;
    let topic = cluster.topic("t", 1).await;
    let partition = PartitionId { topic: topic.id, index: 0 };
    let store = cluster.store.handle(1);
    store.set_faults(Faults { cut: true, ..Faults::none() });
    let result = trim(&store, &kit::ambient(1), 4, &[(partition, 5)]).await;
    assert!(matches!(result, Err(TrimError::Unavailable(_))), "{result:?}");
    assert_eq!(trims(&cluster, partition).await, Vec::<i64>::new());
}
