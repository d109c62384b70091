//! Changing the catalog: each change is one serializable transaction, decided on what it read.
//!
//! A commit whose result is unknown is looked at again: the change carries an id (or is absolute), so that a second try sees whether the first took effect.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{
    CatalogEntry, Configs, Entry, FormatError, MAX_PARTITIONS, PartitionId, TopicId, TopicRow,
    decode_configs, encode_configs, shard_of,
};
use siltstone_store::{
    Commit, CommitError, Entry as StoreEntry, KeyRange, Mutation, ReadAllError, Store, StoreError, Version,
    read_all,
};

use crate::ambient::Ambient;
use crate::bugs::{self, Bug};
use crate::keys::{
    broker_configs, catalog_log, catalog_tick, cluster, producer_ids, shard_log, shard_tick, topic_id,
    topic_name,
};

/// Tries before a contended change gives up.
const TRIES: usize = 50;
/// Most bytes of what is read beside a row: registrations of thousands of agents.
const MOST_BESIDE: usize = 16 << 20;

/// Why a change was not made.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CatalogError {
    /// There is one of that name already.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// There is none (any more).
    #[error("there is no such topic")]
    NoTopic,
    /// Partitions are only ever added.
    #[error("topic has {0} partitions already; their number can only grow")]
    NotMore(u32),
    /// The caller's check of the current row refused.
    #[error("{0}")]
    Refused(String),
    /// The store does not answer, or others change the same all the time; try again. Whether the change was made is not known.
    #[error("the catalog can't be changed now: {0}")]
    Unavailable(String),
    /// A row can't be read.
    #[error("catalog: {0}")]
    Format(#[from] FormatError),
}

impl From<StoreError> for CatalogError {
    fn from(error: StoreError) -> Self {
        CatalogError::Unavailable(error.to_string())
    }
}

/// A topic to be made.
#[derive(Debug, Clone)]
pub struct NewTopic {
    /// Its name, checked by the caller.
    pub name: String,
    /// How many partitions, at least 1.
    pub partitions: u32,
    /// As the client asked.
    pub replication_factor: i16,
    /// Set for it, checked by the caller.
    pub configs: Configs,
}

/// Makes changes.
#[derive(Clone)]
pub struct Changes {
    store: Arc<dyn Store>,
    ambient: Ambient,
    pub(super) shards: u16,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Changes")
    }
}

/// A change put together from what was read: what to write, and what to answer if it takes effect.
pub(super) struct Plan<T> {
    pub(super) mutations: Vec<Mutation>,
    pub(super) answer: T,
}

/// Beyond the limit the fold's decoders would refuse the entry, and every shard that got it would halt.
fn check_partitions(count: u32) -> Result<(), CatalogError> {
    match count {
        0 => Err(CatalogError::Refused("a topic has at least one partition".into())),
        1..=MAX_PARTITIONS => Ok(()),
        _ => Err(CatalogError::Refused(format!("{count} partitions; a topic has at most {MAX_PARTITIONS}"))),
    }
}

impl Changes {
    /// Changes in `store`, whose cluster has so many shards.
    pub fn new(store: Arc<dyn Store>, ambient: Ambient, shards: u16) -> Self {
        Changes { store, ambient, shards }
    }

    /// Creates a topic.
    ///
    /// # Errors
    /// [`CatalogError::Exists`]; [`CatalogError::Refused`] over [`MAX_PARTITIONS`]; [`CatalogError::Unavailable`].
    pub async fn create(&self, new: NewTopic) -> Result<TopicRow, CatalogError> {
        check_partitions(new.partitions)?;
        // Every try has an id of its own: one that was made in a try whose result was unknown may have been deleted by somebody since,
        // and an id must not come back then.
        let mut tried = Vec::new();
        self.run(topic_name::key(&new.name), |found| {
            if let Some(found) = found {
                let found = TopicRow::decode(&found)?;
                // This very creation took effect in a try whose result was unknown.
                if tried.contains(&found.id) {
                    return Ok(Err(found));
                }
                return Err(CatalogError::Exists(new.name.clone()));
            }
            let row = self.new_row(&new);
            tried.push(row.id);
            let mut mutations = self.put(&row);
            mutations.push(Mutation::Set { key: topic_id::key(row.id), value: row.name.clone().into() });
            self.tell_created(&mut mutations, &row, 0);
            Ok(Ok(Plan { mutations, answer: row }))
        })
        .await
    }

