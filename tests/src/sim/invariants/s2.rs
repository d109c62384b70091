//! S2: offsets are given out once, in order, without gaps.

use bytes::Bytes;
use siltstone_log::{BatchMeta, PartitionId};
use siltstone_metadata::shard::Verdict;

use super::{Violation, fail, s1};
use crate::sim::batches::BatchId;
use crate::sim::oracle::{LogBatch, PartitionLog, Promises};

const NAME: &str = "S2";

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
    let batch = LogBatch { id, base, records: batch.records, bytes };
    log.next = batch.end();
    log.batches.insert(base, batch);
    Ok(())
}
