//! The records of a partition that is compacted by key, and which of them compaction may take away.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use siltstone_configs::TopicConfig;
use siltstone_log::EndMarker;
use siltstone_records::{Batch, Scratch};
use tokio::time::Instant;

use crate::sim::ambient::EPOCH;

/// More than a batch's records ever have here.
pub(in crate::sim) const MAX_RECORDS_BYTES: usize = 1 << 20;

/// What the compactors' clocks may say.
#[derive(Debug, Clone, Copy)]
pub(in crate::sim) struct Clocks {
    pub(in crate::sim) started: Instant,
    /// So many milliseconds is the slowest before the true time.
    pub(in crate::sim) least_ahead: i64,
    pub(in crate::sim) most_ahead: i64,
}

impl Clocks {
    /// The true time, in milliseconds since the Unix epoch.
    pub(in crate::sim) fn now(&self) -> i64 {
        EPOCH + self.started.elapsed().as_millis() as i64
    }

    /// What no compactor's clock is ahead of.
    pub(in crate::sim) fn latest(&self) -> i64 {
        self.now() + self.most_ahead
    }
}

/// A record.
#[derive(Debug, Clone)]
pub(in crate::sim) struct LogRecord {
    pub(in crate::sim) key: Bytes,
    pub(in crate::sim) tombstone: bool,
    pub(in crate::sim) timestamp: i64,
    /// When the log was seen to have it, by the true time.
    pub(in crate::sim) seen: i64,
    /// Whether it is committed, and where its transaction has ended; -1: it is of none.
    pub(in crate::sim) ended: Option<(bool, i64)>,
}

/// All records, of all times.
#[derive(Debug)]
pub(in crate::sim) struct KeyedLog {
    clocks: Clocks,
    pub(in crate::sim) records: BTreeMap<i64, LogRecord>,
    /// The offsets of each key's committed records.
    committed: BTreeMap<Bytes, BTreeSet<i64>>,
    /// Records of open transactions, by producer id.
    open: BTreeMap<i64, Vec<i64>>,
    /// When tombstones may go, as their batches have been seen to say.
    horizons: Mutex<BTreeMap<i64, i64>>,
}

impl KeyedLog {
    /// An empty one.
    pub(super) fn new(clocks: Clocks) -> Self {
        let (records, committed) = (BTreeMap::new(), BTreeMap::new());
        KeyedLog { clocks, records, committed, open: BTreeMap::new(), horizons: Mutex::default() }
    }

    /// A batch was appended at `base`.
    pub(super) fn append(&mut self, base: i64, bytes: &Bytes) {
        let Ok(batch) = Batch::parse(bytes) else { return };
        let Ok(records) = batch.records(MAX_RECORDS_BYTES, &mut Scratch::new()) else { return };
        for record in records.iter().map_while(Result::ok) {
            let offset = base + i64::from(record.offset_delta);
            let key = Bytes::copy_from_slice(record.key.unwrap_or_default());
            let ended = match batch.attributes.is_transactional() {
                true => None,
                false => Some((true, -1)),
            };
            match ended {
                None => self.open.entry(batch.producer_id).or_default().push(offset),
                Some(_) => drop(self.committed.entry(key.clone()).or_default().insert(offset)),
            }
            let (tombstone, timestamp, seen) = (record.value.is_none(), record.timestamp, self.clocks.now());
            self.records.insert(offset, LogRecord { key, tombstone, timestamp, seen, ended });
        }
    }

    /// A transaction has ended, with a marker at `at`.
    pub(super) fn ended(&mut self, marker: &EndMarker, at: i64) {
        for offset in self.open.remove(&marker.producer_id).unwrap_or_default() {
            let Some(record) = self.records.get_mut(&offset) else { continue };
            record.ended = Some((marker.commit, at));
            if marker.commit {
                self.committed.entry(record.key.clone()).or_default().insert(offset);
            }
        }
    }

    fn horizons(&self) -> MutexGuard<'_, BTreeMap<i64, i64>> {
        self.horizons.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When a tombstone may go.
    pub(in crate::sim) fn horizon(&self, offset: i64) -> Option<i64> {
        self.horizons().get(&offset).copied()
    }

    /// Takes note of when a tombstone may go.
    pub(in crate::sim) fn note(&self, offset: i64, horizon: i64) {
        self.horizons().entry(offset).or_insert(horizon);
    }

    /// The newest committed record of each key below `end`.
    pub(in crate::sim) fn newest(&self, end: i64) -> impl Iterator<Item = (&Bytes, i64)> {
        let newest = move |offsets: &BTreeSet<i64>| offsets.range(..end).next_back().copied();
        self.committed.iter().filter_map(move |(key, offsets)| Some((key, newest(offsets)?)))
    }

    /// Why the record at `offset` must be there; `Ok`: compaction may have taken it. `stable` is the last stable offset by now: no round went beyond.
    pub(in crate::sim) fn may_be_gone(
        &self,
        offset: i64,
        config: &TopicConfig,
        stable: i64,
    ) -> Result<(), &'static str> {
        let Some(record) = self.records.get(&offset) else { return Ok(()) };
        let lag = i64::try_from(config.min_compaction_lag_ms).unwrap_or(i64::MAX);
        if lag > 0 && record.timestamp.saturating_add(lag) > self.clocks.latest() {
            return Err("is younger than min.compaction.lag.ms");
        }
        match record.ended {
            None => return Err("is of an open transaction"),
            Some((false, _)) => return Ok(()),
            Some((true, _)) => {}
        }
        let newer =
            |offsets: &BTreeSet<i64>| offsets.range(offset + 1..stable.max(offset + 1)).next().is_some();
        if self.committed.get(&record.key).is_some_and(newer) {
            return Ok(());
        }
        match self.horizon(offset) {
            Some(horizon) if horizon <= self.clocks.latest() => Ok(()),
            _ if record.tombstone => Err("is a tombstone whose time has not come"),
            _ => Err("is the newest of its key"),
        }
    }
}
