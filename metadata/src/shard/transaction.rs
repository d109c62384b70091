//! Transactions of a partition: which are open, where they end, which were aborted (design, section 6).
//!
//! A transaction begins with its first batch, and ends with an entry that all of its shards get at once. The end takes an offset: that of the
//! control record, which is made when it is read. Begins at feature level 3.

use siltstone_log::{Aborted, BatchMeta, EndMarker, Extent, ExtentPlace, PartitionRow, Position, mix64};

use super::partition::{FoldAborted, FoldExtent, PartitionState};
use super::producer;
use crate::bugs::{self, Bug};

/// The length of a control batch that ends a transaction, bytes: as Kafka writes it.
pub const MARKER_BYTES: u32 = 78;

impl PartitionState {
    /// The offset below which every transaction has ended.
    pub fn last_stable(&self) -> i64 {
        if bugs::on(Bug::StableIsEnd) {
            return self.row.next;
        }
        let first_open = self.row.open.values().min().copied();
        // Records before the log start are gone, their transaction open or not.
        first_open.map_or(self.row.next, |first| first.max(self.row.log_start))
    }

    /// Aborted transactions that the fold holds and that may have records in offsets `from..to`.
    pub fn aborted_between(&self, from: i64, to: i64) -> impl Iterator<Item = Aborted> {
        let all = self.aborted.iter().map(|held| held.aborted);
        all.filter(move |aborted| aborted.touches(from, to))
    }

    /// Whether chunks may tell of aborted transactions with records at `from` or behind it.
    pub fn has_stored_aborted(&self, from: i64) -> bool {
        self.stored_aborted.is_some_and(|last| last >= from)
    }

    /// Aborted transactions that the fold still holds.
    pub fn held_aborted(&self) -> impl Iterator<Item = &FoldAborted> {
        self.aborted.iter()
    }

    /// A batch of a transaction was appended.
    pub(super) fn open(&mut self, batch: &BatchMeta, base_offset: i64) {
        if let Some(meta) = &batch.producer {
            self.row.open.entry(meta.id).or_insert(base_offset);
            self.row.digest = mix64(self.row.digest ^ meta.id as u64);
        }
    }

    /// A producer had to be forgotten.
    pub(super) fn forgot(&mut self, id: Option<i64>) {
        if let Some(id) = id {
            self.row.forgotten_below = self.row.forgotten_below.max(id.saturating_add(1));
        }
    }

    /// Ends a transaction. Its control record takes an offset also where it left no records, as Kafka's does.
    pub(super) fn end(&mut self, position: Position, marker: EndMarker, at: i64) {
        let PartitionRow { producers, open, .. } = &mut self.row;
        let first = open.remove(&marker.producer_id);
        let (_, forgotten) = producer::seen(producers, open, marker.producer_id, marker.epoch, at);
        self.forgot(forgotten);
        let base = self.row.next;
        let mut digest = mix64(self.row.digest ^ base as u64);
        digest = mix64(digest ^ marker.producer_id as u64);
        digest = mix64(digest ^ (marker.epoch as u64) << 1 ^ u64::from(marker.commit));
        self.row.digest = mix64(digest ^ at as u64);
        let extent = Extent {
            base,
            records: 1,
            bytes_before: self.row.bytes,
            place: ExtentPlace::Marker(marker),
            length: MARKER_BYTES,
            max_timestamp: at,
        };
        self.extents.push_back(FoldExtent { extent, position, digest: self.row.digest });
        self.row.next += 1;
        self.row.bytes += u64::from(MARKER_BYTES);
        if let Some(first) = first.filter(|_| !marker.commit) {
            let stable = self.last_stable();
            let aborted = Aborted { producer_id: marker.producer_id, first, last: base, stable };
            self.aborted.push_back(FoldAborted { aborted, position });
        }
    }
}
