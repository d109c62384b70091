//! Putting a transaction together, and what became of it.

use std::time::Instant;

use foundationdb::options::{ConflictRangeType, MutationType};
use foundationdb::{FdbError, Transaction};

use super::space::Space;
use super::{Inner, error};
use crate::{Commit, CommitError, Committed, KeyRange, Mutation, Stamp, Version};

/// Commits, once.
pub(super) async fn run(inner: &Inner, commit: Commit) -> Result<Committed, CommitError> {
    // Whatever fails here has not been sent.
    let unsent = |failed: FdbError| error::unsent(failed);
    let transaction = inner.begin_plain().map_err(unsent)?;
    if !build(inner, &transaction, commit).map_err(unsent)? {
        // One that writes nothing gets neither version nor stamp: what it writes then is a key that nobody has.
        let (begin, end) = inner.space.nowhere();
        transaction.add_conflict_range(&begin, &end, ConflictRangeType::Write).map_err(unsent)?;
    }
    let began = Instant::now();
    // Has to be asked for before the commit, which takes the transaction.
    let stamp = transaction.get_versionstamp();
    let done = transaction.commit().await;
    let took = began.elapsed();
    if took > inner.options.slow {
        tracing::warn!(millis = took.as_millis(), ok = done.is_ok(), "a transaction was slow");
    }
    let done = done.map_err(|failed| error::committing(failed.into()))?;
    let version = done.committed_version().map_err(error::committed)?;
    let stamp = stamp.await.map_err(error::committed)?;
    let stamp = <[u8; Stamp::LEN]>::try_from(&stamp[..]);
    let stamp = stamp.map_err(|_| CommitError::Unknown("a stamp is not of 10 bytes".to_owned()))?;
    let version = inner.saw(Version(u64::try_from(version).unwrap_or(0)));
    Ok(Committed { version, stamp: Stamp(stamp) })
}

/// Whether the transaction writes anything: FoundationDB gives those that don't neither version nor stamp.
fn build(inner: &Inner, transaction: &Transaction, commit: Commit) -> Result<bool, FdbError> {
    let Commit { read_version, reads, writes, mutations } = commit;
    let space = &inner.space;
    if let Some(version) = read_version.filter(|_| !reads.is_empty()) {
        // A version of which no store can have told is one that has gone.
        transaction.set_read_version(i64::try_from(version.0).unwrap_or(i64::MAX).max(1));
    }
    let conflicts = |ranges: &[KeyRange], kind: fn() -> ConflictRangeType| -> Result<bool, FdbError> {
        let ranges: Vec<_> = ranges.iter().filter_map(|range| space.range(range)).collect();
        for (begin, end) in &ranges {
            transaction.add_conflict_range(begin, end, kind())?;
        }
        Ok(!ranges.is_empty())
    };
    conflicts(&reads, || ConflictRangeType::Read)?;
    let mut changes = conflicts(&writes, || ConflictRangeType::Write)?;
    for mutation in mutations {
        changes |= apply(space, transaction, mutation);
    }
    Ok(changes)
}

fn apply(space: &Space, transaction: &Transaction, mutation: Mutation) -> bool {
    match mutation {
        Mutation::Set { key, value } => transaction.set(&space.key(&key), &value),
        Mutation::SetVersionstampedKey { prefix, suffix, value } => {
            let key = Space::stamped(&space.key(&prefix), &suffix);
            transaction.atomic_op(&key, &value, MutationType::SetVersionstampedKey);
        }
        Mutation::SetVersionstampedValue { key, prefix, suffix } => {
            let value = Space::stamped(&prefix, &suffix);
            transaction.atomic_op(&space.key(&key), &value, MutationType::SetVersionstampedValue);
        }
        Mutation::Add { key, delta } => {
            transaction.atomic_op(&space.key(&key), &delta.to_le_bytes(), MutationType::Add);
        }
        Mutation::Clear { key } => transaction.clear(&space.key(&key)),
        Mutation::ClearRange { range } => match space.range(&range) {
            Some((begin, end)) => transaction.clear_range(&begin, &end),
            None => return false,
        },
    }
    true
}
