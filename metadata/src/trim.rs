//! Raising log start offsets: entries that let go of a partition's oldest records.
//!
//! A trim only ever raises the log start, and never beyond the partition's end: the fold sees to both. So a trim that is sent twice, or
//! that lands late and behind a later one, does no harm, and an unknown result is answered by sending again.
//!
//! Deliberately not here: whether an offset lies within its partition (the caller looks first), waiting until the fold has
//! passed the entry ([`crate::follow::Followers::fresh`]), and giving the bytes back (the compactor).

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_log::{Entry, PartitionId, ShardId, shard_of};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Store};

use crate::ambient::Ambient;
use crate::keys::{cluster, shard_log, shard_tick};

/// Trims of one transaction: some 60 bytes each, far below what a transaction may hold.
const PER_COMMIT: usize = 1000;
/// Tries of one transaction before giving up: about half a minute.
const TRIES: usize = 30;
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(2);

/// Why not all was trimmed. Each partition is trimmed or not; doing it all again is harmless.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrimError {
    /// The store does not answer. Try again; what was sent may still take effect.
    #[error("log starts can't be raised now: {0}")]
    Unavailable(String),
    /// The store refuses the transaction as such: a defect.
    #[error("log starts can't be raised: {0}")]
    Refused(String),
}

/// Raises the log start of each partition to the offset beside it. Offsets at or below a log start change nothing, nor do partitions that don't exist.
///
/// # Errors
/// See [`TrimError`].
pub async fn trim(
    store: &dyn Store,
    ambient: &Ambient,
    shards: u16,
    trims: &[(PartitionId, i64)],
) -> Result<(), TrimError> {
    for some in trims.chunks(PER_COMMIT) {
        commit(store, ambient, mutations(shards, some)).await?;
    }
    Ok(())
}

/// One entry each, in the order given, and a tick for every shard concerned.
fn mutations(shards: u16, trims: &[(PartitionId, i64)]) -> Vec<Mutation> {
    let mut next: BTreeMap<ShardId, u16> = BTreeMap::new();
    let mut mutations = Vec::with_capacity(trims.len() + usize::from(shards).min(trims.len()));
    for (partition, offset) in trims {
        let shard = shard_of(*partition, shards);
        let index = next.entry(shard).or_insert(0);
        let entry = Entry::Trim { partition: *partition, offset: (*offset).max(0) };
        mutations.push(shard_log::append(shard, *index, entry.encode()));
        *index += 1;
    }
    mutations.extend(next.into_keys().map(shard_tick::tick));
    mutations
}

/// Sends until the result is known. Every try reads the cluster's row, so that nothing lands in a restored cluster.
async fn commit(store: &dyn Store, ambient: &Ambient, mutations: Vec<Mutation>) -> Result<(), TrimError> {
    let mut pause = RETRY_FIRST;
    let mut last = String::new();
    for attempt in 0..TRIES {
        if attempt > 0 {
            let spread = Duration::from_millis((ambient.chance.next() % 8) as u64);
            tokio::time::sleep(pause + spread).await;
            pause = (pause * 2).min(RETRY_MOST);
        }
        let version = match store.snapshot().await {
            Ok(snapshot) => snapshot.version(),
            Err(error) => {
                last = error.to_string();
                continue;
            }
        };
        let reads = vec![KeyRange::key(cluster::key())];
        let commit =
            Commit { read_version: Some(version), reads, mutations: mutations.clone(), ..Commit::default() };
        match store.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(CommitError::TooLarge(why)) => return Err(TrimError::Refused(why)),
            Err(error) => last = error.to_string(),
        }
    }
    Err(TrimError::Unavailable(last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use siltstone_log::TopicId;

    #[test]
    fn entries_of_one_shard_are_numbered_and_each_shard_ticks_once() {
        let at = |index| PartitionId { topic: TopicId(7), index };
        // Of four shards, partitions 0 and 4 fall on the same one.
        let trims = [(at(0), 5), (at(4), 6), (at(1), -3)];
        let all = mutations(4, &trims);
        assert_eq!(all.len(), 3 + 2);
        let (same, other) = (shard_of(at(0), 4), shard_of(at(1), 4));
        let entry = |partition, offset| Entry::Trim { partition, offset }.encode();
        assert_eq!(all[0], shard_log::append(same, 0, entry(at(0), 5)));
        assert_eq!(all[1], shard_log::append(same, 1, entry(at(4), 6)));
        assert_eq!(all[2], shard_log::append(other, 0, entry(at(1), 0)));
        assert!(all[3..].contains(&shard_tick::tick(same)) && all[3..].contains(&shard_tick::tick(other)));
    }
}
