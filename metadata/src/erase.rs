//! Erasing records of keys for good: asking for it, and what is known of it (the right to be forgotten).
//!
//! A request is one transaction: the erasure's row, a change of the key that every rewriting of data rests on, and an `Erase` entry for each shard of the
//! topic. From the entry's place in the order on the records are hidden by whoever folds it; the compactor rewrites what holds them.
//!
//! Deliberately not here: waiting until all agents have folded the entries (the agent that was asked does), and the rewriting.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{
    ClusterRow, Entry, ErasureId, ErasureRow, ErasureScan, FormatError, KeyDigest, MAX_ERASED_KEYS,
    PartitionId, ShardId, TopicRow, shard_of,
};
use siltstone_store::{
    Commit, CommitError, KeyRange, Mutation, ReadAllError, Snapshot, Store, StoreError, read_all,
};

use crate::ambient::Ambient;
use crate::keys::{cluster, erasure, shard_log, shard_tick, topic_name};
use crate::shard::LEVEL_ERASE;

/// Keys of one topic that may be in force at once: each is looked for in every batch that is read.
pub const MAX_KEYS_IN_FORCE: usize = 1_024;
/// Erasures whose receipts are kept, in all.
pub const MAX_ERASURES: usize = 10_000;
/// Bytes of all erasures' rows, at most: those of so many.
const ROWS_BYTES: usize = 64 << 20;
/// Tries of one transaction before giving up.
const TRIES: u32 = 30;
const RETRY_FIRST: Duration = Duration::from_millis(5);
const RETRY_MOST: Duration = Duration::from_secs(1);

/// Why nothing was asked for, or nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EraseError {
    /// There is no such topic.
    #[error("there is no topic '{0}'")]
    NoTopic(String),
    /// No key, or too many.
    #[error("{0} keys: an erasure names 1 to {MAX_ERASED_KEYS}")]
    Keys(usize),
    /// Wait for earlier ones to be completed.
    #[error(
        "{0} keys of the topic are being erased already, and there is room for {MAX_KEYS_IN_FORCE}: wait until earlier erasures are completed"
    )]
    TooManyKeys(usize),
    /// Have some forgotten.
    #[error("there are {MAX_ERASURES} erasures: have the receipts of some forgotten")]
    TooManyErasures,
    /// Programs of the cluster may not know of erasures yet.
    #[error("the cluster's feature level is {0}; erasing needs {LEVEL_ERASE}")]
    Level(u32),
    /// There is no such erasure.
    #[error("there is no erasure {0}")]
    Unknown(ErasureId),
    /// It is not completed: without it records would come back.
    #[error("erasure {0} is not completed yet")]
    UnderWay(ErasureId),
    /// The store does not answer. Try again; a request may still take effect, which a list shows.
    #[error("the metadata store does not answer: {0}")]
    Unavailable(String),
    /// A row can't be read by this program.
    #[error("erasures can't be read: {0}")]
    Corrupt(String),
}

impl From<StoreError> for EraseError {
    fn from(error: StoreError) -> Self {
        EraseError::Unavailable(error.to_string())
    }
}

impl From<FormatError> for EraseError {
    fn from(error: FormatError) -> Self {
        EraseError::Corrupt(error.to_string())
    }
}

impl From<ReadAllError> for EraseError {
    fn from(error: ReadAllError) -> Self {
        EraseError::Unavailable(error.to_string())
    }
}

/// All erasures, as of the snapshot.
///
/// # Errors
/// [`EraseError::Unavailable`], [`EraseError::Corrupt`].
pub async fn list(snapshot: &dyn Snapshot) -> Result<Vec<(ErasureId, ErasureRow)>, EraseError> {
    let entries = read_all(snapshot, &erasure::all(), ROWS_BYTES).await?;
    let rows = entries.iter().filter_map(|(key, value)| Some((erasure::parse(key)?, value)));
    rows.map(|(id, value)| Ok((id, ErasureRow::decode(value)?))).collect()
}

/// The shards that hold partitions of a topic that has so many of them.
pub fn shards_of(topic: siltstone_log::TopicId, partitions: u32, shards: u16) -> BTreeSet<ShardId> {
    let some = 0..partitions.min(u32::from(shards));
    some.map(|index| shard_of(PartitionId { topic, index }, shards)).collect()
}

