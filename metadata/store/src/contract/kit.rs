//! What the clauses share.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;

use super::DEADLINE;
use crate::{
    Commit, CommitError, Committed, Entry, KeyRange, RangeLimit, Snapshot, Store, Version, read_all,
};

/// A decision that others overtake so often is not overtaken by chance.
const MOST_TRIES: u32 = 5_000;

pub(super) type Db = Arc<dyn Store>;

/// Commits what must succeed.
pub(super) async fn commit(db: &Db, commit: Commit) -> Committed {
    db.commit(commit).await.expect("the commit succeeds")
}

pub(super) async fn set(db: &Db, key: &'static str, value: &'static str) -> Committed {
    commit(db, Commit::blind().set(key, value)).await
}

pub(super) async fn snapshot(db: &Db) -> Box<dyn Snapshot> {
    db.snapshot().await.expect("a snapshot")
}

pub(super) async fn version(db: &Db) -> Version {
    snapshot(db).await.version()
}

/// The value of `key` now.
pub(super) async fn get(db: &Db, key: &str) -> Option<Bytes> {
    value(&*snapshot(db).await, key).await
}

pub(super) async fn value(snapshot: &dyn Snapshot, key: &str) -> Option<Bytes> {
    snapshot.get(key.as_bytes()).await.expect("a value")
}

/// Everything whose key begins with `prefix`, now.
pub(super) async fn under(db: &Db, prefix: &'static str) -> Vec<Entry> {
    entries(&*snapshot(db).await, &KeyRange::prefix(prefix)).await
}

pub(super) async fn entries(snapshot: &dyn Snapshot, range: &KeyRange) -> Vec<Entry> {
    read_all(snapshot, range, 64 << 20).await.expect("a range")
}

pub(super) fn entry(key: &'static str, value: &'static str) -> Entry {
    (Bytes::from(key), Bytes::from(value))
}

pub(super) fn limit(entries: usize, bytes: usize, reverse: bool) -> RangeLimit {
    RangeLimit { entries, bytes, reverse }
}

pub(super) fn number(value: Option<Bytes>) -> u64 {
    value.map_or(0, |value| u64::from_le_bytes(value.as_ref().try_into().expect("8 bytes")))
}

/// Waits for what must happen.
pub(super) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen in time"))
}

/// Tries a decision until it does not conflict.
pub(super) async fn retry<F>(db: &Db, decide: impl Fn(Box<dyn Snapshot>) -> F) -> Committed
where
    F: Future<Output = Commit>,
{
    let tries = async {
        for _ in 0..MOST_TRIES {
            let commit = decide(snapshot(db).await).await;
            match db.commit(commit).await {
                Ok(committed) => return committed,
                Err(CommitError::Conflict | CommitError::TooOld) => {}
                Err(other) => panic!("the commit failed: {other}"),
            }
        }
        panic!("{MOST_TRIES} conflicts in a row");
    };
    soon("a commit without conflict", tries).await
}
