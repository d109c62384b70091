//! Random histories against a model that is too simple to be wrong: every state that ever was, in a list.
//!
//! Histories come from proptest with fixed seeds, and one that disagrees is shrunk before it is shown. Each plays under a key
//! prefix of its own, so that one database serves them all.

use std::collections::BTreeMap;

use bytes::Bytes;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::Subject;
use super::kit::Db;
use crate::{
    Commit, CommitError, Committed, Entry, KeyRange, Mutation, RangeLimit, Snapshot, Stamp, Version,
};

const HISTORIES: u64 = 40;
const SHRINKS: usize = 100;

/// A step of a history. Keys are short and few, so that they meet.
#[derive(Debug, Clone)]
enum Step {
    /// Takes a snapshot and keeps it.
    Look,
    /// Commits on the n-th last kept snapshot, if any.
    Commit { base: Option<usize>, reads: Vec<Span>, touches: Vec<Span>, changes: Vec<Change> },
    /// Reads from the n-th last kept snapshot.
    Read { base: usize, key: u8, span: Span, limit: (usize, usize, bool) },
}

type Span = (u8, u8);

#[derive(Debug, Clone)]
enum Change {
    Set(u8, Vec<u8>),
    StampedKey(u8, u8, Vec<u8>),
    StampedValue(u8, u8),
    Add(u8, u64),
    Clear(u8),
    ClearRange(Span),
}

pub(super) async fn random_histories_agree_with_a_model(subject: &dyn Subject) {
    let db = subject.open().await;
    for seed in 0..HISTORIES {
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &Bytes::from(format!("{seed:032}")));
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let mut tree = prop::collection::vec(step(), 1..60).new_tree(&mut runner).expect("a history");
        let Err(mut why) = play(&db, &format!("r{seed}/"), tree.current()).await else { continue };
        let mut shortest = tree.current();
        let mut simpler = tree.simplify();
        for attempt in 0..SHRINKS {
            if !simpler {
                break;
            }
            simpler = match play(&db, &format!("r{seed}/{attempt}/"), tree.current()).await {
                Ok(()) => tree.complicate(),
                Err(still) => {
                    (why, shortest) = (still, tree.current());
                    tree.simplify()
                }
            };
        }
        panic!("seed {seed}: {why}\n{shortest:#?}");
    }
}

fn step() -> impl Strategy<Value = Step> {
    let spans = || prop::collection::vec(span(), 0..3);
    let commit = (prop::option::of(0_usize..4), spans(), spans(), prop::collection::vec(change(), 0..5));
    let commit = commit.prop_map(|(base, reads, touches, changes)| {
        let reads = if base.is_some() { reads } else { Vec::new() };
        Step::Commit { base, reads, touches, changes }
    });
    let limit = (0_usize..12, 0_usize..80, any::<bool>());
    let read = (0_usize..4, 0_u8..8, span(), limit);
    let read = read.prop_map(|(base, key, span, limit)| Step::Read { base, key, span, limit });
    prop_oneof![2 => Just(Step::Look), 5 => commit, 3 => read]
}

fn span() -> impl Strategy<Value = Span> {
    (0_u8..9, 0_u8..9)
}

fn change() -> impl Strategy<Value = Change> {
    let value = || prop::collection::vec(any::<u8>(), 0..12);
    prop_oneof![
        4 => (0_u8..8, value()).prop_map(|(key, value)| Change::Set(key, value)),
        1 => (0_u8..8, 0_u8..3, value()).prop_map(|(key, suffix, value)| Change::StampedKey(key, suffix, value)),
        1 => (0_u8..8, any::<u8>()).prop_map(|(key, around)| Change::StampedValue(key, around)),
        2 => (0_u8..8, any::<u64>()).prop_map(|(key, delta)| Change::Add(key, delta)),
        1 => (0_u8..8).prop_map(Change::Clear),
        1 => span().prop_map(Change::ClearRange),
    ]
}