    /// Deletes the topic with this id.
    ///
    /// # Errors
    /// [`CatalogError::NoTopic`]; [`CatalogError::Unavailable`].
    pub async fn delete(&self, name: &str, id: TopicId) -> Result<(), CatalogError> {
        let mut tried = false;
        let key = topic_name::key(name);
        self.run(key.clone(), |found| {
            let again = std::mem::replace(&mut tried, true);
            let found = found.map(|bytes| TopicRow::decode(&bytes)).transpose()?;
            let Some(mut row) = found.filter(|row| row.id == id) else {
                return if again { Ok(Err(())) } else { Err(CatalogError::NoTopic) };
            };
            let mut mutations = vec![
                Mutation::Clear { key: key.clone() },
                Mutation::Clear { key: topic_id::key(id) },
                catalog_log::append(0, CatalogEntry::Removed { id, name: name.to_owned() }.encode()),
                catalog_tick::tick(),
            ];
            if bugs::on(Bug::DeletedUntold) {
                row.partitions = 1;
            }
            self.tell(&mut mutations, &row, 0, &Entry::Deleted { topic: id });
            Ok(Ok(Plan { mutations, answer: () }))
        })
        .await
    }

    /// Changes a topic's row as `change` says; if it raises the number of partitions the shards are told.
    ///
    /// # Errors
    /// What `change` refuses; [`CatalogError::NoTopic`]; [`CatalogError::Unavailable`].
    pub async fn alter(
        &self,
        name: &str,
        change: impl Fn(&mut TopicRow) -> Result<(), CatalogError>,
    ) -> Result<TopicRow, CatalogError> {
        self.run(topic_name::key(name), |found| {
            let Some(found) = found else { return Err(CatalogError::NoTopic) };
            let old = TopicRow::decode(&found)?;
            let mut row = old.clone();
            change(&mut row)?;
            if row == old {
                return Ok(Err(row));
            }
            check_partitions(row.partitions)?;
            if row.partitions < old.partitions {
                return Err(CatalogError::NotMore(old.partitions));
            }
            let mut mutations = self.put(&row);
            if row.partitions > old.partitions {
                self.tell_created(&mut mutations, &row, old.partitions);
            }
            Ok(Ok(Plan { mutations, answer: row }))
        })
        .await
    }

    /// Raises the number of partitions of a topic to `partitions`.
    ///
    /// # Errors
    /// [`CatalogError::NotMore`] if it isn't more; else as [`Changes::alter`]. A repeat after an unknown result answers `Ok`.
    pub async fn add_partitions(
        &self,
        name: &str,
        from: u32,
        partitions: u32,
    ) -> Result<TopicRow, CatalogError> {
        self.alter(name, |row| {
            if row.partitions == partitions && from < partitions {
                return Ok(());
            }
            if row.partitions >= partitions {
                return Err(CatalogError::NotMore(row.partitions));
            }
            row.partitions = partitions;
            Ok(())
        })
        .await
    }

    /// Changes the configs of a broker, or with an empty node those of all.
    ///
    /// # Errors
    /// What `change` refuses; [`CatalogError::Unavailable`].
    pub async fn alter_broker(
        &self,
        node: &str,
        change: impl Fn(&mut Configs) -> Result<(), CatalogError>,
    ) -> Result<(), CatalogError> {
        let key = broker_configs::key(node);
        self.run(key.clone(), |found| {
            let mut configs = found.map(|bytes| decode_configs(&bytes)).transpose()?.unwrap_or_default();
            let old = configs.clone();
            change(&mut configs)?;
            if configs == old {
                return Ok(Err(()));
            }
            let entry = CatalogEntry::Broker { node: node.to_owned(), configs: configs.clone() };
            let row = if configs.is_empty() {
                Mutation::Clear { key: key.clone() }
            } else {
                Mutation::Set { key: key.clone(), value: encode_configs(&configs).into() }
            };
            let mutations = vec![row, catalog_log::append(0, entry.encode()), catalog_tick::tick()];
            Ok(Ok(Plan { mutations, answer: () }))
        })
        .await
    }

    /// Takes `count` producer ids that nobody else gets: the first of them.
    ///
    /// # Errors
    /// [`CatalogError::Unavailable`]. Ids taken in a try whose result was unknown are never used.
    pub async fn take_producer_ids(&self, count: u64) -> Result<i64, CatalogError> {
        self.run(producer_ids::key(), |found| {
            let next = producer_ids::decode(found.as_deref())
                .ok_or_else(|| CatalogError::Refused("the producer id counter can't be read".into()))?;
            let after = next.checked_add(count).filter(|after| *after <= i64::MAX as u64);
            let after = after.ok_or_else(|| CatalogError::Refused("all producer ids are used up".into()))?;
            let value = Bytes::copy_from_slice(&after.to_be_bytes());
            let mutations = vec![Mutation::Set { key: producer_ids::key(), value }];
            Ok(Ok(Plan { mutations, answer: next as i64 }))
        })
        .await
    }

