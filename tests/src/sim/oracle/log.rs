//! The log of one partition as it truly is.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{EndMarker, ErasureId, Extent, ProducerMeta};

use super::keyed::KeyedLog;
use crate::sim::batches::BatchId;

/// A batch in a log.
#[derive(Debug, Clone)]
pub(in crate::sim) struct LogBatch {
    pub(in crate::sim) id: BatchId,
    pub(in crate::sim) base: i64,
    pub(in crate::sim) records: u32,
    pub(in crate::sim) bytes: Bytes,
}

impl LogBatch {
    pub(in crate::sim) fn end(&self) -> i64 {
        self.base + i64::from(self.records)
    }
}

/// What a producer's next batch must be.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Expected {
    pub(in crate::sim) epoch: i16,
    pub(in crate::sim) sequence: i32,
}

/// A log.
#[derive(Debug, Default)]
pub(in crate::sim) struct PartitionLog {
    pub(in crate::sim) batches: BTreeMap<i64, LogBatch>,
    pub(in crate::sim) by_id: BTreeMap<BatchId, i64>,
    pub(in crate::sim) next: i64,
    pub(in crate::sim) log_start: i64,
    pub(in crate::sim) extents: BTreeMap<i64, Extent>,
    pub(in crate::sim) producers: BTreeMap<i64, Expected>,
    /// What control batches say, by their offsets. They are among the batches, too.
    pub(in crate::sim) markers: BTreeMap<i64, EndMarker>,
    /// The first offsets of open transactions, by producer id.
    pub(in crate::sim) open: BTreeMap<i64, i64>,
    /// Records that are erased, and by what.
    pub(in crate::sim) gone: BTreeMap<i64, BTreeSet<ErasureId>>,
    /// Its records, if it is compacted by key.
    pub(in crate::sim) keyed: Option<Box<KeyedLog>>,
}

impl PartitionLog {
    pub(super) const EMPTY: PartitionLog = PartitionLog {
        batches: BTreeMap::new(),
        by_id: BTreeMap::new(),
        next: 0,
        log_start: 0,
        extents: BTreeMap::new(),
        producers: BTreeMap::new(),
        markers: BTreeMap::new(),
        open: BTreeMap::new(),
        gone: BTreeMap::new(),
        keyed: None,
    };

    /// What an idempotent producer's next batch must be, from what is in the log.
    pub(in crate::sim) fn expected(&self, producer: &ProducerMeta) -> i32 {
        match self.producers.get(&producer.id) {
            Some(known) if known.epoch == producer.epoch => known.sequence,
            _ => 0,
        }
    }

    /// A batch was appended.
    pub(in crate::sim) fn append(&mut self, batch: LogBatch) {
        if let Some(keyed) = &mut self.keyed {
            keyed.append(batch.base, &batch.bytes);
        }
        self.next = batch.end();
        self.batches.insert(batch.base, batch);
    }

    /// A producer's batch was appended: `sequence` comes next.
    pub(in crate::sim) fn expect(&mut self, producer: &ProducerMeta, sequence: i32) {
        self.producers.insert(producer.id, Expected { epoch: producer.epoch, sequence });
    }

    /// A transaction ends, with a marker at `at`: from now on only its epoch counts.
    pub(in crate::sim) fn ended(&mut self, marker: &EndMarker, at: i64) {
        if let Some(keyed) = &mut self.keyed {
            keyed.ended(marker, at);
        }
        let known = self.producers.get(&marker.producer_id);
        if known.is_none_or(|known| known.epoch < marker.epoch) {
            let expected = Expected { epoch: marker.epoch, sequence: 0 };
            self.producers.insert(marker.producer_id, expected);
        }
        self.open.remove(&marker.producer_id);
    }

    /// The offset below which all transactions have ended.
    pub(in crate::sim) fn last_stable(&self) -> i64 {
        self.open.values().min().map_or(self.next, |first| (*first).max(self.log_start))
    }

    /// The batch that holds an offset.
    pub(in crate::sim) fn holding(&self, offset: i64) -> Option<&LogBatch> {
        let (_, batch) = self.batches.range(..=offset).next_back()?;
        (batch.end() > offset).then_some(batch)
    }
}
