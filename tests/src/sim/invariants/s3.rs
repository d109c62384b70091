//! S3: a producer's batches are in the log in sequence order, each once.

use siltstone_log::{BatchMeta, PartitionId};
use siltstone_metadata::shard::Verdict;

use super::{Violation, fail};
use crate::sim::batches::BatchId;
use crate::sim::oracle::PartitionLog;

const NAME: &str = "S3";

/// The fold says that a batch's partition does not exist.
pub(in crate::sim) fn no_partition(partition: PartitionId, deleted: bool) -> Result<(), Violation> {
    if deleted { Ok(()) } else { fail(NAME, format!("{partition:?} is said not to exist")) }
}

/// The fold has judged a batch: the oracle must judge alike, from nothing but what is in the log, and which producers may have been forgotten
/// (design, section 3: an id that was given out before an `Expire`, and that the partition does not know, may begin anywhere).
pub(in crate::sim) fn in_sequence(
    log: &mut PartitionLog,
    partition: PartitionId,
    batch: &BatchMeta,
    verdict: Verdict,
    id: BatchId,
    forgotten_below: i64,
) -> Result<(), Violation> {
    if batch.void || verdict == Verdict::Void {
        return match (batch.void, verdict) {
            (true, Verdict::Void) => Ok(()),
            (void, other) => fail(NAME, format!("{id:?}, void: {void}, is judged {other:?}")),
        };
    }
    let Some(producer) = &batch.producer else {
        return match verdict {
            Verdict::Appended { .. } => Ok(()),
            other => fail(NAME, format!("{id:?} has no producer and is judged {other:?}")),
        };
    };
    let expected = log.expected(producer);
    match verdict {
        Verdict::Appended { .. }
            if expected != producer.first_sequence
                && (log.producers.contains_key(&producer.id) || producer.id >= forgotten_below) =>
        {
            fail(NAME, format!("{partition:?} takes {producer:?}, expected is {expected}"))
        }
        Verdict::Appended { .. } => {
            let sequence = producer.first_sequence + batch.records as i32;
            log.expect(producer, sequence);
            Ok(())
        }
        Verdict::Duplicate { base_offset } if log.by_id.get(&id) != Some(&base_offset) => fail(
            NAME,
            format!(
                "{id:?} is called a duplicate of what is at {base_offset}; it is at {:?}",
                log.by_id.get(&id)
            ),
        ),
        Verdict::OutOfOrder { .. } if expected == producer.first_sequence => {
            fail(NAME, format!("{producer:?} comes next in {partition:?} and is called out of order"))
        }
        _ => Ok(()),
    }
}