type State = BTreeMap<Bytes, Bytes>;

/// Every state that ever was, and what each commit wrote.
struct Model {
    prefix: String,
    states: Vec<(Version, State)>,
    writes: Vec<(Version, Vec<KeyRange>)>,
}

async fn play(db: &Db, prefix: &str, history: Vec<Step>) -> Result<(), String> {
    let first = look(db).await?;
    let states = vec![(first.version(), State::new())];
    let mut model = Model { prefix: prefix.to_owned(), states, writes: Vec::new() };
    let mut kept = vec![first];
    for step in history {
        match step {
            Step::Look => kept.push(look(db).await?),
            Step::Commit { base, reads, touches, changes } => {
                let read_version = base.map(|base| nth_last(&kept, base).version());
                let spans = |spans: Vec<Span>| spans.into_iter().map(|span| model.range(span)).collect();
                let mutations = changes.into_iter().map(|change| model.mutation(change)).collect();
                let commit = Commit { read_version, reads: spans(reads), writes: spans(touches), mutations };
                model.commit(db, commit).await?;
                model.check_all(&*look(db).await?).await?;
            }
            Step::Read { base, key, span, limit } => {
                model.check_read(&**nth_last(&kept, base), key, span, limit).await?;
            }
        }
    }
    for snapshot in &kept {
        model.check_all(&**snapshot).await?;
    }
    Ok(())
}

async fn look(db: &Db) -> Result<Box<dyn Snapshot>, String> {
    db.snapshot().await.map_err(|error| error.to_string())
}

fn nth_last<T>(all: &[T], back: usize) -> &T {
    &all[all.len().saturating_sub(back + 1)]
}

fn same<T: PartialEq + std::fmt::Debug>(what: &str, got: &T, expected: &T) -> Result<(), String> {
    if got == expected { Ok(()) } else { Err(format!("{what}: {got:?}, expected {expected:?}")) }
}

impl Model {
    fn key(&self, key: u8) -> Bytes {
        // Some keys are prefixes of others.
        let tail: &[u8] = &[b'a' + key / 2, 0][..1 + usize::from(key % 2)];
        [self.prefix.as_bytes(), tail].concat().into()
    }

    fn range(&self, (begin, end): Span) -> KeyRange {
        KeyRange::new(self.key(begin), self.key(end))
    }

    fn mutation(&self, change: Change) -> Mutation {
        match change {
            Change::Set(key, value) => Mutation::Set { key: self.key(key), value: value.into() },
            Change::StampedKey(key, suffix, value) => Mutation::SetVersionstampedKey {
                prefix: self.key(key),
                suffix: vec![suffix].into(),
                value: value.into(),
            },
            Change::StampedValue(key, around) => Mutation::SetVersionstampedValue {
                key: self.key(key),
                prefix: vec![around].into(),
                suffix: vec![around; 2].into(),
            },
            Change::Add(key, delta) => Mutation::Add { key: self.key(key), delta },
            Change::Clear(key) => Mutation::Clear { key: self.key(key) },
            Change::ClearRange(span) => Mutation::ClearRange { range: self.range(span) },
        }
    }

    fn state_at(&self, version: Version) -> &State {
        let at = self.states.iter().rposition(|(written, _)| *written <= version).unwrap_or(0);
        &self.states[at].1
    }

    fn conflicts(&self, commit: &Commit) -> bool {
        let Some(at) = commit.read_version else { return false };
        let later = self.writes.iter().filter(|(version, _)| *version > at).flat_map(|(_, ranges)| ranges);
        later.into_iter().any(|written| commit.reads.iter().any(|read| read.overlaps(written)))
    }

    async fn commit(&mut self, db: &Db, commit: Commit) -> Result<(), String> {
        let expected = self.conflicts(&commit);
        match db.commit(commit.clone()).await {
            // Whether reads are checked if there is nothing to write is the backend's choice.
            Err(CommitError::Conflict) if expected => Ok(()),
            Ok(_) if commit.is_read_only() => Ok(()),
            Ok(committed) if !expected => self.applied(commit, committed),
            other => Err(format!("{commit:?}: {other:?}, a conflict expected: {expected}")),
        }
    }

