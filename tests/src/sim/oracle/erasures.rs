//! What the logs say of erasures: which records of a partition they take, for good.

use std::collections::BTreeSet;

use siltstone_log::{ErasureId, KeyDigest, PartitionId, Position, TopicId};
use siltstone_records::{Batch, Scratch};

use super::{LogBatch, MAX_RECORDS_BYTES, Oracle, PartitionLog};

/// Offsets of a batch's records, and their keys.
pub(in crate::sim) fn keys_of(written: &LogBatch) -> Vec<(i64, Vec<u8>)> {
    let Ok(batch) = Batch::parse(&written.bytes) else { return Vec::new() };
    let Ok(records) = batch.records(MAX_RECORDS_BYTES, &mut Scratch::new()) else { return Vec::new() };
    let found = records.iter().map_while(Result::ok);
    let key = |record: siltstone_records::RecordView<'_>| {
        Some((written.base + i64::from(record.offset_delta), record.key?.to_vec()))
    };
    found.filter_map(key).collect()
}

impl PartitionLog {
    /// All records of these keys that are in the log by now go, and never come back.
    fn erase(&mut self, erasure: ErasureId, topic: TopicId, keys: &BTreeSet<KeyDigest>) {
        let PartitionLog { batches, markers, gone, .. } = self;
        let written = batches.iter().filter(|(base, _)| !markers.contains_key(base));
        for (offset, key) in written.flat_map(|(_, batch)| keys_of(batch)) {
            if keys.contains(&KeyDigest::of(topic, &key)) {
                gone.entry(offset).or_default().insert(erasure);
            }
        }
    }

    /// Whether an erasure takes one of these offsets.
    pub(in crate::sim) fn erased_in(&self, from: i64, to: i64) -> bool {
        self.gone.range(from..to.max(from)).next().is_some()
    }
}

impl Oracle {
    /// An erasure stands in a shard's log.
    pub(super) fn erase(
        &mut self,
        position: Position,
        erasure: ErasureId,
        (topic, keys): (TopicId, &BTreeSet<KeyDigest>),
        partitions: &[PartitionId],
    ) {
        let mut stamp = [0; 10];
        stamp.copy_from_slice(&position.0[..10]);
        self.erasures.insert(erasure, stamp);
        for partition in partitions {
            self.logs.entry(*partition).or_default().erase(erasure, topic, keys);
        }
    }
}
