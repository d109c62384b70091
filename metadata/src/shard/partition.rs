//! One partition's part of the fold.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use siltstone_log::{
    Aborted, BatchMeta, Block, ErasedRow, ErasureId, Expired, Extent, ExtentPlace, KeyDigest, PartitionRow,
    Position, SegmentPlace, mix64,
};

use super::producer::{self, Verdict};
use super::state::LEVEL_TRANSACTIONS;
use crate::bugs::{self, Bug};

/// An extent that the fold holds, until the floor has passed it and its row is the place to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldExtent {
    /// What it says.
    pub extent: Extent,
    /// The entry that made it.
    pub position: Position,
    /// The partition's digest behind it.
    pub digest: u64,
}

/// An aborted transaction that the fold holds, until the floor has passed it and a chunk is the place to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoldAborted {
    /// What is known of it.
    pub aborted: Aborted,
    /// The entry that ended it.
    pub position: Position,
}

/// Where an offset is to be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// In this extent of the fold.
    Extent(Extent),
    /// In a row: look for the last chunk whose base is at most the offset.
    Rows,
    /// At the end of the log: no record yet.
    End,
    /// Before the log start or behind the end.
    OutOfRange,
}

/// A loaded partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionState {
    /// Everything but extents; `horizon` is the position up to which entries are folded in.
    pub(super) row: PartitionRow,
    /// Newer than the floor that the follower knows of, in offset order, without gaps but for trims.
    pub(super) extents: VecDeque<FoldExtent>,
    /// Newer than that floor, too; in the order of their ends.
    pub(super) aborted: VecDeque<FoldAborted>,
    /// The last end of an aborted transaction that is in chunks.
    pub(super) stored_aborted: Option<i64>,
}

impl PartitionState {
    /// A partition as its row has it, or a new one, valid at `since`: the later of the row's horizon and the floor that
    /// was read with it. `expired` is the shard's last expiry as of that floor.
    pub fn from_row(row: Option<PartitionRow>, since: Position, expired: Option<&Expired>) -> Self {
        let mut row = row.unwrap_or_default();
        if let Some(expired) = expired.filter(|expired| expired.position > row.horizon) {
            expire(&mut row, expired.before, expired.ids_below);
        }
        row.horizon = row.horizon.max(since);
        let stored_aborted = row.aborted.map(|aborted| aborted.last);
        PartitionState { row, extents: VecDeque::new(), aborted: VecDeque::new(), stored_aborted }
    }

    /// The offset of the next record; also the high watermark: what is folded is durable.
    pub fn next(&self) -> i64 {
        self.row.next
    }

    /// The first offset that may be read.
    pub fn log_start(&self) -> i64 {
        self.row.log_start
    }

    /// Position up to which entries are folded in.
    pub fn horizon(&self) -> Position {
        self.row.horizon
    }

    /// The digest over all that was appended.
    pub fn digest(&self) -> u64 {
        self.row.digest
    }

    /// Bytes ever appended.
    pub fn bytes(&self) -> u64 {
        self.row.bytes
    }

    /// Durable state without extents.
    pub fn row(&self) -> &PartitionRow {
        &self.row
    }

    /// Extents that the fold still holds.
    pub fn extents(&self) -> &VecDeque<FoldExtent> {
        &self.extents
    }

    /// Where to find the record at `offset`.
    pub fn lookup(&self, offset: i64) -> Lookup {
        if offset < self.row.log_start || offset > self.row.next {
            return Lookup::OutOfRange;
        }
        if offset == self.row.next {
            return Lookup::End;
        }
        let at = self.extents.partition_point(|held| held.extent.end() <= offset);
        match self.extents.get(at) {
            Some(held) if held.extent.base <= offset => Lookup::Extent(held.extent),
            _ => Lookup::Rows,
        }
    }

    /// The first offset that the fold holds itself; everything before is in rows.
    pub fn first_held(&self) -> i64 {
        self.extents.front().map_or(self.row.next, |held| held.extent.base)
    }

    /// Drops extents that the floor has passed: they are in rows.
    pub fn release(&mut self, floor: Position) {
        while self.extents.front().is_some_and(|held| held.position <= floor) {
            self.extents.pop_front();
        }
        while let Some(held) = self.aborted.front().filter(|held| held.position <= floor) {
            self.stored_aborted = Some(held.aborted.last);
            self.aborted.pop_front();
        }
        if self.extents.capacity() > 64 && self.extents.len() * 4 < self.extents.capacity() {
            self.extents.shrink_to_fit();
        }
    }

    /// Whether an entry at `position` is news to this partition; if so, it counts as folded from now on.
    pub(super) fn enter(&mut self, position: Position) -> bool {
        if position <= self.row.horizon {
            return false;
        }
        self.row.horizon = position;
        true
    }