    fn applied(&mut self, commit: Commit, committed: Committed) -> Result<(), String> {
        let (last, state) = self.states.last().ok_or("no state")?;
        if committed.version <= *last {
            return Err(format!("{committed:?} after {last:?}"));
        }
        let mut state = state.clone();
        let mut written = commit.writes;
        for mutation in commit.mutations {
            written.push(apply(&mut state, mutation, committed.stamp));
        }
        self.states.push((committed.version, state));
        self.writes.push((committed.version, written));
        Ok(())
    }

    async fn check_all(&self, snapshot: &dyn Snapshot) -> Result<(), String> {
        let got = crate::read_all(snapshot, &KeyRange::prefix(self.prefix.clone()), 1 << 20).await;
        let got = got.map_err(|error| error.to_string())?;
        let expected: Vec<Entry> = self.state_at(snapshot.version()).clone().into_iter().collect();
        // A shrunk history's prefix lies below its seed's.
        let depth = self.prefix.len() + 2 + Stamp::LEN + 1;
        let got = got.into_iter().filter(|(key, _)| key.len() <= depth && key[self.prefix.len()] >= b'a');
        same("all", &got.collect::<Vec<_>>(), &expected)
    }

    async fn check_read(
        &self,
        snapshot: &dyn Snapshot,
        key: u8,
        span: Span,
        (entries, bytes, reverse): (usize, usize, bool),
    ) -> Result<(), String> {
        let state = self.state_at(snapshot.version());
        let (key, range) = (self.key(key), self.range(span));
        let got = snapshot.get(&key).await.map_err(|error| error.to_string())?;
        same("get", &got.as_ref(), &state.get(&key))?;
        let page = snapshot.range(&range, RangeLimit { entries, bytes, reverse }).await;
        let page = page.map_err(|error| error.to_string())?;
        let mut all: Vec<Entry> = state
            .iter()
            .filter(|(key, _)| range.contains(key))
            .map(|(k, v)| (k.clone(), v.clone()))
            .collect();
        if reverse {
            all.reverse();
        }
        let mut size = 0;
        let full = all.iter().position(|(key, value)| {
            size += key.len() + value.len();
            size >= bytes
        });
        let count = full.map_or(all.len(), |at| at + 1).min(entries.max(1)).min(all.len());
        same("range", &page.entries, &all[..count].to_vec())?;
        if count < all.len() && !page.more {
            return Err(format!("{count} of {} entries, and no more", all.len()));
        }
        Ok(())
    }
}

/// Applies a mutation; returns what it wrote.
fn apply(state: &mut State, mutation: Mutation, stamp: Stamp) -> KeyRange {
    let (key, value) = match mutation {
        Mutation::Set { key, value } => (key, Some(value)),
        Mutation::SetVersionstampedKey { prefix, suffix, value } => {
            (Bytes::from([&prefix[..], &stamp.0, &suffix].concat()), Some(value))
        }
        Mutation::SetVersionstampedValue { key, prefix, suffix } => {
            (key, Some(Bytes::from([&prefix[..], &stamp.0, &suffix].concat())))
        }
        Mutation::Add { key, delta } => {
            let mut number = state.get(&key).map(|old| old.to_vec()).unwrap_or_default();
            number.resize(8, 0);
            let sum = number.iter().rev().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte));
            (key, Some(Bytes::from(sum.wrapping_add(delta).to_le_bytes().to_vec())))
        }
        Mutation::Clear { key } => (key, None),
        Mutation::ClearRange { range } => {
            state.retain(|key, _| !range.contains(key));
            return range;
        }
    };
    match value {
        Some(value) => state.insert(key.clone(), value),
        None => state.remove(&key),
    };
    KeyRange::key(key)
}
