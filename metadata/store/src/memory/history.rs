//! The database of the memory store: every key with its recent past. Synchronous; faults and time are elsewhere, except
//! that the past is kept for a time, which is asked of tokio's clock, the simulation's.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::resolve::{Touch, Write, added};
use crate::watches::Watches;
use crate::window::Window;
use crate::{
    Commit, CommitError, Committed, Entry, KeyRange, Page, RangeLimit, Stamp, StoreError, Version, limits,
};

/// Most commits whose past is kept, whatever their age.
const MOST_COMMITS: usize = 20_000;
/// Most bytes of the conflict window.
const WINDOW_BYTES: usize = 16 << 20;
/// Commits that the window forgets together.
const FORGET_AT_ONCE: usize = 500;

#[derive(Debug, Default)]
pub(super) struct Database {
    state: Mutex<State>,
    pub(super) watches: Watches,
}

#[derive(Debug, Default)]
struct State {
    version: Version,
    /// Per key, its values by version, oldest first; `None` where it was cleared.
    keys: BTreeMap<Bytes, Vec<(Version, Option<Bytes>)>>,
    /// What each kept commit wrote.
    commits: VecDeque<Kept>,
    /// Snapshots and read versions below this are too old.
    floor: Version,
    window: Window,
    /// Commits that are too old, and may be in the window still.
    unforgotten: usize,
}

#[derive(Debug)]
struct Kept {
    version: Version,
    at: Instant,
    keys: Vec<Bytes>,
}

impl Database {
    pub(super) fn version(&self) -> Version {
        self.lock().version
    }

