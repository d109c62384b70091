//! Extents of rows that were read lately, decoded.
//!
//! A consumer that scans comes back to the same chunk of a few hundred extents dozens of times. What is here may be out of date: the
//! compactor replaces extents. It is never older than [`KEPT_FOR`], a small part of the time of grace that the compactor gives to readers. Who finds that an object is gone or damaged must [`forget`](Chunks::forget) the partition and look again.
//! What is below the log start or beyond the ends is not judged here.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_log::{Extent, PartitionId};
use tokio::time::Instant;

/// How long a chunk is kept. Aborted transactions are looked up anew for each read, and must still be there for what an old extent leads to.
const KEPT_FOR: Duration = Duration::from_secs(5);
/// Partitions of which a chunk is kept: some 50 kB each, at most.
const KEPT: usize = 128;

/// The last chunk that was read of each of some partitions.
#[derive(Default)]
pub(super) struct Chunks(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    chunks: BTreeMap<PartitionId, (Instant, Arc<[Extent]>)>,
    /// In the order in which they came.
    order: VecDeque<PartitionId>,
}

impl Chunks {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The chunk, if it has an extent that holds `offset`.
    pub(super) fn find(&self, partition: PartitionId, offset: i64) -> Option<Arc<[Extent]>> {
        let kept = self.lock();
        let (since, chunk) = kept.chunks.get(&partition)?;
        let first = chunk.partition_point(|extent| extent.end() <= offset);
        let held = chunk.get(first).is_some_and(|extent| extent.base <= offset);
        (held && since.elapsed() <= KEPT_FOR).then(|| Arc::clone(chunk))
    }

    /// Keeps a chunk in the place of the one before.
    pub(super) fn keep(&self, partition: PartitionId, chunk: Arc<[Extent]>) {
        let mut kept = self.lock();
        if kept.chunks.insert(partition, (Instant::now(), chunk)).is_some() {
            return;
        }
        kept.order.push_back(partition);
        if kept.order.len() > KEPT
            && let Some(oldest) = kept.order.pop_front()
        {
            kept.chunks.remove(&oldest);
        }
    }

    /// Drops what is kept of a partition.
    pub(super) fn forget(&self, partition: PartitionId) {
        let mut kept = self.lock();
        if kept.chunks.remove(&partition).is_some() {
            kept.order.retain(|kept| *kept != partition);
        }
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::{
        BlockPlace, Encoding, ExtentPlace, RegistrationId, SegmentId, SegmentPlace, TopicId,
    };

    use super::*;

    fn partition(index: u32) -> PartitionId {
        PartitionId { topic: TopicId(7), index }
    }

    fn extent(base: i64, end: i64) -> Extent {
        let id = SegmentId { registration: RegistrationId(1), number: base as u64 };
        let block = BlockPlace { start: 0, length: 100, encoding: Encoding::Plain };
        let segment = SegmentPlace { id, inline: false, length: 100 };
        let records = (end - base) as u64;
        let place = ExtentPlace::Stored { segment, block, start: 0, level: 0 };
        Extent { base, records, bytes_before: 0, place, length: 100, max_timestamp: 0 }
    }

    #[test]
    fn only_what_holds_the_offset_is_found() {
        let chunks = Chunks::default();
        chunks.keep(partition(0), [extent(10, 20), extent(25, 30)].into());
        let found = |offset| chunks.find(partition(0), offset).is_some();
        assert_eq!(
            [9, 10, 19, 20, 24, 25, 29, 30].map(found),
            [false, true, true, false, false, true, true, false]
        );
        assert!(chunks.find(partition(1), 10).is_none());
        chunks.forget(partition(0));
        assert!(chunks.find(partition(0), 10).is_none());
    }

    #[test]
    fn the_number_kept_is_bounded() {
        let chunks = Chunks::default();
        for round in 0..3 {
            for index in 0..KEPT as u32 + 10 {
                chunks.keep(partition(index), [extent(round, round + 1)].into());
                chunks.forget(partition(index / 2));
            }
        }
        let kept = chunks.lock();
        assert!(kept.chunks.len() <= KEPT && kept.chunks.len() == kept.order.len());
    }
}
