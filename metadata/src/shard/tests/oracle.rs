//! What the fold should say, found the slow way: by looking through everything that was ever accepted.
//!
//! Kept apart from the fold on purpose: no windows, no digests, no extents, no horizons. It doesn't know the limit on producers; generated
//! logs stay far below it.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{
    Aborted, BatchMeta, EndMarker, Entry, ErasureId, PartitionId, ProducerMeta, RegistrationId,
    SEQUENCE_WINDOW, TopicId, TxnEnd,
};

use crate::shard::{MARKER_BYTES, Verdict};

#[derive(Debug, Clone, Copy)]
pub struct Accepted {
    pub producer: Option<ProducerMeta>,
    pub records: u32,
    pub bytes: u32,
    pub base: i64,
    at: i64,
    forgotten: bool,
    transactional: bool,
    marker: Option<EndMarker>,
}

#[derive(Debug, Clone, Default)]
pub struct History {
    pub accepted: Vec<Accepted>,
    pub log_start: i64,
    pub erasures: BTreeMap<ErasureId, i64>,
    ids_below: i64,
}

#[derive(Debug, Clone, Default)]
pub struct Oracle {
    pub partitions: BTreeMap<PartitionId, History>,
    level: u32,
    counters: BTreeMap<RegistrationId, u64>,
    ended: BTreeSet<RegistrationId>,
    before: Option<i64>,
    ids_below: i64,
}

impl History {
    pub fn next(&self) -> i64 {
        self.accepted.iter().map(|batch| i64::from(batch.records)).sum()
    }

    /// The batches of a producer that are not forgotten, with its last epoch.
    fn of(&self, id: i64) -> Option<(i16, Vec<Accepted>)> {
        let remembered = |batch: &&Accepted| batch.producer.is_some_and(|p| p.id == id) && !batch.forgotten;
        let all: Vec<_> = self.accepted.iter().filter(remembered).copied().collect();
        let epoch = all.iter().filter_map(|batch| batch.producer).map(|p| p.epoch).max()?;
        let counts =
            |batch: &Accepted| batch.marker.is_none() && batch.producer.is_some_and(|p| p.epoch == epoch);
        Some((epoch, all.into_iter().filter(counts).collect()))
    }

    /// The first records of open transactions, and what was aborted, in the order of the ends.
    pub fn transactions(&self) -> (BTreeMap<i64, i64>, Vec<Aborted>) {
        let mut open = BTreeMap::new();
        let mut aborted: Vec<Aborted> = Vec::new();
        for batch in &self.accepted {
            let id = batch.producer.map_or(-1, |producer| producer.id);
            match batch.marker {
                None if batch.transactional => drop(open.entry(id).or_insert(batch.base)),
                None => {}
                Some(marker) => {
                    let first: Option<i64> = open.remove(&id);
                    let end = batch.base + 1;
                    let stable = open.values().min().copied().unwrap_or(end);
                    aborted.extend(first.filter(|_| !marker.commit).map(|first| Aborted {
                        producer_id: id,
                        first,
                        last: batch.base,
                        stable,
                    }));
                }
            }
        }
        (open, aborted)
    }

    /// Epoch and sequence with which the producer would go on.
    pub fn goes_on(&self, id: i64) -> (i16, i32) {
        let Some((epoch, batches)) = self.of(id) else { return (0, 0) };
        let Some(last) = batches.last() else { return (epoch, 0) };
        let first = last.producer.expect("of a producer").first_sequence;
        (epoch, ((i64::from(first) + i64::from(last.records)) % (1 << 31)) as i32)
    }

    /// A batch that is in the log, counted back from the producer's last.
    pub fn back(&self, id: i64, back: usize) -> Option<(ProducerMeta, u32)> {
        let (_, batches) = self.of(id)?;
        let batch = batches.iter().rev().nth(back)?;
        Some((batch.producer?, batch.records))
    }

    fn judge(&self, batch: &BatchMeta) -> Verdict {
        if batch.void {
            return Verdict::Void;
        }
        let fits = Verdict::Appended { base_offset: self.next() };
        let Some(meta) = batch.producer else { return fits };
        let starts_at = |expected| match meta.first_sequence == expected {
            true => fits,
            false => Verdict::OutOfOrder { expected },
        };
        let Some((epoch, batches)) = self.of(meta.id) else {
            return if meta.id < self.ids_below { fits } else { starts_at(0) };
        };
        if meta.epoch != epoch {
            return if meta.epoch < epoch { Verdict::Fenced { current: epoch } } else { starts_at(0) };
        }
        let known = batches.iter().rev().take(SEQUENCE_WINDOW).find(|old| {
            old.records == batch.records
                && old.producer.is_some_and(|old| old.first_sequence == meta.first_sequence)
        });
        match known {
            Some(old) => Verdict::Duplicate { base_offset: old.base },
            None => starts_at(self.goes_on(meta.id).1),
        }
    }

