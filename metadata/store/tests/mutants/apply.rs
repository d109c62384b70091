//! Committing to a naive store.

use super::*;

impl Shared {
    /// Decides and applies, without anything in between.
    pub(super) fn send(&self, mut commit: Commit) -> Result<Committed, CommitError> {
        let bug = self.bug;
        if bug == Bug::RefusesNoOps && commit.is_read_only() {
            return Err(CommitError::Conflict);
        }
        if bug == Bug::ClearAbsentFails {
            let inner = self.lock();
            let absent = |mutation: &Mutation| match mutation {
                Mutation::Clear { key } => !inner.state().contains_key(key),
                _ => false,
            };
            if commit.mutations.iter().any(absent) {
                return Err(CommitError::Unavailable("absent".to_owned()));
            }
        }
        if bug == Bug::ResendsOnce && !commit.is_read_only() {
            let mut inner = self.lock();
            if inner.seen.contains(&commit) {
                return Ok(committed(inner.last()));
            }
            inner.seen.push(commit.clone());
        }
        if let Err(error) = self.verdict(&commit) {
            match bug {
                Bug::RefusedCommitWrites => {
                    commit.mutations.clear();
                    commit.writes.push(KeyRange::new("a", "z"));
                    self.apply(commit);
                }
                Bug::RefusedCommitApplies => drop(self.apply(part(&commit, 1))),
                _ => {}
            }
            return Err(error);
        }
        if commit.is_read_only() {
            return Ok(committed(commit.read_version.unwrap_or(self.lock().last())));
        }
        Ok(self.apply(commit))
    }

    pub(super) fn verdict(&self, commit: &Commit) -> Result<(), CommitError> {
        let bug = self.bug;
        let inner = self.lock();
        let Some(at) = commit.read_version.or((bug == Bug::BlindConflicts).then_some(inner.last())) else {
            return Ok(());
        };
        let mut reads = commit.reads.clone();
        let own = || commit.mutations.iter().map(|mutation| written(Bug::None, mutation, Stamp::ZERO));
        match bug {
            Bug::IgnoresReads => reads.clear(),
            Bug::DropsFirstRead if !reads.is_empty() => drop(reads.remove(0)),
            Bug::DropsLastRead => drop(reads.pop()),
            Bug::ReadEndIncluded => reads.iter_mut().for_each(|read| read.end = after(&read.end)),
            Bug::ReadBeginExcluded => reads.iter_mut().for_each(|read| {
                if read.end != after(&read.begin) {
                    read.begin = after(&read.begin);
                }
            }),
            Bug::EmptyRangeConflicts if reads.iter().any(KeyRange::is_empty) => {
                return Err(CommitError::Conflict);
            }
            Bug::BlindConflicts if reads.is_empty() && commit.read_version.is_some() => reads.extend(own()),
            Bug::TouchConflicts => reads.extend(commit.writes.clone()),
            Bug::SelfConflict if reads.iter().any(|read| own().any(|own| own.overlaps(read))) => {
                return Err(CommitError::Conflict);
            }
            Bug::SnapshotReadsConflict => {
                reads.extend(inner.snapshot_reads.iter().cloned().map(KeyRange::key))
            }
            Bug::OnlyExistingKeysConflict => {
                let state = inner.at(at);
                let keys = state.keys().filter(|key| commit.reads.iter().any(|read| read.contains(key)));
                reads = keys.cloned().map(KeyRange::key).collect();
            }
            _ => {}
        }
        let late = |version: Version| match bug {
            Bug::ConflictsAtReadVersion => version >= at,
            Bug::OnlyLastCommitConflicts => version > at && version == inner.last(),
            Bug::ForgetsConflicts => version > at && version.0 + 20 > inner.last().0,
            _ => version > at,
        };
        let mut later = inner.writes.iter().filter(|(version, _)| late(*version));
        match later.any(|(_, written)| written.iter().any(|w| reads.iter().any(|read| read.overlaps(w)))) {
            true => Err(CommitError::Conflict),
            false => Ok(()),
        }
    }

    pub(super) fn apply(&self, commit: Commit) -> Committed {
        self.apply_on(None, commit)
    }

