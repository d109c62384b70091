//! S2: offsets are given out once, in order, without gaps.

use bytes::Bytes;
use siltstone_log::{BatchMeta, EndMarker, PartitionId, TxnEnd};
use siltstone_metadata::shard::Verdict;
use siltstone_records::{Marker, control_batch};

use super::{Violation, fail, s1};
use crate::sim::batches::{BatchId, id_of};
use crate::sim::oracle::{LogBatch, PartitionLog, Promises};

const NAME: &str = "S2";

/// A transaction has ended: its control batch takes the next offset.
pub(in crate::sim) fn marker(
    log: &mut PartitionLog,
    partition: PartitionId,
    end: &TxnEnd,
) -> Result<(), Violation> {
    let EndMarker { producer_id, epoch, commit } = end.marker;
    let base = log.next;
    let there = log.extents.get(&base);
    if there.is_none_or(|extent| extent.records != 1 || extent.segment().is_some()) {
        return fail(NAME, format!("{partition:?} has {there:?} at {base}, where a transaction ends"));
    }
    let marker = if commit { Marker::Commit } else { Marker::Abort };
    let bytes = control_batch(marker, producer_id, epoch, 0, end.at);
    let id = id_of(&bytes).unwrap_or_default();
    log.batches.insert(base, LogBatch { id, base, records: 1, bytes });
    log.markers.insert(base, end.marker);
    log.ended(&end.marker, base);
    log.next = base + 1;
    Ok(())
}

/// The fold has judged a batch: takes it into the log if it was appended.
pub(in crate::sim) fn given_out(
    log: &mut PartitionLog,
    promises: &Promises,
    partition: PartitionId,
    batch: &BatchMeta,
    verdict: Verdict,
    id: BatchId,
    bytes: Bytes,
) -> Result<(), Violation> {
    let Verdict::Appended { base_offset: base } = verdict else { return Ok(()) };
    if base != log.next {
        return fail(NAME, format!("{partition:?} gives out {base} after {}", log.next));
    }
    s1::not_refused(promises, id)?;
    if let Some(before) = log.by_id.insert(id, base) {
        return fail(NAME, format!("{id:?} is in {partition:?} twice: at {before} and {base}"));
    }
    log.append(LogBatch { id, base, records: batch.records, bytes });
    Ok(())
}