    fn new_row(&self, new: &NewTopic) -> TopicRow {
        TopicRow {
            id: self.new_topic_id(),
            created: self.ambient.clock.now(),
            name: new.name.clone(),
            partitions: new.partitions,
            replication_factor: new.replication_factor,
            configs: new.configs.clone(),
        }
    }

    fn new_topic_id(&self) -> TopicId {
        // A random UUID, version 4, as Kafka's; version and variant bits keep it from being zero.
        let bytes = self.ambient.chance.next().to_be_bytes();
        TopicId(uuid::Builder::from_random_bytes(bytes).into_uuid().as_u128())
    }

    fn put(&self, row: &TopicRow) -> Vec<Mutation> {
        vec![
            Mutation::Set { key: topic_name::key(&row.name), value: row.encode().into() },
            catalog_log::append(0, CatalogEntry::Topic(row.clone()).encode()),
            catalog_tick::tick(),
        ]
    }

    fn tell_created(&self, mutations: &mut Vec<Mutation>, row: &TopicRow, first: u32) {
        let at = self.ambient.clock.now();
        let entry = Entry::Created { topic: row.id, first, end: row.partitions, at };
        self.tell(mutations, row, 0, &entry);
    }

    /// Appends `entry` to every shard that has, or may have had, a partition of the topic.
    fn tell(&self, mutations: &mut Vec<Mutation>, row: &TopicRow, first: u32, entry: &Entry) {
        let bytes: Bytes = entry.encode().into();
        let shards = u32::from(self.shards);
        for index in first..row.partitions.min(first.saturating_add(shards)) {
            let shard = shard_of(PartitionId { topic: row.id, index }, self.shards);
            mutations.push(shard_log::append(shard, 0, bytes.clone()));
            mutations.push(shard_tick::tick(shard));
        }
    }

    /// Plans on the value at `key` and commits, until the result is known. The plan answers `Ok(Err(answer))` if there is nothing (more) to do.
    pub(super) async fn run<T>(
        &self,
        key: Bytes,
        mut plan: impl FnMut(Option<Bytes>) -> Result<Result<Plan<T>, T>, CatalogError>,
    ) -> Result<T, CatalogError> {
        self.run_beside(key, None, |found, _| plan(found)).await
    }

    /// As [`run`](Self::run), decided also on what is in the range `beside`.
    pub(super) async fn run_beside<T>(
        &self,
        key: Bytes,
        beside: Option<KeyRange>,
        mut plan: impl FnMut(Option<Bytes>, Vec<StoreEntry>) -> Result<Result<Plan<T>, T>, CatalogError>,
    ) -> Result<T, CatalogError> {
        let mut last = String::new();
        for attempt in 0..TRIES {
            if attempt > 0 {
                let spread = (self.ambient.chance.next() % 16) as u64;
                tokio::time::sleep(Duration::from_millis((1 << attempt.min(7)) + spread)).await;
            }
            let (version, found, others) = match self.read(&key, beside.as_ref()).await {
                Ok(read) => read,
                Err(error) => {
                    last = error.to_string();
                    continue;
                }
            };
            let Plan { mutations, answer } = match plan(found, others)? {
                Ok(plan) => plan,
                Err(answer) => return Ok(answer),
            };
            let own = [KeyRange::key(key.clone()), KeyRange::key(cluster::key())];
            let reads = own.into_iter().chain(beside.clone()).collect();
            let commit = Commit { read_version: Some(version), reads, mutations, ..Commit::default() };
            match self.store.commit(commit).await {
                Ok(_) => return Ok(answer),
                Err(CommitError::TooLarge(why)) => return Err(CatalogError::Refused(why)),
                Err(error) => last = error.to_string(),
            }
        }
        Err(CatalogError::Unavailable(last))
    }

    async fn read(
        &self,
        key: &[u8],
        beside: Option<&KeyRange>,
    ) -> Result<(Version, Option<Bytes>, Vec<StoreEntry>), ReadAllError> {
        let snapshot = self.store.snapshot().await?;
        let found = snapshot.get(key).await?;
        let others = match beside {
            Some(range) => read_all(snapshot.as_ref(), range, MOST_BESIDE).await?,
            None => Vec::new(),
        };
        Ok((snapshot.version(), found, others))
    }
}