/// Asks that records of these keys be erased from a topic. Returns the erasure, whose entries are in the shards' logs by then.
///
/// # Errors
/// See [`EraseError`].
pub async fn ask(
    store: &dyn Store,
    ambient: &Ambient,
    shards: u16,
    topic: &str,
    keys: &[Bytes],
) -> Result<(ErasureId, ErasureRow), EraseError> {
    let distinct: BTreeSet<&Bytes> = keys.iter().collect();
    if distinct.is_empty() || distinct.len() > MAX_ERASED_KEYS {
        return Err(EraseError::Keys(distinct.len()));
    }
    let id = ErasureId(ambient.chance.next());
    let request = Request { id, topic, keys: &distinct, ambient, shards };
    let mut tries = Tries::new(store);
    loop {
        let step = request.step(store).await;
        if let Some(done) = tries.take(step).await? {
            return Ok(done);
        }
    }
}

/// What is asked for.
struct Request<'a> {
    id: ErasureId,
    topic: &'a str,
    keys: &'a BTreeSet<&'a Bytes>,
    ambient: &'a Ambient,
    shards: u16,
}

impl Request<'_> {
    async fn step(&self, store: &dyn Store) -> Result<Step<(ErasureId, ErasureRow)>, EraseError> {
        let snapshot = store.snapshot().await?;
        let known = list(snapshot.as_ref()).await?;
        if let Some((id, landed)) = known.iter().find(|(other, _)| *other == self.id) {
            return Ok(Step::Done((*id, landed.clone())));
        }
        let row = checked(snapshot.as_ref(), self.topic, self.keys, &known, self.ambient).await?;
        let mut mutations: Vec<Mutation> = erasure::ask(self.id, &row).into();
        let entry = Entry::Erase { erasure: self.id, topic: row.topic, keys: row.keys.clone() };
        tell(&mut mutations, &row, &entry, self.shards);
        let reads =
            vec![KeyRange::key(cluster::key()), KeyRange::key(topic_name::key(self.topic)), erasure::all()];
        Ok(Step::Commit(snapshot.version(), reads, mutations))
    }
}

/// What a request comes to, if it may be made.
async fn checked(
    snapshot: &dyn Snapshot,
    name: &str,
    keys: &BTreeSet<&Bytes>,
    known: &[(ErasureId, ErasureRow)],
    ambient: &Ambient,
) -> Result<ErasureRow, EraseError> {
    let found = snapshot.get(&cluster::key()).await?;
    let found = found.ok_or_else(|| EraseError::Unavailable("there is no cluster".to_owned()))?;
    let level = ClusterRow::decode(&found)?.level;
    if level < LEVEL_ERASE {
        return Err(EraseError::Level(level));
    }
    let topic = snapshot.get(&topic_name::key(name)).await?;
    let topic = topic.ok_or_else(|| EraseError::NoTopic(name.to_owned()))?;
    let topic = TopicRow::decode(&topic)?;
    if known.len() >= MAX_ERASURES {
        return Err(EraseError::TooManyErasures);
    }
    let in_force: usize =
        known.iter().filter(|(_, row)| row.topic == topic.id).map(|(_, row)| row.keys.len()).sum();
    if in_force + keys.len() > MAX_KEYS_IN_FORCE {
        return Err(EraseError::TooManyKeys(in_force));
    }
    Ok(ErasureRow {
        stamp: None,
        topic: topic.id,
        name: topic.name,
        partitions: topic.partitions,
        requested: ambient.clock.now(),
        named: keys.len() as u32,
        keys: keys.iter().map(|key| KeyDigest::of(topic.id, key)).collect(),
        invisible: None,
        scan: ErasureScan::Waits,
        scanned: None,
        completed: None,
        topic_deleted: false,
    })
}

/// Appends an entry to all shards of an erasure's topic.
pub fn tell(mutations: &mut Vec<Mutation>, row: &ErasureRow, entry: &Entry, shards: u16) {
    let bytes: Bytes = entry.encode().into();
    for shard in shards_of(row.topic, row.partitions, shards) {
        mutations.push(shard_log::append(shard, 0, bytes.clone()));
        mutations.push(shard_tick::tick(shard));
    }
}