    /// Whether a snapshot of `version` can be had.
    pub(super) fn readable(&self, version: Version) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.forget();
        if version > state.version {
            return Err(StoreError::Future);
        }
        state.not_too_old(version)
    }

    pub(super) fn get(&self, version: Version, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let state = self.lock();
        state.not_too_old(version)?;
        Ok(state.keys.get(key).and_then(|values| value_at(values, version)).cloned())
    }

    pub(super) fn range(
        &self,
        version: Version,
        range: &KeyRange,
        limit: RangeLimit,
    ) -> Result<Page, StoreError> {
        let state = self.lock();
        state.not_too_old(version)?;
        if range.is_empty() {
            return Ok(Page::default());
        }
        let inside = (Bound::Included(&range.begin), Bound::Excluded(&range.end));
        let entries = state.keys.range::<Bytes, _>(inside);
        let shown = |(key, values): (&Bytes, &Vec<_>)| {
            value_at(values, version).map(|value| (key.clone(), value.clone()))
        };
        Ok(match limit.reverse {
            false => page(entries.filter_map(shown), limit),
            true => page(entries.rev().filter_map(shown), limit),
        })
    }

    /// Applies a commit, at a version `step` above the last.
    pub(super) fn apply(&self, commit: &Commit, step: u64) -> Result<Committed, CommitError> {
        let mut state = self.lock();
        state.forget();
        if let Some(at) = commit.read_version {
            if at > state.version {
                return Err(CommitError::TooLarge(format!("read version {} is in the future", at.0)));
            }
            state.not_too_old(at).map_err(|_| CommitError::TooOld)?;
            state.window.verdict(&commit.reads, at)?;
        }
        if commit.is_read_only() {
            let version = commit.read_version.unwrap_or(state.version);
            return Ok(Committed { version, stamp: Stamp::new(version, 0) });
        }
        let version = Version(state.version.0 + step.max(1));
        let stamp = Stamp::new(version, 0);
        let writes: Vec<Write> =
            commit.mutations.iter().map(|mutation| Write::resolve(mutation.clone(), stamp)).collect();
        state.write(version, &writes);
        for touch in writes.iter().map(Write::touch).chain(commit.writes.iter().map(Touch::Range)) {
            state.window.wrote(touch, version);
        }
        state.version = version;
        drop(state);
        self.watches.fire(writes.iter().map(Write::touch));
        Ok(Committed { version, stamp })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn not_too_old(&self, version: Version) -> Result<(), StoreError> {
        if version < self.floor { Err(StoreError::TooOld) } else { Ok(()) }
    }

    fn write(&mut self, version: Version, writes: &[Write]) {
        let mut touched = Vec::new();
        for write in writes {
            match write {
                Write::Set(key, value) => self.put(version, key, Some(value.clone()), &mut touched),
                Write::Add(key, delta) => {
                    let old = self.keys.get(key).and_then(|values| values.last()?.1.as_ref());
                    let new = Bytes::copy_from_slice(&added(old.map(Bytes::as_ref), *delta));
                    self.put(version, key, Some(new), &mut touched);
                }
                Write::Clear(key) => self.put(version, key, None, &mut touched),
                Write::ClearRange(range) if range.is_empty() => {}
                Write::ClearRange(range) => {
                    let inside = (Bound::Included(&range.begin), Bound::Excluded(&range.end));
                    let keys = self.keys.range::<Bytes, _>(inside).map(|(key, _)| key.clone());
                    for key in keys.collect::<Vec<_>>() {
                        self.put(version, &key, None, &mut touched);
                    }
                }
            }
        }
        self.commits.push_back(Kept { version, at: Instant::now(), keys: touched });
    }

    fn put(&mut self, version: Version, key: &Bytes, value: Option<Bytes>, touched: &mut Vec<Bytes>) {
        let values = self.keys.entry(key.clone()).or_default();
        match values.last_mut() {
            Some((newest, last)) if *newest == version => *last = value,
            _ => {
                values.push((version, value));
                touched.push(key.clone());
            }
        }
    }

    /// Lets go of what is older than the contract promises, or beyond the bounds.
    fn forget(&mut self) {
        let keep = Duration::from_millis(limits::SNAPSHOT_MILLIS);
        let mut crowd = self.commits.len();
        while let Some(next) = self.commits.get_mut(1) {
            let (young, crowded) = (next.at.elapsed() < keep, crowd > MOST_COMMITS);
            // The oldest commit is needed as long as the next one is young: snapshots in between see it.
            if young && !crowded {
                break;
            }
            self.floor = next.version;
            let keys = std::mem::take(&mut next.keys);
            self.commits.pop_front();
            crowd -= 1;
            keys.iter().for_each(|key| self.prune(key));
            self.unforgotten += 1;
        }
        // It goes through all that it holds: not for each commit.
        if self.unforgotten >= FORGET_AT_ONCE || self.window.bytes() > WINDOW_BYTES {
            self.unforgotten = 0;
            self.window.forget(self.floor);
        }
        if self.window.bytes() > WINDOW_BYTES {
            self.window.shrink_to(WINDOW_BYTES / 4 * 3);
        }
    }

    /// Drops the values of a key that no snapshot from the floor on can see.
    fn prune(&mut self, key: &Bytes) {
        let Some(values) = self.keys.get_mut(key) else { return };
        let visible = values.iter().rposition(|(version, _)| *version <= self.floor).unwrap_or(0);
        values.drain(..visible);
        if let [(version, None)] = values.as_slice()
            && *version <= self.floor
        {
            self.keys.remove(key);
        }
    }
}

fn value_at(values: &[(Version, Option<Bytes>)], version: Version) -> Option<&Bytes> {
    values.iter().rev().find(|(written, _)| *written <= version)?.1.as_ref()
}

/// As much of `entries` as `limit` allows.
fn page(mut entries: impl Iterator<Item = Entry>, limit: RangeLimit) -> Page {
    let (mut page, mut bytes) = (Page::default(), 0);
    for (key, value) in entries.by_ref() {
        bytes += key.len() + value.len();
        page.entries.push((key, value));
        if page.entries.len() >= limit.entries.max(1) || bytes >= limit.bytes {
            page.more = entries.next().is_some();
            break;
        }
    }
    page
}