    fn end(&mut self, end: &TxnEnd) {
        let producer =
            ProducerMeta { id: end.marker.producer_id, epoch: end.marker.epoch, first_sequence: 0 };
        self.accepted.push(Accepted {
            producer: Some(producer),
            records: 1,
            bytes: MARKER_BYTES,
            base: self.next(),
            at: end.at,
            forgotten: false,
            transactional: false,
            marker: Some(end.marker),
        });
    }

    fn accept(&mut self, batch: &BatchMeta, at: i64, level: u32) -> Verdict {
        let verdict = self.judge(batch);
        if let Verdict::Appended { base_offset } = verdict {
            let BatchMeta { producer, records, bytes, .. } = *batch;
            self.accepted.push(Accepted {
                producer,
                records,
                bytes,
                base: base_offset,
                at,
                forgotten: false,
                transactional: batch.transactional && producer.is_some() && level >= 3,
                marker: None,
            });
        }
        verdict
    }

    fn forget(&mut self, before: i64, ids_below: i64) {
        let (open, _) = self.transactions();
        let mut last_used: BTreeMap<i64, i64> = BTreeMap::new();
        for batch in self.accepted.iter().filter(|batch| !batch.forgotten) {
            if let Some(meta) = batch.producer {
                let last = last_used.entry(meta.id).or_insert(batch.at);
                *last = (*last).max(batch.at);
            }
        }
        for batch in &mut self.accepted {
            let idle = |meta: ProducerMeta| {
                !open.contains_key(&meta.id) && last_used.get(&meta.id).is_some_and(|last| *last < before)
            };
            batch.forgotten |= batch.producer.is_some_and(idle);
        }
        self.ids_below = self.ids_below.max(ids_below);
    }
}

impl Oracle {
    pub fn at_level(level: u32) -> Self {
        Oracle { level, ..Oracle::default() }
    }

    /// The verdicts of each block of an append; `None` for a void entry and for anything else.
    pub fn take(&mut self, entry: &Entry) -> Option<Vec<Vec<Verdict>>> {
        match entry {
            Entry::Append(append) => {
                let counter = self.counters.entry(append.registration).or_insert(0);
                if append.counter != *counter + 1 || self.ended.contains(&append.registration) {
                    return None;
                }
                *counter += 1;
                let level = self.level;
                let judge = |block: &siltstone_log::Block| match self.partitions.get_mut(&block.partition) {
                    Some(history) => {
                        block.batches.iter().map(|b| history.accept(b, append.at, level)).collect()
                    }
                    None => vec![Verdict::NoPartition; block.batches.len()],
                };
                return Some(append.blocks.iter().map(judge).collect());
            }
            Entry::Trim { partition, offset } => {
                if let Some(history) = self.partitions.get_mut(partition) {
                    history.log_start = history.log_start.max((*offset).min(history.next()));
                }
            }
            Entry::Created { topic, first, end, .. } => self.create(*topic, *first, *end),
            Entry::Deleted { topic } => self.partitions.retain(|id, _| id.topic != *topic),
            Entry::Expire { before, ids_below } => self.expire(*before, *ids_below),
            Entry::Ended { registration } => drop(self.ended.insert(*registration)),
            Entry::Feature { level } => self.level = self.level.max(*level),
            Entry::TxnEnd(end) if self.level >= 3 => {
                let named: BTreeSet<_> = end.partitions.iter().collect();
                for (id, history) in &mut self.partitions {
                    if named.contains(id) {
                        history.end(end);
                    }
                }
            }
            Entry::Erase { erasure, topic, .. } if self.level >= 5 => {
                let all = self.partitions.iter_mut().filter(|(id, _)| id.topic == *topic);
                for (_, history) in all {
                    if history.next() > 0 {
                        history.erasures.insert(*erasure, history.next());
                    }
                }
            }
            Entry::Erased { erasure, topic } if self.level >= 5 => {
                let all = self.partitions.iter_mut().filter(|(id, _)| id.topic == *topic);
                for (_, history) in all {
                    history.erasures.remove(erasure);
                }
            }
            Entry::TxnEnd(_) | Entry::Erase { .. } | Entry::Erased { .. } => {}
        }
        None
    }

    fn create(&mut self, topic: TopicId, first: u32, end: u32) {
        for index in first..end {
            let mut history = History::default();
            if self.before.is_some() {
                history.ids_below = self.ids_below;
            }
            self.partitions.entry(PartitionId { topic, index }).or_insert(history);
        }
    }

    fn expire(&mut self, before: i64, ids_below: i64) {
        if self.level < 2 {
            return;
        }
        let before = self.before.map_or(before, |last| last.max(before));
        self.before = Some(before);
        self.ids_below = self.ids_below.max(ids_below);
        for history in self.partitions.values_mut() {
            history.forget(before, self.ids_below);
        }
    }

    pub fn counter(&self, registration: RegistrationId) -> u64 {
        self.counters.get(&registration).copied().unwrap_or(0)
    }
}
