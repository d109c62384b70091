//! After the metadata came back from a backup: whoever worked on what was there before must not go on with it (design, section 3, "Incarnation").
//!
//! ```text
//! nothing in the store is from its future? ▸ every registration ended ▸ one transaction: no registration is left, new incarnation, producer ids skipped
//! ```
//!
//! Every write of an agent has its registration in its read set, every write of a lease's holder that and the cluster's row: so nothing that an agent
//! knows from before takes effect any more, and it begins anew, with nothing in memory. What it had stored since the backup
//! is left over under its name; `siltstone fsck` finds that.

use bytes::Bytes;
use siltstone_log::{ClusterRow, Position, RegistrationId, RegistrationRow, ShardId};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, RangeLimit, Snapshot, Stamp, Store, Version};

use super::registration::{RegisterError, all, end, existing_cluster, pause};
use crate::ambient::Ambient;
use crate::keys::{catalog_floor, catalog_log, cluster, producer_ids, registration, shard_floor, shard_log};

const TRIES: usize = 20;
/// So many producer ids may have been given out since the backup: a new producer with one of those would be taken for the old one, and its records for
/// repeats. A billion a second for three hours; there are 2^63.
const SKIPPED: u64 = 1 << 43;

/// What [`restored`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The cluster's row, with its new incarnation.
    pub cluster: ClusterRow,
    /// Whose registrations were in the backup, and are over now.
    pub ended: Vec<RegistrationRow>,
}

/// Why the restored metadata can't be used yet.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RestoreError {
    /// See there.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// Nobody ever made a cluster in this store.
    #[error("there is no cluster in it")]
    NoCluster,
    /// What would be written now would sort before what is there.
    #[error(
        "the store is at version {}, but entries of version {} are in it: it counts anew since it was restored. Let it go on from there (FoundationDB: fdbcli --exec 'advanceversion {}'), then run this again", now.0, there.0, there.0 + 1
    )]
    Behind {
        /// The store's version.
        now: Version,
        /// The highest of an entry or floor.
        there: Version,
    },
    /// Agents go on registering.
    #[error("agents or compactors go on registering: stop all of them first")]
    Busy,
}

/// Makes the cluster another incarnation: to be called once after a restore, before any agent starts.
///
/// # Errors
/// [`RestoreError`]. Repeating it does no harm.
pub async fn restored(store: &dyn Store, ambient: &Ambient) -> Result<Restored, RestoreError> {
    let row = existing_cluster(store).await?.ok_or(RestoreError::NoCluster)?;
    in_order(store, row.shards).await?;
    let mut ended = Vec::new();
    for _ in 0..TRIES {
        let snapshot = store.snapshot().await.map_err(RegisterError::from)?;
        let there = all(&*snapshot).await?;
        if there.is_empty() {
            if let Some(cluster) = begin(store, &*snapshot, ambient).await? {
                return Ok(Restored { cluster, ended });
            }
            continue;
        }
        drop(snapshot);
        for other in there {
            end(store, other.id, row.shards, None).await?;
            ended.push(other);
        }
    }
    Err(RestoreError::Busy)
}

/// The new incarnation, unless somebody came between.
async fn begin(
    store: &dyn Store,
    snapshot: &dyn Snapshot,
    ambient: &Ambient,
) -> Result<Option<ClusterRow>, RestoreError> {
    let read = async |key: Bytes| snapshot.get(&key).await.map_err(RegisterError::from);
    let row = read(cluster::key()).await?.ok_or(RestoreError::NoCluster)?;
    let row = ClusterRow::decode(&row).map_err(RegisterError::from)?;
    let row = ClusterRow { incarnation: ambient.chance.next(), ..row };
    let given = producer_ids::decode(read(producer_ids::key()).await?.as_deref()).unwrap_or(0);
    let next = given.saturating_add(SKIPPED).to_be_bytes();
    let commit = Commit {
        read_version: Some(snapshot.version()),
        reads: vec![registration::all(), KeyRange::key(cluster::key()), KeyRange::key(producer_ids::key())],
        mutations: vec![
            Mutation::Set { key: cluster::key(), value: row.encode().into() },
            Mutation::Set { key: producer_ids::key(), value: Bytes::copy_from_slice(&next) },
        ],
        ..Commit::default()
    };
    match store.commit(commit).await {
        Ok(_) => Ok(Some(row)),
        // Of an unknown result: once more, which does no harm.
        Err(error @ (CommitError::Conflict | CommitError::TooOld | CommitError::Unknown(_))) => {
            tracing::debug!(%error, "once more");
            pause(3, RegistrationId(ambient.chance.next())).await;
            Ok(None)
        }
        Err(error) => Err(RegisterError::Unavailable(error.to_string()).into()),
    }
}

/// Whether all that is in the logs, and all floors, are of the store's past.
async fn in_order(store: &dyn Store, shards: u16) -> Result<(), RestoreError> {
    let snapshot = store.snapshot().await.map_err(RegisterError::from)?;
    let mut there = newest(&*snapshot, catalog_log::after(Position::ZERO), catalog_log::position).await?;
    there = there.max(floor(&*snapshot, catalog_floor::key()).await?);
    for shard in (0..shards).map(ShardId) {
        let entries = shard_log::after(shard, Position::ZERO);
        there = there.max(newest(&*snapshot, entries, shard_log::position).await?);
        there = there.max(floor(&*snapshot, shard_floor::key(shard)).await?);
    }
    let now = snapshot.version();
    if there > now { Err(RestoreError::Behind { now, there }) } else { Ok(()) }
}

async fn newest(
    snapshot: &dyn Snapshot,
    entries: KeyRange,
    position: fn(&[u8]) -> Option<Position>,
) -> Result<Version, RestoreError> {
    let last = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
    let page = snapshot.range(&entries, last).await.map_err(RegisterError::from)?;
    Ok(page.entries.first().and_then(|(key, _)| position(key)).map_or(Version(0), version))
}

async fn floor(snapshot: &dyn Snapshot, key: Bytes) -> Result<Version, RestoreError> {
    let found = snapshot.get(&key).await.map_err(RegisterError::from)?;
    Ok(shard_floor::decode(found.as_deref()).map_or(Version(0), version))
}

fn version(position: Position) -> Version {
    let mut stamp = [0; Stamp::LEN];
    stamp.copy_from_slice(&position.0[..Stamp::LEN]);
    Stamp(stamp).version()
}
