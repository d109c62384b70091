//! The limits of a commit and of a read, checked alike by every backend before anything else happens.
//!
//! FoundationDB counts more than a caller writes down: the conflict range of every write, the four bytes that say where
//! a stamp goes, and some bytes for each item. [`size`] counts at least as much, so that what passes here passes there.

use crate::limits::{COMMIT_BYTES, KEY_BYTES, KEYS_END, VALUE_BYTES};
use crate::{Commit, CommitError, KeyRange, Mutation, Stamp, StoreError};

/// What a stamp adds to the length of a key or value, bytes: itself and its place.
pub const STAMP_BYTES: usize = Stamp::LEN + 4;

/// What each mutation and each range counts besides its bytes: FoundationDB's own share, and three times the longest prefix that tells
/// clusters apart there.
pub const ITEM_BYTES: usize = 300;

/// Whether a commit keeps to the limits and is well formed.
///
/// # Errors
/// [`CommitError::TooLarge`] with what is wrong.
pub fn commit(commit: &Commit) -> Result<(), CommitError> {
    if !commit.reads.is_empty() && commit.read_version.is_none() {
        return too_large("reads without a read version".to_owned());
    }
    commit.mutations.iter().try_for_each(mutation)?;
    commit.reads.iter().chain(&commit.writes).try_for_each(|r| range(r).map_err(CommitError::TooLarge))?;
    match size(commit) {
        size if size > COMMIT_BYTES => {
            too_large(format!("a commit of {size} bytes; {COMMIT_BYTES} are allowed"))
        }
        _ => Ok(()),
    }
}

/// The size of a commit in bytes, as [`COMMIT_BYTES`] limits it.
pub fn size(commit: &Commit) -> usize {
    let mutations: usize = commit.mutations.iter().map(mutation_size).sum();
    let ranges: usize = commit.reads.iter().chain(&commit.writes).map(range_size).sum();
    mutations.saturating_add(ranges)
}

/// Whether a key may be read or watched.
///
/// # Errors
/// [`StoreError::Limit`].
pub fn read_key(key: &[u8]) -> Result<(), StoreError> {
    self::key(key, key.len()).map_err(StoreError::Limit)
}

/// Whether a range may be read.
///
/// # Errors
/// [`StoreError::Limit`].
pub fn read_range(range: &KeyRange) -> Result<(), StoreError> {
    self::range(range).map_err(StoreError::Limit)
}

fn mutation(mutation: &Mutation) -> Result<(), CommitError> {
    let checked = match mutation {
        Mutation::Set { key, value } => self::key(key, key.len()).and_then(|()| self::value(value.len())),
        Mutation::SetVersionstampedKey { prefix, suffix, value } => {
            key(prefix, prefix.len() + STAMP_BYTES + suffix.len()).and_then(|()| self::value(value.len()))
        }
        Mutation::SetVersionstampedValue { key, prefix, suffix } => {
            self::key(key, key.len()).and_then(|()| value(prefix.len() + STAMP_BYTES + suffix.len()))
        }
        Mutation::Add { key, .. } | Mutation::Clear { key } => self::key(key, key.len()),
        Mutation::ClearRange { range } => self::range(range),
    };
    checked.map_err(CommitError::TooLarge)
}

fn key(start: &[u8], len: usize) -> Result<(), String> {
    if len > KEY_BYTES {
        return Err(format!("a key of {len} bytes; {KEY_BYTES} are allowed"));
    }
    if start >= KEYS_END {
        return Err("a key that starts with byte 0xff".to_owned());
    }
    Ok(())
}

fn value(len: usize) -> Result<(), String> {
    if len > VALUE_BYTES {
        return Err(format!("a value of {len} bytes; {VALUE_BYTES} are allowed"));
    }
    Ok(())
}

fn range(range: &KeyRange) -> Result<(), String> {
    let len = range.begin.len().max(range.end.len());
    if len > KEY_BYTES + 1 {
        return Err(format!("a range's end of {len} bytes; {} are allowed", KEY_BYTES + 1));
    }
    Ok(())
}

/// A key counts three times: itself, and both ends of its conflict range.
fn mutation_size(mutation: &Mutation) -> usize {
    ITEM_BYTES
        + match mutation {
            Mutation::Set { key, value } => 3 * key.len() + value.len(),
            Mutation::SetVersionstampedKey { prefix, suffix, value } => {
                3 * (prefix.len() + STAMP_BYTES + suffix.len()) + value.len()
            }
            Mutation::SetVersionstampedValue { key, prefix, suffix } => {
                3 * key.len() + prefix.len() + STAMP_BYTES + suffix.len()
            }
            Mutation::Add { key, .. } => 3 * key.len() + 8,
            Mutation::Clear { key } => 3 * key.len(),
            Mutation::ClearRange { range } => 2 * (range.begin.len() + range.end.len()),
        }
}

fn range_size(range: &KeyRange) -> usize {
    ITEM_BYTES + range.begin.len() + range.end.len()
}

fn too_large<T>(why: String) -> Result<T, CommitError> {
    Err(CommitError::TooLarge(why))
}
