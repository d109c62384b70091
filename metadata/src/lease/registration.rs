//! Registrations: an agent's life under one random id, ended once, never used again (design, sections 2 and 3).

use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{
    ClusterRow, Entry, FormatError, RegistrationId, RegistrationRow, ShardId, Standing, mix64,
};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Snapshot, Store, StoreError};

use super::present::cut;
use super::standing::{everything, set as set_standing};
use crate::ambient::Ambient;
use crate::bugs::{self, Bug};
use crate::keys::{
    beat, cluster, ended_registration, registration, roster_log, shard_log, shard_tick, standing,
};
use crate::shard::{MAX_LEVEL, MIN_LEVEL};

pub(super) const TRIES: usize = 100;
/// So many changes of who is there are kept. Who missed more of them reads all registrations.
const ROSTER_LOG: usize = 100;

/// Why an agent can't begin.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RegisterError {
    /// The store does not answer.
    #[error("the metadata store is not available: {0}")]
    Unavailable(String),
    /// It is not there, though a try to begin it may have landed: then it has been ended since, or lands later. Begin another one, under a new id:
    /// this one must not come back.
    #[error("whether the registration began is not known, and it is not there")]
    Lost,
    /// A row can't be read.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The cluster's feature level is not one that this program follows.
    #[error("the cluster is at feature level {0}; this program follows {MIN_LEVEL} to {MAX_LEVEL}")]
    Level(u32),
    /// Another agent that lives has this node id.
    #[error("node id {node} belongs to the agent at {place}; a dead agent's is free again after its lease")]
    NodeTaken {
        /// The id.
        node: u32,
        /// Where that agent is reached, as host:port.
        place: String,
    },
}

impl From<StoreError> for RegisterError {
    fn from(error: StoreError) -> Self {
        RegisterError::Unavailable(error.to_string())
    }
}

/// A longer one after each attempt, and of other length for each registration: many agents begin at once after an outage, and of
/// those that look again at the same moment only one goes on.
pub(super) async fn pause(attempt: usize, id: RegistrationId) {
    let RegistrationId(id) = id;
    let chance = mix64((id >> 64) as u64 ^ id as u64 ^ mix64(attempt as u64));
    // 1/256 to twice the mean.
    let mean = Duration::from_millis(1 << attempt.min(8));
    tokio::time::sleep(mean * (1 + (chance >> 55) as u32) / 256).await;
}

/// Reads what the cluster is; `None` if nobody has made it yet.
///
/// # Errors
/// See [`RegisterError`].
pub async fn existing_cluster(store: &dyn Store) -> Result<Option<ClusterRow>, RegisterError> {
    let found = store.snapshot().await?.get(&cluster::key()).await?;
    let Some(row) = found.map(|bytes| ClusterRow::decode(&bytes)).transpose()? else { return Ok(None) };
    if (MIN_LEVEL..=MAX_LEVEL).contains(&row.level) {
        Ok(Some(row))
    } else {
        Err(RegisterError::Level(row.level))
    }
}

/// Reads what the cluster is, or makes it: `new` with an id and an incarnation drawn now.
///
/// # Errors
/// See [`RegisterError`].
pub async fn open_cluster(
    store: &dyn Store,
    ambient: &Ambient,
    shards: u16,
) -> Result<ClusterRow, RegisterError> {
    let mut last = String::new();
    for attempt in 0..TRIES {
        let snapshot = store.snapshot().await?;
        if let Some(found) = snapshot.get(&cluster::key()).await? {
            let row = ClusterRow::decode(&found)?;
            return if (MIN_LEVEL..=MAX_LEVEL).contains(&row.level) {
                Ok(row)
            } else {
                Err(RegisterError::Level(row.level))
            };
        }
        let row = new_cluster(ambient, shards);
        let level: Bytes = Entry::Feature { level: row.level }.encode().into();
        let mut mutations = vec![Mutation::Set { key: cluster::key(), value: row.encode().into() }];
        mutations.extend((0..shards).map(|shard| shard_log::append(ShardId(shard), 0, level.clone())));
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: vec![KeyRange::key(cluster::key())],
            mutations,
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(row),
            Err(error) => last = error.to_string(),
        }
        pause(attempt, RegistrationId(ambient.chance.next())).await;
    }
    Err(RegisterError::Unavailable(last))
}

