//! Kafka's rule over records in plain lists, and what a consumer sees.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::Aborted;
use siltstone_records::{Batch, Marker, RecordView, Scratch, end_transaction};

use super::log::CAP;

/// Longer than the retention of tombstones.
pub(super) const LONGEST_READ: i64 = 150;

/// A record: offset, timestamp, key, value, value of its header.
pub(super) type Seen = (i64, i64, Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);

fn seen(record: &RecordView<'_>) -> Seen {
    let header = record.headers().next().and_then(|(_, value)| value.map(Vec::from));
    (record.offset, record.timestamp, record.key.map(Vec::from), record.value.map(Vec::from), header)
}

pub(super) fn records(batch: &Batch) -> Vec<Seen> {
    let records = batch.records(CAP, &mut Scratch::new()).unwrap();
    records.iter().map(|record| seen(&record.unwrap())).collect()
}

fn marker(batch: &Batch) -> Option<Marker> {
    let records = batch.records(CAP, &mut Scratch::new()).unwrap();
    let record = records.iter().next()?.unwrap();
    end_transaction(&record).map(|end| end.marker)
}

/// A batch as the model has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) base: i64,
    pub(super) last: i64,
    producer: i64,
    marker: Option<Marker>,
    control: bool,
    pub(super) records: Vec<Seen>,
    pub(super) horizon: Option<i64>,
}

pub(super) fn entries(batches: &[Batch]) -> Vec<Entry> {
    let entry = |batch: &Batch| Entry {
        base: batch.base_offset,
        last: batch.last_offset(),
        producer: if batch.attributes.is_transactional() { batch.producer_id } else { -1 },
        marker: batch.attributes.is_control().then(|| marker(batch)).flatten(),
        control: batch.attributes.is_control(),
        records: records(batch),
        horizon: batch.delete_horizon(),
    };
    batches.iter().map(entry).collect()
}

fn aborted_in(aborted: &[Aborted], entry: &Entry) -> bool {
    aborted
        .iter()
        .any(|one| one.producer_id == entry.producer && one.first <= entry.last && entry.base <= one.last)
}

/// A whole round at once.
pub(super) fn round(
    log: &[Entry],
    aborted: &[Aborted],
    (first_dirty, upto): (i64, i64),
    now: i64,
    retention: i64,
) -> (Vec<Entry>, Vec<Aborted>) {
    let mut newest = BTreeMap::new();
    for entry in log.iter().filter(|entry| !entry.control && !aborted_in(aborted, entry)) {
        for (offset, _, key, ..) in &entry.records {
            if (first_dirty..upto).contains(offset) && key.is_some() {
                newest.insert(key.clone(), *offset);
            }
        }
    }
    let (mut out, mut index, mut open) = (Vec::new(), aborted.to_vec(), BTreeSet::new());
    let last = log.last().map_or(-1, |entry| entry.last);
    for entry in log {
        let mut new = entry.clone();
        if entry.base < upto {
            match entry.control {
                true => end(&mut new, &mut open, &mut index, now, retention),
                false => data(&mut new, &mut open, aborted, &newest, upto, now, retention),
            }
        }
        if new.records.is_empty() {
            new.horizon = None;
            new.marker = None;
        }
        if !new.records.is_empty() || entry.base >= upto || entry.last == last {
            out.push(new);
        }
    }
    (out, index)
}

fn end(entry: &mut Entry, open: &mut BTreeSet<i64>, index: &mut Vec<Aborted>, now: i64, retention: i64) {
    if entry.records.is_empty() || open.remove(&entry.producer) {
        return;
    }
    let abort = entry.marker == Some(Marker::Abort);
    let later = Some(now + if abort { retention.max(LONGEST_READ) } else { retention });
    match entry.horizon {
        None => entry.horizon = later,
        Some(horizon) if horizon > now => {}
        Some(_) if abort && index.iter().any(|one| one.last == entry.base) => {
            index.retain(|one| one.last != entry.base);
            entry.horizon = later;
        }
        Some(_) => entry.records.clear(),
    }
}

fn data(
    entry: &mut Entry,
    open: &mut BTreeSet<i64>,
    aborted: &[Aborted],
    newest: &BTreeMap<Option<Vec<u8>>, i64>,
    upto: i64,
    now: i64,
    retention: i64,
) {
    if entry.producer >= 0 {
        open.insert(entry.producer);
    }
    if aborted_in(aborted, entry) {
        entry.records.clear();
        return;
    }
    let expired = entry.horizon.is_some_and(|horizon| horizon <= now);
    entry.records.retain(|(offset, _, key, value, _)| {
        let current = newest.get(key).is_none_or(|newest| newest <= offset);
        *offset >= upto || key.is_some() && current && (value.is_some() || !expired)
    });
    let tombstones = entry.records.iter().any(|(offset, _, _, value, _)| *offset < upto && value.is_none());
    if entry.horizon.is_none() && tombstones && entry.last < upto {
        entry.horizon = Some(now + retention);
    }
}

/// What a read_committed consumer is shown, by the algorithm of Kafka's clients: it filters a producer from the first offset of an aborted transaction
/// until an abort marker of that producer.
pub(super) fn committed(batches: &[Batch], aborted: &[Aborted], stable: i64) -> Vec<Seen> {
    let mut left: Vec<Aborted> = aborted.to_vec();
    left.sort_by_key(|one| one.first);
    let (mut filtered, mut out) = (BTreeSet::new(), Vec::new());
    for batch in batches.iter().filter(|batch| batch.base_offset < stable) {
        while left.first().is_some_and(|one| one.first <= batch.last_offset()) {
            filtered.insert(left.remove(0).producer_id);
        }
        if batch.attributes.is_control() {
            if marker(batch) == Some(Marker::Abort) {
                filtered.remove(&batch.producer_id);
            }
        } else if !batch.attributes.is_transactional() || !filtered.contains(&batch.producer_id) {
            out.extend(records(batch));
        }
    }
    out
}
