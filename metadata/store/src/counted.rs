//! A store that counts what is asked of it: what an agent costs the metadata, as metrics of its process.
//!
//! Guarantees: it answers as the store below it does, and waits for nothing else. Deliberately not here: time, which callers measure where it matters to
//! them; what several processes cost together, which is a sum over them.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::{
    Commit, CommitError, Committed, KeyRange, Mutation, Page, RangeLimit, Snapshot, Store, StoreError,
    Version, Watch,
};

const READS: &str = "siltstone_metadata_reads_total";
const READ_KEYS: &str = "siltstone_metadata_read_keys_total";
const READ_BYTES: &str = "siltstone_metadata_read_bytes_total";
const COMMITS: &str = "siltstone_metadata_commits_total";
const WRITTEN_KEYS: &str = "siltstone_metadata_written_keys_total";
const WRITTEN_BYTES: &str = "siltstone_metadata_written_bytes_total";
const WATCHES: &str = "siltstone_metadata_watches";

/// Says what the metrics mean. Call once, after the recorder is installed.
pub fn describe() {
    describe_counter!(
        READS,
        "Requests that read the metadata store, by kind (version, get, range, watch) and result (ok, error)."
    );
    describe_counter!(READ_KEYS, "Keys with a value that were read from the metadata store.");
    describe_counter!(READ_BYTES, Unit::Bytes, "Bytes of keys and values read from the metadata store.");
    describe_counter!(COMMITS, "Transactions sent to the metadata store, by result.");
    describe_counter!(WRITTEN_KEYS, "Mutations in transactions that are known to have taken effect.");
    describe_counter!(
        WRITTEN_BYTES,
        Unit::Bytes,
        "Bytes of keys and values in transactions that are known to have taken effect."
    );
    describe_gauge!(WATCHES, "Keys of the metadata store that are being watched.");
}

/// `store`, counted from now on.
pub fn counted(store: Arc<dyn Store>) -> Arc<dyn Store> {
    Arc::new(Counted(store))
}

struct Counted(Arc<dyn Store>);

struct CountedSnapshot(Box<dyn Snapshot>);

/// Counts a request that reads, and hands its answer on.
fn read<T>(kind: &'static str, answer: Result<T, StoreError>) -> Result<T, StoreError> {
    let result = if answer.is_ok() { "ok" } else { "error" };
    counter!(READS, "kind" => kind, "result" => result).increment(1);
    answer
}

fn took(keys: usize, bytes: usize) {
    counter!(READ_KEYS).increment(keys as u64);
    counter!(READ_BYTES).increment(bytes as u64);
}

/// A watch that is open.
struct Open;

impl Open {
    fn new() -> Self {
        gauge!(WATCHES).increment(1);
        Open
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        gauge!(WATCHES).decrement(1);
    }
}

#[async_trait]
impl Snapshot for CountedSnapshot {
    fn version(&self) -> Version {
        self.0.version()
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let found = read("get", self.0.get(key).await)?;
        if let Some(value) = &found {
            took(1, key.len() + value.len());
        }
        Ok(found)
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        let page = read("range", self.0.range(range, limit).await)?;
        let bytes = page.entries.iter().map(|(key, value)| key.len() + value.len()).sum();
        took(page.entries.len(), bytes);
        Ok(page)
    }
}

#[async_trait]
impl Store for Counted {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let snapshot = read("version", self.0.snapshot().await)?;
        Ok(Box::new(CountedSnapshot(snapshot)))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        // Asks the store for nothing: the version is known.
        Ok(Box::new(CountedSnapshot(self.0.snapshot_at(version).await?)))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let (keys, bytes) = (commit.mutations.len(), commit.mutations.iter().map(size).sum::<usize>());
        let answer = self.0.commit(commit).await;
        counter!(COMMITS, "result" => result(&answer)).increment(1);
        if answer.is_ok() {
            counter!(WRITTEN_KEYS).increment(keys as u64);
            counter!(WRITTEN_BYTES).increment(bytes as u64);
        }
        answer
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        let watch = read("watch", self.0.watch(key).await)?;
        let open = Open::new();
        Ok(Box::pin(async move {
            let _open = open;
            watch.await
        }))
    }

    fn heard(&self) -> Option<Version> {
        self.0.heard()
    }
}

fn result(answer: &Result<Committed, CommitError>) -> &'static str {
    match answer {
        Ok(_) => "committed",
        Err(CommitError::Conflict) => "conflict",
        Err(CommitError::TooOld) => "too_old",
        Err(CommitError::Unknown(_)) => "unknown",
        Err(CommitError::Unavailable(_)) => "unavailable",
        Err(CommitError::TooLarge(_)) => "too_large",
    }
}

/// Bytes of a change's keys and values, as the caller wrote them.
fn size(mutation: &Mutation) -> usize {
    match mutation {
        Mutation::Set { key, value } => key.len() + value.len(),
        Mutation::SetVersionstampedKey { prefix, suffix, value } => {
            prefix.len() + suffix.len() + value.len() + crate::Stamp::LEN
        }
        Mutation::SetVersionstampedValue { key, prefix, suffix } => {
            key.len() + prefix.len() + suffix.len() + crate::Stamp::LEN
        }
        Mutation::Add { key, .. } => key.len() + size_of::<u64>(),
        Mutation::Clear { key } => key.len(),
        Mutation::ClearRange { range } => range.begin.len() + range.end.len(),
    }
}
