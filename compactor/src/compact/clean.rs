//! What becomes of each batch of a partition in a round of compaction: the rule of Kafka 4.2's log cleaner.
//!
//! A record stays if it has a key and no newer record of that key is known; without a value it is a tombstone and goes once its batch's delete horizon
//! has passed. The horizon is set in the round that first keeps the tombstone: that moment and `delete.retention.ms`. Records of aborted
//! transactions go at once. The marker of a transaction stays as long as batches of it are read before it; when a round reads none, the marker gets a
//! horizon, and goes in a round after that.
//!
//! An abort marker tells readers where filtering its producer ends, so the partition's entry for the aborted transaction must never outlive it, nor may
//! the entry go while somebody reads what the transaction left. Agents learn of both at different moments, so there are two horizons, each at least
//! as long as a read may take: at the first one the entry is over, and reported as such, and the marker gets the second one, at which it goes itself.
//!
//! What a batch's fate depends on beside the map is the batches before it: [`OpenProducers`], small enough for a row, so that another worker can go on.
//! Pure: time is an argument.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{Aborted, OpenProducers};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_records::{Batch, Marker, Records, RewriteError, Scratch, emptied, end_transaction, rewritten};

use super::map::OffsetMap;

/// What a round goes by.
#[derive(Debug, Clone, Copy)]
pub struct Rule<'a> {
    /// The newest offsets of keys with records in offsets from the round's first dirty one to `upto`.
    pub map: &'a OffsetMap,
    /// Records from here on are kept.
    pub upto: i64,
    /// The partition's last offset: the batch that holds it is never dropped.
    pub last: i64,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// How long a read may take, milliseconds. Abort markers stay at least so long, twice.
    pub longest_read_ms: u64,
    /// The level at which batches are compressed again, by their own codec; `None` is the codec's default.
    pub level: Option<i32>,
    /// Bytes that a batch's records may have when decompressed.
    pub max_decompressed: usize,
}

/// What becomes of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It stays as it is.
    Keep,
    /// These bytes take its place: the same offsets, perhaps fewer records.
    Replace(Bytes),
    /// It goes.
    Drop,
}

/// Aborted transactions by producer, to look batches up in.
#[derive(Debug, Clone, Default)]
pub struct AbortedIndex(BTreeMap<i64, Vec<Aborted>>);

impl AbortedIndex {
    /// An index of these.
    pub fn new(all: &[Aborted]) -> Self {
        let mut index: BTreeMap<i64, Vec<Aborted>> = BTreeMap::new();
        for aborted in all {
            index.entry(aborted.producer_id).or_default().push(*aborted);
        }
        AbortedIndex(index)
    }

    /// The aborted transaction that this batch, or marker, is part of.
    pub fn of(&self, batch: &Batch) -> Option<&Aborted> {
        if !batch.attributes.is_transactional() {
            return None;
        }
        let all = self.0.get(&batch.producer_id)?;
        all.iter().find(|aborted| aborted.touches(batch.base_offset, batch.last_offset().saturating_add(1)))
    }
}

/// Judges batches, in the order of their offsets.
#[derive(Debug)]
pub struct Cleaner<'a> {
    rule: Rule<'a>,
    /// What is known of transactions behind the last batch that was judged.
    pub open: OpenProducers,
    /// The latest delete horizon among the tombstones and markers that were kept.
    pub horizon: Option<i64>,
    /// Aborted transactions whose entries are to go.
    pub over: Vec<Aborted>,
    scratch: Scratch,
}

impl<'a> Cleaner<'a> {
    /// One that goes on where another has left these.
    pub fn new(rule: Rule<'a>, open: OpenProducers, horizon: Option<i64>) -> Self {
        Cleaner { rule, open, horizon, over: Vec::new(), scratch: Scratch::new() }
    }

    /// What becomes of `batch`, whose header holds its offset.
    ///
    /// # Errors
    /// See [`RewriteError`]. The round can't go on then.
    pub fn judge(&mut self, batch: &Batch, aborted: &AbortedIndex) -> Result<Verdict, RewriteError> {
        if batch.base_offset >= self.rule.upto {
            return Ok(Verdict::Keep);
        }
        if batch.attributes.is_control() {
            return self.marker(batch, aborted);
        }
        if batch.attributes.is_transactional() {
            self.open.open(batch.producer_id);
            if aborted.of(batch).is_some() {
                return self.nothing_left(batch);
            }
        }
        self.data(batch)
    }