fn new_cluster(ambient: &Ambient, shards: u16) -> ClusterRow {
    let id = ambient.chance.next().to_be_bytes();
    ClusterRow {
        cluster_id: base64_url(&id),
        incarnation: ambient.chance.next(),
        shards,
        created: ambient.clock.now(),
        level: MAX_LEVEL,
    }
}

/// Kafka's cluster ids are 16 bytes in URL-safe base 64 without padding: 22 characters.
fn base64_url(bytes: &[u8; 16]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let value = u128::from_be_bytes(*bytes);
    (0..22)
        .map(|digit| {
            let shift = 122 - 6 * digit;
            let index = if shift >= 0 { value >> shift } else { value << -shift };
            char::from(DIGITS[(index & 63) as usize])
        })
        .collect()
}

/// Begins a registration.
///
/// # Errors
/// See [`RegisterError`].
pub async fn register(store: &dyn Store, row: &RegistrationRow) -> Result<(), RegisterError> {
    let (mut last, mut may_have_landed) = (String::new(), false);
    let key = registration::key(row.id);
    for attempt in 0..TRIES {
        let snapshot = store.snapshot().await?;
        if snapshot.get(&key).await?.is_some() {
            return Ok(());
        }
        if may_have_landed {
            return Err(RegisterError::Lost);
        }
        follows(&*snapshot, row).await?;
        // The id is new and only this agent knows it. Still it is read: a try whose result is unknown may land late, and must not bring
        // a registration back that was ended meanwhile.
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: vec![KeyRange::key(key.clone()), KeyRange::key(cluster::key())],
            mutations: beginning(&*snapshot, row, Standing::FULL).await?,
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                may_have_landed = matches!(error, CommitError::Unknown(_));
                last = error.to_string();
            }
        }
        pause(attempt, row.id).await;
    }
    Err(RegisterError::Unavailable(last))
}

/// Begins a registration beside those of other agents, under a node id that none of them has: `row.node`, or the lowest free one if
/// that is `None`. An agent at the same address is a former life of this one: its id may be used again, while its registration runs out. It
/// stands as `standing` says from the first moment on. Returns the row as written.
///
/// # Errors
/// See [`RegisterError`]: also if another agent has the node id.
pub async fn join(
    store: &dyn Store,
    row: RegistrationRow,
    node: Option<u32>,
    standing: Standing,
) -> Result<RegistrationRow, RegisterError> {
    let (mut last, mut may_have_landed) = (String::new(), false);
    let key = registration::key(row.id);
    for attempt in 0..TRIES {
        let snapshot = store.snapshot().await?;
        if let Some(written) = snapshot.get(&key).await? {
            return Ok(RegistrationRow::decode(&written)?);
        }
        if may_have_landed {
            return Err(RegisterError::Lost);
        }
        follows(&*snapshot, &row).await?;
        let mut others = all(&*snapshot).await?;
        others.retain(|other| other.role == row.role && (&other.host, other.port) != (&row.host, row.port));
        let node = match node {
            Some(node) => node,
            None => (1..).find(|node| others.iter().all(|other| other.node != *node)).unwrap_or(0),
        };
        if let Some(other) = others.iter().find(|other| other.node == node) {
            return Err(RegisterError::NodeTaken { node, place: format!("{}:{}", other.host, other.port) });
        }
        let row = RegistrationRow { node, ..row.clone() };
        let commit = Commit {
            read_version: Some(snapshot.version()),
            // Of two that begin at once with one id, the second looks again.
            reads: vec![registration::all(), KeyRange::key(cluster::key())],
            mutations: beginning(&*snapshot, &row, standing).await?,
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(row),
            Err(error) => {
                may_have_landed = matches!(error, CommitError::Unknown(_));
                last = error.to_string();
            }
        }
        pause(attempt, row.id).await;
    }
    Err(RegisterError::Unavailable(last))
}

/// What begins a registration. Whoever comes cuts the log of who came and went.
async fn beginning(
    snapshot: &dyn Snapshot,
    row: &RegistrationRow,
    standing: Standing,
) -> Result<Vec<Mutation>, RegisterError> {
    let mut mutations = vec![
        Mutation::Set { key: registration::key(row.id), value: row.encode().into() },
        Mutation::Add { key: beat::key(row.id), delta: 1 },
        set_standing(row.id, standing),
    ];
    mutations.extend(cut(snapshot, ROSTER_LOG).await?.map(|range| Mutation::ClearRange { range }));
    mutations.extend(roster_log::changed(row.id));
    Ok(mutations)
}