/// Notes when all agents had ceased to serve the records. Once noted it stays.
///
/// # Errors
/// See [`EraseError`].
pub async fn note_invisible(store: &dyn Store, id: ErasureId, at: i64) -> Result<(), EraseError> {
    let mut tries = Tries::new(store);
    loop {
        let step = invisible_step(store, id, at).await;
        if let Some(()) = tries.take(step).await? {
            return Ok(());
        }
    }
}

async fn invisible_step(store: &dyn Store, id: ErasureId, at: i64) -> Result<Step<()>, EraseError> {
    let snapshot = store.snapshot().await?;
    let mut row = row(snapshot.as_ref(), id).await?;
    if row.invisible.is_some() {
        return Ok(Step::Done(()));
    }
    row.invisible = Some(at);
    let reads = vec![KeyRange::key(cluster::key()), KeyRange::key(erasure::key(id))];
    Ok(Step::Commit(snapshot.version(), reads, vec![erasure::set(id, &row)]))
}

/// Drops the receipt of an erasure that is completed.
///
/// # Errors
/// See [`EraseError`].
pub async fn forget(store: &dyn Store, id: ErasureId) -> Result<(), EraseError> {
    let mut tries = Tries::new(store);
    let mut sent = false;
    loop {
        let step = match forget_step(store, id).await {
            // By an earlier try.
            Err(EraseError::Unknown(_)) if sent => return Ok(()),
            step => step,
        };
        sent |= matches!(step, Ok(Step::Commit(..)));
        if let Some(()) = tries.take(step).await? {
            return Ok(());
        }
    }
}

async fn forget_step(store: &dyn Store, id: ErasureId) -> Result<Step<()>, EraseError> {
    let snapshot = store.snapshot().await?;
    if row(snapshot.as_ref(), id).await?.completed.is_none() {
        return Err(EraseError::UnderWay(id));
    }
    let reads = vec![KeyRange::key(cluster::key()), KeyRange::key(erasure::key(id))];
    let mutations =
        vec![Mutation::Clear { key: erasure::key(id) }, Mutation::ClearRange { range: erasure::details(id) }];
    Ok(Step::Commit(snapshot.version(), reads, mutations))
}

/// The row of an erasure.
///
/// # Errors
/// [`EraseError::Unknown`], [`EraseError::Unavailable`], [`EraseError::Corrupt`].
pub async fn row(snapshot: &dyn Snapshot, id: ErasureId) -> Result<ErasureRow, EraseError> {
    let found = snapshot.get(&erasure::key(id)).await?.ok_or(EraseError::Unknown(id))?;
    Ok(ErasureRow::decode(&found)?)
}

/// What a try comes to.
enum Step<T> {
    /// There is nothing (more) to do.
    Done(T),
    /// These are to be committed; then it is looked at again.
    Commit(siltstone_store::Version, Vec<KeyRange>, Vec<Mutation>),
}

/// Commits until a look shows that it is done. So a result that is unknown is found out.
struct Tries<'a> {
    store: &'a dyn Store,
    left: u32,
    pause: Duration,
}

impl<'a> Tries<'a> {
    fn new(store: &'a dyn Store) -> Self {
        Tries { store, left: TRIES, pause: RETRY_FIRST }
    }

    /// Does what one look came to. `None`: look again.
    async fn take<T>(&mut self, step: Result<Step<T>, EraseError>) -> Result<Option<T>, EraseError> {
        let why = match step {
            Ok(Step::Done(done)) => return Ok(Some(done)),
            Ok(Step::Commit(version, reads, mutations)) => {
                let commit = Commit { read_version: Some(version), reads, mutations, ..Commit::default() };
                match self.store.commit(commit).await {
                    Ok(_) => return Ok(None),
                    Err(CommitError::TooLarge(why)) => return Err(EraseError::Corrupt(why)),
                    Err(error) => error.to_string(),
                }
            }
            Err(EraseError::Unavailable(why)) => why,
            Err(error) => return Err(error),
        };
        self.left -= 1;
        if self.left == 0 {
            return Err(EraseError::Unavailable(why));
        }
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(RETRY_MOST);
        Ok(None)
    }
}
