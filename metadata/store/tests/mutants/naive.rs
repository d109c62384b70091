//! A store as simple as can be: a list of every state that ever was. With a bug, if wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use siltstone_store::{
    Commit, CommitError, Committed, KeyRange, Mutation, Page, RangeLimit, Snapshot, Stamp, Store, StoreError,
    Version, Watch, check, limits,
};
use tokio::sync::Notify;

use super::bugs::Bug;

type State = BTreeMap<Bytes, Bytes>;

#[derive(Clone)]
pub struct Shared {
    bug: Bug,
    inner: Arc<Mutex<Inner>>,
    watches: Arc<AtomicUsize>,
}

struct Inner {
    states: Vec<(Version, Arc<State>)>,
    writes: Vec<(Version, Vec<KeyRange>)>,
    watches: Vec<(Bytes, Arc<Notify>)>,
    seen: Vec<Commit>,
    snapshot_reads: BTreeSet<Bytes>,
    opened: u32,
}

impl Shared {
    pub fn new(bug: Bug) -> Self {
        let mut state = State::new();
        if bug == Bug::Haunted {
            state.insert("a".into(), "boo".into());
        }
        let inner = Inner {
            states: vec![(Version(0), Arc::new(state))],
            writes: Vec::new(),
            watches: Vec::new(),
            seen: Vec::new(),
            snapshot_reads: BTreeSet::new(),
            opened: 0,
        };
        Shared { bug, inner: Arc::new(Mutex::new(inner)), watches: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

pub struct Naive(Shared);

impl Naive {
    pub fn open(shared: &Shared) -> Self {
        let mut inner = shared.lock();
        inner.opened += 1;
        if inner.opened > 1 && shared.bug == Bug::Forgetful {
            let last = inner.last();
            inner.states.push((last, Arc::default()));
        }
        if inner.opened > 1 && shared.bug == Bug::VersionsRestart {
            let state = inner.state().clone();
            inner.states = vec![(Version(0), Arc::new(state))];
            inner.writes.clear();
        }
        Naive(shared.clone())
    }
}

impl Inner {
    fn last(&self) -> Version {
        self.states.last().expect("a state").0
    }

    fn state(&self) -> &State {
        &self.states.last().expect("a state").1
    }

    fn at(&self, version: Version) -> Arc<State> {
        let at = self.states.iter().rposition(|(written, _)| *written <= version).unwrap_or(0);
        self.states[at].1.clone()
    }
}

struct NaiveSnapshot {
    shared: Shared,
    version: Version,
    state: Arc<State>,
}

#[async_trait]
impl Store for Naive {
    async fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        let inner = self.0.lock();
        let mut version = inner.last();
        let mut state = inner.at(version);
        match self.0.bug {
            Bug::StaleSnapshot => {
                version = inner.states[inner.states.len().saturating_sub(2)].0;
                state = inner.at(version);
            }
            Bug::VersionTooLow => version = Version(version.0.saturating_sub(1)),
            _ => {}
        }
        Ok(Box::new(NaiveSnapshot { shared: self.0.clone(), version, state }))
    }

    async fn snapshot_at(&self, version: Version) -> Result<Box<dyn Snapshot>, StoreError> {
        let inner = self.0.lock();
        if version > inner.last() && self.0.bug != Bug::AtTakesFuture {
            return Err(StoreError::Future);
        }
        if version == inner.last() && self.0.bug == Bug::AtRefusesLast {
            return Err(StoreError::TooOld);
        }
        let state = match self.0.bug {
            Bug::AtShowsNewest => inner.at(inner.last()),
            Bug::AtShowsOlder => inner.at(Version(version.0.saturating_sub(1))),
            _ => inner.at(version),
        };
        Ok(Box::new(NaiveSnapshot { shared: self.0.clone(), version, state }))
    }

    async fn commit(&self, commit: Commit) -> Result<Committed, CommitError> {
        let bug = self.0.bug;
        if let Err(error) = limits_of(bug, &commit) {
            if bug == Bug::LimitAppliesPart {
                self.0.apply(part(&commit, 1));
            }
            return Err(error);
        }
        if bug == Bug::DroppedHalf {
            self.0.apply(part(&commit, commit.mutations.len() / 2));
        }
        // Somewhere on the way, as with any store that is not in memory.
        tokio::task::yield_now().await;
        if bug == Bug::RacyCommit {
            self.0.verdict(&commit)?;
            tokio::task::yield_now().await;
            return Ok(self.0.apply(commit));
        }
        if bug == Bug::AddLosesRace {
            let old = self.0.lock().state().clone();
            tokio::task::yield_now().await;
            self.0.verdict(&commit)?;
            return Ok(self.0.apply_on(Some(&old), commit));
        }
        if bug == Bug::Torn {
            self.0.verdict(&commit)?;
            self.0.apply(part(&commit, 1));
            tokio::task::yield_now().await;
            let mut rest = commit;
            rest.mutations = rest.mutations.split_off(rest.mutations.len().min(1));
            return Ok(self.0.apply(rest));
        }
        self.0.send(commit)
    }

    async fn watch(&self, key: &[u8]) -> Result<Watch, StoreError> {
        let bug = self.0.bug;
        if !matches!(bug, Bug::NoReadLimits) {
            check::read_key(key).or_else(|error| forgiven(bug, error))?;
        }
        let slot = Slot::take(&self.0)?;
        let notify = Arc::new(Notify::new());
        let registration = (Bytes::copy_from_slice(key), notify.clone());
        if bug != Bug::WatchFromPoll {
            self.0.lock().watches.push(registration.clone());
        }
        let shared = self.0.clone();
        Ok(async move {
            let _slot = slot;
            if bug == Bug::WatchFromPoll {
                shared.lock().watches.push(registration);
            }
            notify.notified().await;
            Ok(())
        }
        .boxed())
    }

    fn heard(&self) -> Option<Version> {
        let inner = self.0.lock();
        let behind = usize::from(self.0.bug == Bug::HeardTooLow) + 1;
        Some(inner.states[inner.states.len().saturating_sub(behind)].0)
    }
}

struct Slot(Shared);

impl Slot {
    fn take(shared: &Shared) -> Result<Self, StoreError> {
        let taken = shared.watches.fetch_add(1, Ordering::SeqCst);
        if taken >= limits::WATCHES && shared.bug != Bug::WatchUnlimited {
            shared.watches.fetch_sub(1, Ordering::SeqCst);
            return Err(StoreError::Limit("watches".to_owned()));
        }
        Ok(Slot(shared.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if self.0.bug != Bug::WatchLeaks {
            self.0.watches.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// The first mutations of a commit, blind.
fn part(commit: &Commit, count: usize) -> Commit {
    Commit { mutations: commit.mutations[..count.min(commit.mutations.len())].to_vec(), ..Commit::default() }
}

/// A check that the bug leaves out.
fn forgiven(bug: Bug, error: StoreError) -> Result<(), StoreError> {
    let text = error.to_string();
    let forgiven = match bug {
        Bug::NoKeyLimit => text.contains("a key of"),
        Bug::AnyFirstByte => text.contains("0xff"),
        Bug::NoRangeLimit => text.contains("range's end"),
        _ => false,
    };
    if forgiven { Ok(()) } else { Err(error) }
}

fn limits_of(bug: Bug, commit: &Commit) -> Result<(), CommitError> {
    let tight = match bug {
        Bug::TightKeys => commit.mutations.iter().any(|mutation| match mutation {
            Mutation::Set { key, .. } | Mutation::Add { key, .. } => key.len() == limits::KEY_BYTES,
            _ => false,
        }),
        Bug::TightValues => commit.mutations.iter().any(
            |mutation| matches!(mutation, Mutation::Set { value, .. } if value.len() == limits::VALUE_BYTES),
        ),
        Bug::TightSize => check::size(commit) == limits::COMMIT_BYTES,
        Bug::TightRanges => commit.reads.iter().any(|range| range.end.len() > limits::KEY_BYTES),
        _ => false,
    };
    if tight {
        return Err(CommitError::TooLarge("tight".to_owned()));
    }
    check::commit(commit).or_else(|error| {
        let text = error.to_string();
        let stamped = commit.mutations.iter().any(|mutation| {
            matches!(
                mutation,
                Mutation::SetVersionstampedKey { .. } | Mutation::SetVersionstampedValue { .. }
            )
        });
        let forgiven = match bug {
            Bug::NoKeyLimit => text.contains("a key of"),
            Bug::NoValueLimit => text.contains("a value of"),
            Bug::NoSizeLimit => text.contains("a commit of"),
            Bug::NoRangeLimit => text.contains("range's end"),
            Bug::StampUncounted => stamped && text.contains("allowed"),
            Bug::AnyFirstByte => text.contains("0xff"),
            Bug::NoVersionNeeded => text.contains("read version"),
            _ => false,
        };
        if forgiven { Ok(()) } else { Err(error) }
    })
}

#[path = "apply.rs"]
mod apply;
#[path = "snapshot.rs"]
mod snapshot;
