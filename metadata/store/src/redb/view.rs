//! What is published: the database as of one group, shared by all snapshots of that version.
//!
//! A view is a redb read transaction, cheap to take and to keep, except that the file can't reuse the pages of any view
//! that lives. So views are made only when somebody asks, the last few are kept for [`crate::Store::snapshot_at`],
//! and all end at an age.
//!
//! Reads run on the caller's thread: a key costs a few page lookups in a cache, microseconds, less than handing it to another
//! thread and back. A page that is not cached is read from the file, nearly always from the operating system's cache.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};
use std::time::{Duration, Instant};

use ::redb::{Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable, StorageError};
use async_trait::async_trait;
use bytes::Bytes;

use super::file::{KEYS, version_of};
use crate::{KeyRange, Page, RangeLimit, Snapshot, StoreError, Version, check};

/// So many groups back a view that somebody made can be had again.
const RECENT_GROUPS: u64 = 16;

/// The database while it is open, and the views of it.
#[derive(Default)]
pub(super) struct Live {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    database: Option<Database>,
    version: Version,
    recent: VecDeque<Arc<View>>,
    /// Every view that may be alive, oldest first.
    made: VecDeque<Weak<View>>,
}

type Keys = ReadOnlyTable<&'static [u8], &'static [u8]>;

struct View {
    version: Version,
    born: Instant,
    /// The transaction is kept beside its table, which does not keep it alive.
    open: RwLock<Option<(Keys, ReadTransaction)>>,
}

impl Live {
    /// Begins to serve a database.
    pub(super) fn serve(&self, database: Database, version: Version) {
        let mut state = self.lock();
        (state.database, state.version) = (Some(database), version);
    }

    /// Ends all views and closes the database.
    pub(super) fn close(&self) {
        let mut state = self.lock();
        state.end_views(|_| true);
        state.recent.clear();
        drop(state.database.take());
    }

    /// Runs with the database; `None` if it is closed.
    pub(super) fn with_database<T>(&self, run: impl FnOnce(&Database) -> T) -> Option<T> {
        self.lock().database.as_ref().map(run)
    }

    /// A group was committed; from now on `version` is the last one.
    pub(super) fn publish(&self, version: Version) {
        let mut state = self.lock();
        state.version = version;
        state.recent.retain(|view| view.version.0 + RECENT_GROUPS > version.0);
    }

    /// Ends what is older than `age`.
    pub(super) fn end_older(&self, age: Duration) {
        self.lock().end_views(|view| view.born.elapsed() >= age);
    }

    /// A snapshot of what is committed now.
    pub(super) fn newest(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let mut state = self.lock();
        Ok(Box::new(RedbSnapshot(state.newest()?)))
    }

    /// A snapshot of `version`.
    pub(super) fn at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        let mut state = self.lock();
        if let Some(view) = state.recent.iter().find(|view| view.version == version && view.is_open()) {
            return Ok(Box::new(RedbSnapshot(view.clone())));
        }
        if version < state.version {
            return Err(StoreError::TooOld);
        }
        let newest = state.newest()?;
        match newest.version.cmp(&version) {
            std::cmp::Ordering::Equal => Ok(Box::new(RedbSnapshot(newest))),
            std::cmp::Ordering::Less => Err(StoreError::Future),
            std::cmp::Ordering::Greater => Err(StoreError::TooOld),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The view of the last group. It may be one that is committed and not published yet: durable all the same.
    fn newest(&mut self) -> Result<Arc<View>, StoreError> {
        if let Some(view) = self.recent.back()
            && view.version >= self.version
            && view.is_open()
        {
            return Ok(view.clone());
        }
        let closed = || StoreError::Unavailable("the metadata store is closed or recovering".to_owned());
        let database = self.database.as_ref().ok_or_else(closed)?;
        let view = Arc::new(View::open(database).map_err(store_error)?);
        // Again the same version: the old view has ended, or is about to.
        self.recent.retain(|old| old.version != view.version);
        self.recent.push_back(view.clone());
        if self.made.len() >= 64 {
            self.made.retain(|view| view.strong_count() > 0);
        }
        self.made.push_back(Arc::downgrade(&view));
        Ok(view)
    }

    fn end_views(&mut self, ends: impl Fn(&View) -> bool) {
        for view in self.made.iter().filter_map(Weak::upgrade).filter(|view| ends(view)) {
            *view.open.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.made.retain(|view| view.strong_count() > 0);
        self.recent.retain(|view| view.is_open());
    }
}

impl View {
    fn open(database: &Database) -> Result<Self, ::redb::Error> {
        let transaction = database.begin_read()?;
        let version = version_of(&transaction)?;
        let table = transaction.open_table(KEYS)?;
        Ok(View { version, born: Instant::now(), open: RwLock::new(Some((table, transaction))) })
    }

    fn is_open(&self) -> bool {
        self.open.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    fn read<T>(&self, read: impl FnOnce(&Keys) -> Result<T, StorageError>) -> Result<T, StoreError> {
        match &*self.open.read().unwrap_or_else(PoisonError::into_inner) {
            Some((table, _)) => read(table).map_err(|error| store_error(error.into())),
            None => Err(StoreError::TooOld),
        }
    }
}

struct RedbSnapshot(Arc<View>);

#[async_trait]
impl Snapshot for RedbSnapshot {
    fn version(&self) -> Version {
        self.0.version
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check::read_key(key)?;
        let copy = |value: &[u8]| Bytes::copy_from_slice(value);
        self.0.read(|table| Ok(ReadableTable::get(table, key)?.map(|value| copy(value.value()))))
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        check::read_range(range)?;
        if range.is_empty() {
            return Ok(Page::default());
        }
        self.0.read(|table| {
            let entries = ReadableTable::range(table, range.begin.as_ref()..range.end.as_ref())?;
            let copy = |entry: Result<(Guard<'_>, Guard<'_>), StorageError>| {
                let (key, value) = entry?;
                Ok((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())))
            };
            match limit.reverse {
                false => page(entries.map(copy), limit),
                true => page(entries.rev().map(copy), limit),
            }
        })
    }
}

type Guard<'a> = ::redb::AccessGuard<'a, &'static [u8]>;

fn page(
    mut entries: impl Iterator<Item = Result<crate::Entry, StorageError>>,
    limit: RangeLimit,
) -> Result<Page, StorageError> {
    let (mut page, mut bytes) = (Page::default(), 0);
    while let Some(entry) = entries.next() {
        let (key, value) = entry?;
        bytes += key.len() + value.len();
        page.entries.push((key, value));
        if page.entries.len() >= limit.entries.max(1) || bytes >= limit.bytes {
            page.more = entries.next().transpose()?.is_some();
            break;
        }
    }
    Ok(page)
}

fn store_error(error: ::redb::Error) -> StoreError {
    match error {
        ::redb::Error::Corrupted(why) => StoreError::Corrupt(why),
        other => StoreError::Unavailable(other.to_string()),
    }
}
