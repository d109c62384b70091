//! S1: an acknowledged batch is readable at its offset by every later read, until a trim removes it. And its counterpart: what was answered
//! as not being in the log is not in it.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::PartitionId;

use super::{Violation, erased, fail, s9};
use crate::sim::batches::{BatchId, Made, header};
use crate::sim::oracle::{Oracle, PartitionLog};

const NAME: &str = "S1";

/// A client was told that its batch is at `base`.
pub(in crate::sim) fn acknowledged(oracle: &mut Oracle, made: &Made, base: i64) -> Result<(), Violation> {
    oracle.catch_up()?;
    let log = oracle.log(made.partition);
    match log.batches.get(&base) {
        Some(found) if found.id == made.id => {}
        other => {
            let there = other.map(|batch| batch.id);
            let what =
                format!("{:?} acknowledged at {base} of {:?}; there is {there:?}", made.id, made.partition);
            return fail(NAME, what);
        }
    }
    oracle.promises.acknowledged.insert(made.id, (made.partition, base));
    oracle.promises.tell_end(made.partition, base + i64::from(made.meta.records));
    Ok(())
}

/// A client was told that its batch is not in the log, though it was sent only once.
pub(in crate::sim) fn refused(oracle: &mut Oracle, made: &Made, why: &str) -> Result<(), Violation> {
    oracle.catch_up()?;
    if let Some(base) = oracle.log(made.partition).by_id.get(&made.id) {
        return fail(NAME, format!("{:?} was answered with '{why}', and is in the log at {base}", made.id));
    }
    oracle.promises.refused.insert(made.id);
    Ok(())
}

/// A batch of this id comes into the log.
pub(in crate::sim) fn not_refused(
    oracle: &super::super::oracle::Promises,
    id: BatchId,
) -> Result<(), Violation> {
    if oracle.refused.contains(&id) {
        return fail(NAME, format!("{id:?} was answered as not being in the log, and comes into it"));
    }
    Ok(())
}

/// What a fetch brought.
#[derive(Debug, Clone, Default)]
pub(in crate::sim) struct Brought {
    /// The offsets of its batches.
    pub(in crate::sim) batches: Vec<i64>,
    /// The offsets of its records.
    pub(in crate::sim) offsets: Vec<i64>,
    /// The offset to go on from.
    pub(in crate::sim) next: i64,
}

/// What a fetch from `offset` gave must be what the log has there.
pub(in crate::sim) fn read(
    log: &PartitionLog,
    partition: PartitionId,
    offset: i64,
    pieces: &[Bytes],
) -> Result<Brought, Violation> {
    let bytes = pieces.concat();
    let mut rest = bytes.as_slice();
    let (mut next, mut batches, mut offsets) = (offset, Vec::new(), Vec::new());
    while !rest.is_empty() {
        let Some(length) =
            header(rest).and_then(|header| header.total_len()).filter(|len| *len <= rest.len())
        else {
            return violation(partition, offset, "the answer ends within a batch");
        };
        let (batch, more) = rest.split_at(length);
        rest = more;
        let Some(found) = header(batch).and_then(|header| log.batches.get(&header.base_offset)) else {
            return violation(partition, offset, "a batch is not in the log");
        };
        let follows = found.base == next || batches.is_empty() && found.base <= next && found.end() > next;
        if !follows && next >= log.log_start {
            return violation(partition, offset, &format!("{next} comes next, not {}", found.base));
        }
        match erased::batch(log, batch) {
            Ok(left) => offsets.extend(left.offsets),
            Err(what) => return violation(partition, offset, &format!("the batch is another: {what}")),
        }
        next = found.end();
        batches.push(found.base);
    }
    Ok(Brought { batches, offsets, next })
}

/// As [`read`], of a partition that is compacted by key: what comes in between must be such as compaction may take (S9).
pub(in crate::sim) fn read_compacted(
    oracle: &Oracle,
    partition: PartitionId,
    offset: i64,
    pieces: &[Bytes],
) -> Result<Brought, Violation> {
    let bytes = pieces.concat();
    let mut rest = bytes.as_slice();
    let mut brought = Brought { next: offset, ..Brought::default() };
    let mut there = BTreeSet::new();
    while !rest.is_empty() {
        let length = header(rest).and_then(|header| header.total_len()).filter(|len| *len <= rest.len());
        let Some(length) = length else {
            return violation(partition, offset, "the answer ends within a batch");
        };
        let (batch, more) = rest.split_at(length);
        rest = more;
        let left = s9::batch(oracle.log(partition), batch);
        let left =
            left.or_else(|what| fail("S9", format!("{partition:?}: {what}")).map(|()| unreachable!()))?;
        let first = brought.batches.is_empty() && left.end > offset;
        if !first && left.base < brought.next {
            return violation(partition, offset, &format!("{} comes before {}", left.base, brought.next));
        }
        brought.next = left.end;
        brought.batches.push(left.base);
        there.extend(left.offsets);
    }
    let missing = s9::none_missing(oracle, partition, (offset, brought.next), &there);
    missing.or_else(|what| fail("S9", format!("{partition:?} read from {offset}: {what}")))?;
    brought.offsets.extend(there);
    Ok(brought)
}

fn violation(partition: PartitionId, offset: i64, what: &str) -> Result<Brought, Violation> {
    fail(NAME, format!("{partition:?} read from {offset}: {what}")).map(|()| Brought::default())
}