    /// `adds_to`: where adds find their old values, if not in the state of the moment.
    pub(super) fn apply_on(&self, adds_to: Option<&State>, commit: Commit) -> Committed {
        let bug = self.bug;
        let mut inner = self.lock();
        let mut version = Version(inner.last().0 + 1);
        if bug == Bug::VersionRepeats && version.0.is_multiple_of(2) {
            version = inner.last();
        }
        let stamp = stamp(bug, version);
        let before = inner.state().clone();
        let mut state = before.clone();
        let mut writes = Vec::new();
        let mutations = reordered(bug, commit.mutations);
        for (place, mutation) in mutations.iter().enumerate() {
            let same = match mutation {
                Mutation::Set { key, value } => before.get(key) == Some(value),
                _ => false,
            };
            let counts = place == 0 || bug != Bug::OnlyFirstMutationWrites;
            if counts && !(same && bug == Bug::SameValueIsNoWrite) {
                match (bug, mutation) {
                    (Bug::ClearRangeWritesExisting, Mutation::ClearRange { range }) => {
                        let keys = state.keys().filter(|key| range.contains(key));
                        writes.extend(keys.cloned().map(KeyRange::key));
                    }
                    _ => writes.push(written(bug, mutation, stamp)),
                }
            }
            let old = match bug {
                Bug::AddSeesOldState => Some(&before),
                _ => adds_to,
            };
            change(bug, &mut state, old, mutation, stamp);
        }
        if bug != Bug::TouchIsNoWrite {
            writes.extend(commit.writes.clone());
        }
        if bug == Bug::TouchWrites {
            state.extend(commit.writes.into_iter().map(|range| (range.begin, Bytes::new())));
        }
        fire(bug, &mut inner, &mutations, &before, &state);
        inner.states.push((version, Arc::new(state)));
        inner.writes.push((version, writes));
        match bug {
            Bug::StampToldWrong => Committed { version, stamp: Stamp::new(version, 1) },
            _ => Committed { version, stamp },
        }
    }
}

fn committed(version: Version) -> Committed {
    Committed { version, stamp: Stamp::new(version, 0) }
}

fn after(key: &[u8]) -> Bytes {
    [key, b"\0"].concat().into()
}

fn stamp(bug: Bug, version: Version) -> Stamp {
    match bug {
        Bug::StampIsZero => Stamp::ZERO,
        Bug::StampShared => Stamp::new(Version(version.0 / 2), 0),
        Bug::StampReused => Stamp::new(Version(version.0.min(200)), 0),
        Bug::StampLittleEndian => Stamp::new(Version(version.0.swap_bytes()), 0),
        _ => Stamp::new(version, 0),
    }
}

fn reordered(bug: Bug, mut mutations: Vec<Mutation>) -> Vec<Mutation> {
    let clears =
        |mutation: &Mutation| matches!(mutation, Mutation::Clear { .. } | Mutation::ClearRange { .. });
    let stamped = |mutation: &Mutation| {
        matches!(mutation, Mutation::SetVersionstampedKey { .. } | Mutation::SetVersionstampedValue { .. })
    };
    match bug {
        Bug::Reversed => mutations.reverse(),
        Bug::ClearsFirst => mutations.sort_by_key(|mutation| !clears(mutation)),
        Bug::ClearsLast => mutations.sort_by_key(clears),
        Bug::StampedFirst => mutations.sort_by_key(|mutation| !stamped(mutation)),
        Bug::FirstSetStays => {
            let mut set = BTreeSet::new();
            mutations.retain(|mutation| match mutation {
                Mutation::Set { key, .. } => set.insert(key.clone()),
                _ => true,
            });
        }
        _ => {}
    }
    mutations
}

/// What counts as written.
fn written(bug: Bug, mutation: &Mutation, stamp: Stamp) -> KeyRange {
    let nothing = || KeyRange::new("", "");
    match (bug, mutation) {
        (Bug::SetIsNoWrite, Mutation::Set { .. })
        | (Bug::ClearIsNoWrite, Mutation::Clear { .. })
        | (Bug::ClearRangeIsNoWrite, Mutation::ClearRange { .. })
        | (Bug::AddIsNoWrite, Mutation::Add { .. })
        | (Bug::StampedKeyIsNoWrite, Mutation::SetVersionstampedKey { .. })
        | (Bug::StampedValueIsNoWrite, Mutation::SetVersionstampedValue { .. }) => nothing(),
        (Bug::StampedKeyWritesPrefix, Mutation::SetVersionstampedKey { prefix, .. }) => {
            KeyRange::key(prefix.clone())
        }
        (_, Mutation::SetVersionstampedKey { prefix, suffix, .. }) => {
            KeyRange::key([prefix, stamp.0.as_slice(), suffix].concat())
        }
        (_, Mutation::ClearRange { range }) => range.clone(),
        (
            _,
            Mutation::Set { key, .. }
            | Mutation::SetVersionstampedValue { key, .. }
            | Mutation::Add { key, .. }
            | Mutation::Clear { key },
        ) => KeyRange::key(key.clone()),
    }
}

