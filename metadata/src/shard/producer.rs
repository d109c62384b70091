//! Idempotent producers: which batch is next, which is a duplicate (KIP-98, KIP-360; design, section 3).

use std::collections::BTreeMap;

use siltstone_log::{ProducerMeta, ProducerRow, SEQUENCE_WINDOW, SequenceRow};

use crate::bugs::{self, Bug};

/// Most producers that one partition remembers; over it the one that has been idle longest is forgotten. Part of the fold: never changes
/// without a feature level.
pub(super) const MAX_PRODUCERS: usize = 20_000;

/// What the fold says of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// In the log, its first record at this offset.
    Appended {
        /// The first record's offset.
        base_offset: i64,
    },
    /// Was in the log already, its first record at this offset.
    Duplicate {
        /// The first record's offset.
        base_offset: i64,
    },
    /// Not in the log: its sequence is not the one that comes next.
    OutOfOrder {
        /// The one that would have been right.
        expected: i32,
    },
    /// Not in the log: the producer has a newer epoch.
    Fenced {
        /// That epoch.
        current: i16,
    },
    /// Not in the log: there is no such partition (any more).
    NoPartition,
    /// Not in the log: whoever sent its entry found that its transaction had ended.
    Void,
}

/// Sequence numbers wrap from `i32::MAX` to 0.
pub(super) fn advance(first: i32, records: u32) -> i32 {
    ((i64::from(first) + i64::from(records)) % (i64::from(i32::MAX) + 1)) as i32
}

/// Decides about a batch: `Ok` if it is to be appended.
pub(super) fn check(
    producers: &BTreeMap<i64, ProducerRow>,
    forgotten_below: i64,
    batch: &ProducerMeta,
    records: u32,
) -> Result<(), Verdict> {
    let Some(known) = producers.get(&batch.id) else {
        return expect(batch, if batch.id < forgotten_below { batch.first_sequence } else { 0 });
    };
    if batch.epoch < known.epoch {
        return Err(Verdict::Fenced { current: known.epoch });
    }
    if batch.epoch > known.epoch {
        return expect(batch, 0);
    }
    let same = |old: &&SequenceRow| old.first == batch.first_sequence && old.records == records;
    if let Some(old) = known.batches.iter().find(same) {
        return Err(Verdict::Duplicate { base_offset: old.base_offset });
    }
    expect(batch, known.batches.last().map_or(0, |last| advance(last.first, last.records)))
}

fn expect(batch: &ProducerMeta, expected: i32) -> Result<(), Verdict> {
    if batch.first_sequence == expected { Ok(()) } else { Err(Verdict::OutOfOrder { expected }) }
}

/// Remembers a batch that was appended. Returns the id of a producer that had to be forgotten for it.
pub(super) fn remember(
    producers: &mut BTreeMap<i64, ProducerRow>,
    open: &BTreeMap<i64, i64>,
    batch: &ProducerMeta,
    records: u32,
    base_offset: i64,
    at: i64,
) -> Option<i64> {
    let (known, forgotten) = seen(producers, open, batch.id, batch.epoch, at);
    let window = SEQUENCE_WINDOW - usize::from(bugs::on(Bug::SequenceWindowShort));
    if known.batches.len() == window {
        known.batches.remove(0);
    }
    known.batches.push(SequenceRow { first: batch.first_sequence, records, base_offset });
    forgotten
}

/// A producer that has just been heard of with this epoch: a new epoch begins without batches. With it comes the id of a producer that had to be
/// forgotten.
pub(super) fn seen<'a>(
    producers: &'a mut BTreeMap<i64, ProducerRow>,
    open: &BTreeMap<i64, i64>,
    id: i64,
    epoch: i16,
    at: i64,
) -> (&'a mut ProducerRow, Option<i64>) {
    let forgotten = make_room(producers, open, id);
    let known = producers.entry(id).or_insert_with(|| ProducerRow {
        epoch,
        last_used: at,
        batches: Vec::with_capacity(1),
    });
    if epoch > known.epoch {
        known.epoch = epoch;
        known.batches.clear();
    }
    known.last_used = known.last_used.max(at);
    (known, forgotten)
}

/// Who has an open transaction is not forgotten, even if there are too many of them.
fn make_room(producers: &mut BTreeMap<i64, ProducerRow>, open: &BTreeMap<i64, i64>, id: i64) -> Option<i64> {
    if producers.len() < MAX_PRODUCERS || producers.contains_key(&id) {
        return None;
    }
    let idle = producers.iter().filter(|(id, _)| !open.contains_key(id));
    let oldest = idle.min_by_key(|(id, row)| (row.last_used, **id)).map(|(id, _)| *id)?;
    producers.remove(&oldest);
    Some(oldest)
}
