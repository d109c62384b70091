//! Which keys were written when, as far back as a bounded memory reaches: what optimistic commits are checked against.
//!
//! Keys and ranges are kept apart: a written key is one entry, a written range a step of a function from keys to the
//! version of the last range that covers them. Both only ever grow in version, so a newer write simply replaces an older.
//! What is forgotten raises the floor, and a read version below the floor can't be checked any more.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::Bytes;

use crate::resolve::Touch;
use crate::{CommitError, KeyRange, Version};

/// What an entry counts besides its key: the map's own bytes.
const ENTRY_BYTES: usize = 64;

#[derive(Debug, Default)]
pub(crate) struct Window {
    keys: BTreeMap<Bytes, Version>,
    /// From this key up to the next one: version of the last write of a range, or 0.
    steps: BTreeMap<Bytes, Version>,
    bytes: usize,
    floor: Version,
    newest: Version,
}

impl Window {
    /// Knows of no write after `floor`, and of nothing before it.
    pub(crate) fn new(floor: Version) -> Self {
        Window { floor, newest: floor, ..Window::default() }
    }

    /// Whether nothing in `reads` was written after `at`.
    pub(crate) fn verdict(&self, reads: &[KeyRange], at: Version) -> Result<(), CommitError> {
        if at < self.floor {
            return Err(CommitError::TooOld);
        }
        match reads.iter().any(|range| self.written_after(range, at)) {
            true => Err(CommitError::Conflict),
            false => Ok(()),
        }
    }

    /// Notes a write at `version`, which is at least that of every write before.
    pub(crate) fn wrote(&mut self, touch: Touch<'_>, version: Version) {
        debug_assert!(version >= self.newest, "versions are given in order");
        self.newest = version;
        match touch {
            Touch::Key(key) => self.wrote_key(key, version),
            Touch::Range(range) if range.is_empty() => {}
            Touch::Range(range) => self.wrote_range(range, version),
        }
    }

    /// Forgets what was written at or before `floor`.
    pub(crate) fn forget(&mut self, floor: Version) {
        if floor <= self.floor {
            return;
        }
        self.floor = floor;
        self.keys.retain(|_, version| *version > floor);
        let mut covered = false;
        self.steps.retain(|_, version| {
            let before = std::mem::replace(&mut covered, *version > floor);
            before || covered
        });
        let keys = self.keys.keys().chain(self.steps.keys());
        self.bytes = keys.map(|key| key.len() + ENTRY_BYTES).sum();
    }

    /// Forgets the older half, again and again, until at most `bytes` are in use.
    pub(crate) fn shrink_to(&mut self, bytes: usize) {
        while self.bytes > bytes && self.floor < self.newest {
            let gap = self.newest.0 - self.floor.0;
            self.forget(Version(self.floor.0 + gap.div_ceil(2)));
        }
    }

    /// Bytes in use, about.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    fn written_after(&self, range: &KeyRange, at: Version) -> bool {
        if range.is_empty() {
            return false;
        }
        let inside = (Bound::Included(&range.begin), Bound::Excluded(&range.end));
        self.step_at(&range.begin) > at
            || self.keys.range::<Bytes, _>(inside).any(|(_, version)| *version > at)
            || self.steps.range::<Bytes, _>(inside).any(|(_, version)| *version > at)
    }

    fn step_at(&self, key: &Bytes) -> Version {
        let upto = (Bound::Unbounded, Bound::Included(key));
        self.steps.range::<Bytes, _>(upto).next_back().map_or(Version(0), |(_, version)| *version)
    }

    fn wrote_key(&mut self, key: &Bytes, version: Version) {
        if let Some(known) = self.keys.get_mut(key) {
            *known = version;
            return;
        }
        self.bytes += key.len() + ENTRY_BYTES;
        // A copy: the key may be a small part of a large buffer.
        self.keys.insert(Bytes::copy_from_slice(key), version);
    }

    fn wrote_range(&mut self, range: &KeyRange, version: Version) {
        let after = self.step_at(&range.end);
        let inside = (Bound::Included(&range.begin), Bound::Excluded(&range.end));
        let covered: Vec<Bytes> = self.steps.range::<Bytes, _>(inside).map(|(key, _)| key.clone()).collect();
        for key in covered {
            self.bytes -= key.len() + ENTRY_BYTES;
            self.steps.remove(&key);
        }
        self.step(&range.begin, version);
        self.step(&range.end, after);
    }

    fn step(&mut self, key: &Bytes, version: Version) {
        if self.steps.insert(Bytes::copy_from_slice(key), version).is_none() {
            self.bytes += key.len() + ENTRY_BYTES;
        }
    }
}

#[cfg(test)]
mod tests;