/// Whether it can follow the level that the cluster is at. Read with the registration's transaction: the level may be raised at any time by
/// somebody who asks those who are registered.
async fn follows(snapshot: &dyn Snapshot, row: &RegistrationRow) -> Result<(), RegisterError> {
    let found = snapshot.get(&cluster::key()).await?.map(|bytes| ClusterRow::decode(&bytes)).transpose()?;
    match found {
        Some(found)
            if !(row.lowest_level..=row.highest_level).contains(&found.level)
                && !bugs::on(Bug::JoinUnfit) =>
        {
            Err(RegisterError::Level(found.level))
        }
        Some(_) | None => Ok(()),
    }
}

/// All registrations that have not been ended.
///
/// # Errors
/// See [`RegisterError`].
pub async fn list(store: &dyn Store) -> Result<Vec<RegistrationRow>, RegisterError> {
    all(&*store.snapshot().await?).await
}

pub(super) async fn all(snapshot: &dyn Snapshot) -> Result<Vec<RegistrationRow>, RegisterError> {
    let rows = everything(snapshot, registration::all()).await?;
    rows.iter().map(|(_, value)| Ok(RegistrationRow::decode(value)?)).collect()
}

/// Ends a registration: deletes its row and tells all shards, in one transaction. With `beat_seen` only if its beat is still that; without, whatever it
/// is (one's own, or one whose process is known to be gone). Returns whether it is over.
///
/// # Errors
/// [`RegisterError::Unavailable`]: it may or may not be over.
pub async fn end(
    store: &dyn Store,
    id: RegistrationId,
    shards: u16,
    beat_seen: Option<Option<Bytes>>,
) -> Result<bool, RegisterError> {
    let mut last = String::new();
    for attempt in 0..TRIES {
        let snapshot = store.snapshot().await?;
        if snapshot.get(&registration::key(id)).await?.is_none() {
            return Ok(true);
        }
        let mut reads = vec![KeyRange::key(registration::key(id))];
        if let Some(seen) = &beat_seen {
            if snapshot.get(&beat::key(id)).await? != *seen {
                return Ok(false);
            }
            reads.push(KeyRange::key(beat::key(id)));
        }
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads,
            mutations: ending(id, shards),
            ..Commit::default()
        };
        match store.commit(commit).await {
            Ok(_) => return Ok(true),
            Err(CommitError::Conflict) if beat_seen.is_some() => return Ok(false),
            Err(error) => last = error.to_string(),
        }
        pause(attempt, id).await;
    }
    Err(RegisterError::Unavailable(last))
}

/// Has reclaim look once more for what a registration that is over has left over: to be called by its process, once nothing of it is
/// under way any more. A writer that was paused for long may have stored something after others had looked. Tries until the store takes it; what stays because
/// the caller gives up before, fsck finds.
pub async fn look_again(store: &dyn Store, id: RegistrationId) {
    for attempt in 0.. {
        let commit = Commit { mutations: vec![ended_registration::set(id)], ..Commit::default() };
        match store.commit(commit).await {
            Ok(_) => return,
            Err(error) => tracing::debug!(%error, "what the registration left over is not looked for yet"),
        }
        pause(attempt, id).await;
    }
}

fn ending(id: RegistrationId, shards: u16) -> Vec<Mutation> {
    let own = [registration::key(id), beat::key(id), standing::key(id)];
    let mut mutations: Vec<Mutation> = own.into_iter().map(|key| Mutation::Clear { key }).collect();
    mutations.push(ended_registration::set(id));
    mutations.extend(roster_log::changed(id));
    let entry: Bytes = Entry::Ended { registration: id }.encode().into();
    for shard in (0..shards).map(ShardId) {
        mutations.push(shard_log::append(shard, 0, entry.clone()));
        mutations.push(shard_tick::tick(shard));
    }
    mutations
}

#[cfg(test)]
mod tests {
    #[test]
    fn cluster_ids_look_like_kafkas() {
        assert_eq!(super::base64_url(&[0; 16]), "A".repeat(22));
        assert_eq!(super::base64_url(&[0xff; 16]), format!("{}w", "_".repeat(21)));
    }
}