    fn marker(&mut self, batch: &Batch, aborted: &AbortedIndex) -> Result<Verdict, RewriteError> {
        let records = self.records(batch)?;
        let Some(record) = records.iter().next() else {
            return self.nothing_left(batch);
        };
        let record = record.map_err(RewriteError::records(batch))?;
        let Some(end) = end_transaction(&record) else {
            return Ok(Verdict::Keep);
        };
        if bugs::on(Bug::MarkersEarly) {
            return self.nothing_left(batch);
        }
        if self.open.close(batch.producer_id) {
            return Ok(Verdict::Keep);
        }
        let (entry, retention) = match end.marker {
            Marker::Commit => (None, self.rule.delete_retention_ms),
            Marker::Abort => {
                let retention = self.rule.delete_retention_ms.max(self.rule.longest_read_ms);
                (aborted.of(batch), retention)
            }
        };
        match batch.delete_horizon() {
            Some(horizon) if horizon > self.rule.now => {
                self.kept_until(horizon);
                return Ok(Verdict::Keep);
            }
            Some(_) if entry.is_none() => return self.nothing_left(batch),
            Some(_) => self.over.extend(entry),
            None => {}
        }
        self.replaced(batch, &records, None, Some(self.horizon_in(retention)))
    }

    fn data(&mut self, batch: &Batch) -> Result<Verdict, RewriteError> {
        let records = self.records(batch)?;
        let kept = self.kept(batch, &records)?;
        if kept.count == 0 {
            return self.nothing_left(batch);
        }
        let horizon = match batch.delete_horizon() {
            // A batch that is only partly judged gets none yet: it would count for tombstones too whose older records are still there.
            None if kept.tombstones && batch.last_offset() < self.rule.upto => {
                Some(self.horizon_in(self.rule.delete_retention_ms))
            }
            Some(_) if kept.tombstones && bugs::on(Bug::HorizonsAnew) => {
                Some(self.horizon_in(self.rule.delete_retention_ms))
            }
            Some(horizon) if kept.tombstones => {
                self.kept_until(horizon);
                None
            }
            _ => None,
        };
        if horizon.is_none() && kept.count == batch.count as usize {
            return Ok(Verdict::Keep);
        }
        self.replaced(batch, &records, Some(&kept), horizon)
    }

    fn kept(&self, batch: &Batch, records: &Records) -> Result<Kept, RewriteError> {
        let expired = batch.delete_horizon().is_some_and(|horizon| horizon <= self.rule.now);
        let expired = (expired || bugs::on(Bug::TombstonesEarly)) && !bugs::on(Bug::TombstonesStay);
        let mut kept = Kept::default();
        for record in records {
            let record = record.map_err(RewriteError::records(batch))?;
            let judged = record.offset < self.rule.upto;
            let stays = !judged
                || record.key.is_some_and(|key| {
                    let newest = self.rule.map.newest(key).is_none_or(|newest| record.offset >= newest);
                    newest && (record.value.is_some() || !expired)
                });
            kept.push(stays);
            kept.tombstones |= stays && judged && record.value.is_none();
        }
        Ok(kept)
    }

    fn replaced(
        &mut self,
        batch: &Batch,
        records: &Records,
        kept: Option<&Kept>,
        horizon: Option<i64>,
    ) -> Result<Verdict, RewriteError> {
        if let Some(horizon) = horizon {
            self.kept_until(horizon);
        }
        let all = records.iter().map_while(Result::ok).enumerate();
        let some = all.filter(|(index, _)| kept.is_none_or(|kept| kept.holds(*index)));
        let some = some.map(|(_, record)| record);
        rewritten(batch, some, horizon, self.rule.level, &mut self.scratch)
            .map(Verdict::Replace)
            .map_err(RewriteError::build(batch))
    }

    /// Of a batch without records only the partition's last one stays, so that its end can be read.
    fn nothing_left(&mut self, batch: &Batch) -> Result<Verdict, RewriteError> {
        if batch.last_offset() < self.rule.last || bugs::on(Bug::LastDropped) {
            return Ok(Verdict::Drop);
        }
        if batch.count == 0 {
            return Ok(Verdict::Keep);
        }
        emptied(batch, &mut self.scratch).map(Verdict::Replace).map_err(RewriteError::build(batch))
    }

    fn records(&mut self, batch: &Batch) -> Result<Records, RewriteError> {
        batch.records(self.rule.max_decompressed, &mut self.scratch).map_err(RewriteError::records(batch))
    }

    fn horizon_in(&self, retention_ms: u64) -> i64 {
        self.rule.now.saturating_add(i64::try_from(retention_ms).unwrap_or(i64::MAX))
    }

    fn kept_until(&mut self, horizon: i64) {
        self.horizon = self.horizon.max(Some(horizon));
    }
}

/// Which records of a batch stay: a bit each, as a batch may have millions.
#[derive(Debug, Default)]
struct Kept {
    bits: Vec<u64>,
    seen: usize,
    count: usize,
    tombstones: bool,
}

impl Kept {
    fn push(&mut self, stays: bool) {
        if self.seen.is_multiple_of(64) {
            self.bits.push(0);
        }
        if let Some(last) = self.bits.last_mut().filter(|_| stays) {
            *last |= 1 << (self.seen % 64);
            self.count += 1;
        }
        self.seen += 1;
    }

    fn holds(&self, index: usize) -> bool {
        self.bits.get(index / 64).is_some_and(|bits| bits >> (index % 64) & 1 == 1)
    }
}