fn change(bug: Bug, state: &mut State, adds_to: Option<&State>, mutation: &Mutation, stamp: Stamp) {
    match mutation.clone() {
        Mutation::Set { key, value } => {
            let key = match bug {
                Bug::LossyKeys => String::from_utf8_lossy(&key).into_owned().into(),
                _ => key,
            };
            state.insert(key, value);
        }
        Mutation::SetVersionstampedKey { prefix, suffix, value } => {
            let suffix = if bug == Bug::SuffixLost { Bytes::new() } else { suffix };
            state.insert([&prefix[..], &stamp.0, &suffix].concat().into(), value);
        }
        Mutation::SetVersionstampedValue { key, prefix, suffix } => {
            let prefix = if bug == Bug::ValueStampWithoutPrefix { Bytes::new() } else { prefix };
            state.insert(key, [&prefix[..], &stamp.0, &suffix].concat().into());
        }
        Mutation::Add { key, delta } => {
            let old = adds_to.unwrap_or(state).get(&key).cloned();
            if let Some(new) = add(bug, old, delta) {
                state.insert(key, new);
            }
        }
        Mutation::Clear { key } => drop(state.remove(&key)),
        Mutation::ClearRange { range } => state.retain(|key, _| match bug {
            Bug::ClearEndIncluded => !(range.contains(key) || (*key == range.end && !range.is_empty())),
            Bug::ClearBeginExcluded => !(range.contains(key) && *key != range.begin),
            Bug::InvertedClearClears => !(range.contains(key) || (range.end <= *key && *key < range.begin)),
            _ => !range.contains(key),
        }),
    }
}

fn add(bug: Bug, old: Option<Bytes>, delta: u64) -> Option<Bytes> {
    if old.is_none() && bug == Bug::AddAbsentIgnored {
        return None;
    }
    let old = old.unwrap_or_default();
    let mut number = [0; 8];
    let kept = old.len().min(8);
    if kept == 8 || bug != Bug::AddShortIsZero {
        number[..kept].copy_from_slice(&old[..kept]);
    }
    let number = u64::from_le_bytes(number);
    let mut new = match bug {
        Bug::AddSaturates => number.saturating_add(delta).to_le_bytes().to_vec(),
        Bug::AddBigEndian => number.wrapping_add(delta).to_be_bytes().to_vec(),
        _ => number.wrapping_add(delta).to_le_bytes().to_vec(),
    };
    if bug == Bug::AddKeepsLong && old.len() > 8 {
        new.extend_from_slice(&old[8..]);
    }
    Some(new.into())
}

fn fire(bug: Bug, inner: &mut Inner, mutations: &[Mutation], before: &State, after: &State) {
    let deaf = |key: &Bytes| {
        let hit = |kind: fn(&Mutation) -> bool| {
            let mut all = mutations.iter().filter(|mutation| kind(mutation));
            all.any(|mutation| written(Bug::None, mutation, Stamp::ZERO).contains(key))
        };
        match bug {
            Bug::WatchDeaf => true,
            Bug::WatchDeafToClear => hit(|mutation| matches!(mutation, Mutation::Clear { .. })),
            Bug::WatchDeafToClearRange => hit(|mutation| matches!(mutation, Mutation::ClearRange { .. })),
            Bug::WatchDeafToAdd => hit(|mutation| matches!(mutation, Mutation::Add { .. })),
            Bug::WatchDeafToStamps => {
                hit(|mutation| matches!(mutation, Mutation::SetVersionstampedValue { .. }))
            }
            Bug::WatchDeafToNew => !before.contains_key(key),
            Bug::WatchLate => after.get(key).is_some_and(|value| value.as_ref() == b"199"),
            _ => false,
        }
    };
    let mut only = bug == Bug::WatchOnlyOne;
    inner.watches.retain(|(key, notify)| {
        let fires = before.get(key) != after.get(key) && !deaf(key);
        if fires && (bug != Bug::WatchOnlyOne || std::mem::take(&mut only)) {
            notify.notify_one();
        }
        !fires
    });
}