    /// Folds a block in. One verdict per batch.
    pub(super) fn append(
        &mut self,
        position: Position,
        level: u32,
        at: i64,
        segment: SegmentPlace,
        block: &Block,
    ) -> Vec<Verdict> {
        let mut start = 0u32;
        let mut open = false;
        let mut verdicts = Vec::with_capacity(block.batches.len());
        for batch in &block.batches {
            let verdict = self.judge(batch);
            let appended = verdict.is_none();
            let base_offset = self.row.next;
            if appended {
                self.take(batch, base_offset, at);
                if batch.transactional && level >= LEVEL_TRANSACTIONS {
                    self.open(batch, base_offset);
                }
                self.extend(position, segment, block, start, batch, base_offset, open);
            }
            open = appended;
            start += batch.bytes;
            let verdict = match verdict {
                Some(Verdict::Duplicate { .. }) if bugs::on(Bug::DuplicateAtEnd) => {
                    Some(Verdict::Duplicate { base_offset })
                }
                verdict => verdict,
            };
            verdicts.push(verdict.unwrap_or(Verdict::Appended { base_offset }));
        }
        verdicts
    }

    /// Why a batch can't be appended.
    fn judge(&self, batch: &BatchMeta) -> Option<Verdict> {
        if batch.void {
            return Some(Verdict::Void);
        }
        let producer = batch.producer.as_ref()?;
        producer::check(&self.row.producers, self.row.forgotten_below, producer, batch.records).err()
    }

    fn take(&mut self, batch: &BatchMeta, base_offset: i64, at: i64) {
        let mut digest = mix64(self.row.digest ^ base_offset as u64);
        digest = mix64(digest ^ u64::from(batch.records) ^ (u64::from(batch.bytes) << 32));
        digest = mix64(digest ^ batch.max_timestamp as u64);
        if let Some(meta) = &batch.producer {
            digest = mix64(digest ^ meta.id as u64);
            digest = mix64(digest ^ (meta.epoch as u64) << 32 ^ meta.first_sequence as u64);
            let PartitionRow { producers, open, .. } = &mut self.row;
            let forgotten = producer::remember(producers, open, meta, batch.records, base_offset, at);
            self.forgot(forgotten);
        }
        self.row.digest = digest;
        self.row.next = base_offset + i64::from(batch.records);
        self.row.bytes += u64::from(batch.bytes);
    }

    /// Adds a batch to the last extent if it lies right behind it, else begins a new one.
    #[expect(clippy::too_many_arguments, reason = "all of it describes one batch's place")]
    fn extend(
        &mut self,
        position: Position,
        segment: SegmentPlace,
        block: &Block,
        start: u32,
        batch: &BatchMeta,
        base: i64,
        open: bool,
    ) {
        let digest = self.row.digest;
        if let Some(last) = self.extents.back_mut().filter(|_| open) {
            last.extent.records += u64::from(batch.records);
            last.extent.length += batch.bytes;
            last.extent.max_timestamp = last.extent.max_timestamp.max(batch.max_timestamp);
            last.digest = digest;
            return;
        }
        let extent = Extent {
            base,
            records: u64::from(batch.records),
            bytes_before: self.row.bytes - u64::from(batch.bytes),
            place: ExtentPlace::Stored { segment, block: block.place, start, level: 0 },
            length: batch.bytes,
            max_timestamp: batch.max_timestamp,
        };
        self.extents.push_back(FoldExtent { extent, position, digest });
    }

    pub(super) fn trim(&mut self, offset: i64) {
        self.row.log_start = self.row.log_start.max(offset.min(self.row.next));
        while self.extents.front().is_some_and(|held| held.extent.end() <= self.row.log_start) {
            self.extents.pop_front();
        }
        while self.aborted.front().is_some_and(|held| held.aborted.last < self.row.log_start) {
            self.aborted.pop_front();
        }
    }

    /// Records of these keys that are there now are to go. A partition without any has nothing to remember.
    pub(super) fn erase(&mut self, erasure: ErasureId, keys: &Arc<BTreeSet<KeyDigest>>) {
        if self.row.next > 0 {
            let erased = ErasedRow { upto: self.row.next, keys: keys.clone() };
            self.row.erasures.insert(erasure, erased);
        }
    }

    /// They are gone.
    pub(super) fn erased(&mut self, erasure: ErasureId) {
        self.row.erasures.remove(&erasure);
    }

    pub(super) fn expire(&mut self, before: i64, ids_below: i64) {
        expire(&mut self.row, before, ids_below);
    }
}

fn expire(row: &mut PartitionRow, before: i64, ids_below: i64) {
    let open = &row.open;
    row.producers.retain(|id, producer| producer.last_used >= before || open.contains_key(id));
    row.forgotten_below = row.forgotten_below.max(ids_below);
}
