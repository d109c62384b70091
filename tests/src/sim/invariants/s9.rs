//! S9: compaction changes what is kept, never the order, offset, key, value, headers or timestamp of what is kept. And Kafka's promise of what is kept:
//! the newest committed record of each key, a tombstone until its time has come, whatever is younger than `min.compaction.lag.ms`, and the last
//! offset; below the point up to which a partition counts as cleaned nothing else.

mod rows;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_configs::TopicConfig;
use siltstone_log::{Aborted, CleanedRow, PartitionId, PartitionRow};
use siltstone_records::{Batch, Header, RecordView, Records, Scratch};

pub(super) use rows::{Look, Rows};

use crate::sim::batches::header;
use crate::sim::oracle::{KeyedLog, LogBatch, LogRecord, MAX_RECORDS_BYTES, Oracle, PartitionLog};

/// A horizon may have been set so long before the oracle saw the record, ms: it looks once in a step.
const SLACK_MS: i64 = 100;

/// What there is of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sim) struct Left {
    pub(in crate::sim) base: i64,
    pub(in crate::sim) end: i64,
    /// Offsets of the records that are left.
    pub(in crate::sim) offsets: Vec<i64>,
    pub(in crate::sim) horizon: Option<i64>,
}

impl Left {
    /// All of a batch.
    pub(in crate::sim) fn all(written: &LogBatch) -> Self {
        let (base, end) = (written.base, written.end());
        Left { base, end, offsets: (base..end).collect(), horizon: None }
    }
}

/// Compares a batch that was found with the one that was written there.
pub(in crate::sim) fn batch(log: &PartitionLog, found: &[u8]) -> Result<Left, String> {
    let header = header(found).ok_or("a batch is cut off")?;
    let base = header.base_offset;
    let written = log.batches.get(&base).ok_or_else(|| format!("no batch was written at {base}"))?;
    let same = found.get(16..) == Some(&written.bytes[16..]);
    if same && found[8..12] == written.bytes[8..12] && found[12..16] == [0; 4] {
        return Ok(Left::all(written));
    }
    same_header(&header, written)?;
    let (now, then) = (records(found)?, records(&written.bytes)?);
    let mut then = then.iter().map_while(Result::ok);
    let mut offsets = Vec::new();
    for record in &now {
        let record = record.map_err(|error| format!("the batch at {base}: {error}"))?;
        if !then.any(|then| same_record(&record, &then)) {
            return Err(format!("the record at {} is not the one that was written there", record.offset));
        }
        offsets.push(record.offset);
    }
    if header.count as usize != offsets.len() {
        return Err(format!("the batch at {base} says it has {} records of {}", header.count, offsets.len()));
    }
    Ok(Left { base, end: written.end(), offsets, horizon: header.delete_horizon() })
}

/// Offsets are told from the batch's base: what producers send begins at 0.
fn same_record(found: &RecordView<'_>, written: &RecordView<'_>) -> bool {
    found.offset_delta == written.offset_delta
        && found.timestamp == written.timestamp
        && (found.key, found.value) == (written.key, written.value)
        && found.headers().eq(written.headers())
}

fn records(bytes: &[u8]) -> Result<Records, String> {
    let batch = Batch::parse(&Bytes::copy_from_slice(bytes)).map_err(|error| error.to_string())?;
    if !batch.crc_is_valid() {
        return Err(format!("the CRC of the batch at {} does not match", batch.base_offset));
    }
    batch.records(MAX_RECORDS_BYTES, &mut Scratch::new()).map_err(|error| error.to_string())
}

fn same_header(found: &Header, written: &LogBatch) -> Result<(), String> {
    let base = written.base;
    let Some(then) = header(&written.bytes) else { return Err(format!("no batch was written at {base}")) };
    let plain = |header: &Header| {
        let attributes = header.attributes.with_delete_horizon(false);
        // What has no records is not compressed.
        if found.count == 0 {
            attributes.with_compression(siltstone_records::Compression::None)
        } else {
            attributes
        }
    };
    let same = found.last_offset_delta == then.last_offset_delta
        && found.producer() == then.producer()
        && plain(found) == plain(&then)
        && found.leader_epoch == 0
        && found.max_timestamp <= then.max_timestamp;
    if same { Ok(()) } else { Err(format!("the header at {base} is {found:?}, not as in {then:?}")) }
}

/// Records in offsets `from..to` that are not there must be such as compaction may take.
pub(in crate::sim) fn none_missing(
    oracle: &Oracle,
    partition: PartitionId,
    (from, to): (i64, i64),
    there: &BTreeSet<i64>,
) -> Result<(), String> {
    let log = oracle.log(partition);
    let Some((config, keyed)) = oracle.compacted(partition) else { return Ok(()) };
    let from = from.max(log.log_start);
    for (offset, record) in keyed.records.range(from..to.max(from)) {
        if !there.contains(offset) && !log.gone.contains_key(offset) {
            let may = keyed.may_be_gone(*offset, config, log.last_stable());
            may.map_err(|why| format!("{offset} is gone, and {why}: {record:?}"))?;
        }
    }
    Ok(())
}

/// All that the rows have of a partition, from its log start to the row's end.
pub(in crate::sim) struct Whole<'a> {
    pub(in crate::sim) row: &'a PartitionRow,
    pub(in crate::sim) cleaned: CleanedRow,
    pub(in crate::sim) aborted: Vec<Aborted>,
    pub(in crate::sim) batches: Vec<Left>,
}

impl Whole<'_> {
    /// A tombstone that is there.
    pub(in crate::sim) fn tombstone(&self, oracle: &Oracle, id: PartitionId) -> Option<i64> {
        let (_, keyed) = oracle.compacted(id)?;
        let there = self.batches.iter().flat_map(|left| left.offsets.iter().copied());
        let mut there = there.filter(|offset| *offset >= self.row.log_start);
        there.find(|offset| keyed.records.get(offset).is_some_and(|record| record.tombstone))
    }
}

/// Checks all of a partition.
pub(in crate::sim) fn whole(oracle: &Oracle, id: PartitionId, found: &Whole<'_>) -> Result<(), String> {
    let log = oracle.log(id);
    let Some((config, keyed)) = oracle.compacted(id) else { return Ok(()) };
    let row = found.row;
    let there: BTreeSet<i64> = found.batches.iter().flat_map(|left| left.offsets.iter().copied()).collect();
    none_missing(oracle, id, (row.log_start, row.next), &there)?;
    no_ghosts(log, keyed, row, &there)?;
    aborted(log, keyed, found, &there)?;
    let cleaned = found.cleaned.first_dirty;
    if cleaned > log.last_stable().max(log.log_start) {
        return Err(format!("cleaned up to {cleaned}, stable is {}", log.last_stable()));
    }
    nothing_else(keyed, row.log_start, cleaned, &there)?;
    let end = found.batches.last().map_or(row.log_start, |last| last.end);
    if row.log_start < row.next && end != row.next {
        return Err(format!("there is nothing from {end} on that leads to the end, {}", row.next));
    }
    horizons(keyed, config, oracle.clocks.least_ahead, &found.batches)
}

/// A tombstone that is gone buries nothing any more: no older record of its key may be left.
fn no_ghosts(
    log: &PartitionLog,
    keyed: &KeyedLog,
    row: &PartitionRow,
    there: &BTreeSet<i64>,
) -> Result<(), String> {
    let end = row.next.min(log.last_stable());
    let mut left: BTreeMap<&Bytes, i64> = BTreeMap::new();
    for offset in there.range(row.log_start..end.max(row.log_start)) {
        if let Some(LogRecord { key, ended: Some((true, _)), .. }) = keyed.records.get(offset) {
            left.insert(key, *offset);
        }
    }
    let stays = |newest: &i64| *newest >= row.log_start && !log.gone.contains_key(newest);
    for (key, newest) in keyed.newest(end).filter(|(_, newest)| stays(newest)) {
        let found = left.get(key).copied();
        // That it may be missing at all was seen before.
        if found.is_some_and(|found| found != newest) {
            return Err(format!("{key:?} is told by the record at {found:?}, its newest is at {newest}"));
        }
    }
    Ok(())
}

/// What an aborted transaction left, its marker, and the entry that tells readers of it: none without the others.
fn aborted(
    log: &PartitionLog,
    keyed: &KeyedLog,
    found: &Whole<'_>,
    there: &BTreeSet<i64>,
) -> Result<(), String> {
    let (from, to) = (found.row.log_start, found.row.next);
    for offset in there.range(from..to.max(from)) {
        let Some((false, marker)) = keyed.records.get(offset).and_then(|record| record.ended) else {
            continue;
        };
        if marker < to && !there.contains(&marker) {
            return Err(format!("{offset} was aborted, and its marker at {marker} is gone"));
        }
        if marker < to && !found.aborted.iter().any(|entry| entry.last == marker) {
            return Err(format!("{offset} was aborted, and nothing tells readers so"));
        }
    }
    let outlives = |entry: &&Aborted| (from..to).contains(&entry.last) && !there.contains(&entry.last);
    match found.aborted.iter().find(outlives) {
        Some(entry) if log.markers.contains_key(&entry.last) => {
            Err(format!("{entry:?} is still there, and its marker is gone"))
        }
        Some(entry) => Err(format!("{entry:?} names no marker")),
        None => Ok(()),
    }
}

/// Below what is cleaned there is one record of each key, and nothing that was aborted.
fn nothing_else(keyed: &KeyedLog, from: i64, cleaned: i64, there: &BTreeSet<i64>) -> Result<(), String> {
    let mut keys: BTreeMap<&Bytes, i64> = BTreeMap::new();
    for offset in there.range(from..cleaned.max(from)) {
        let Some(record) = keyed.records.get(offset) else { continue };
        if !matches!(record.ended, Some((true, _))) {
            return Err(format!("{offset} lies below {cleaned}, which is cleaned, and was aborted"));
        }
        if let Some(older) = keys.insert(&record.key, *offset) {
            return Err(format!(
                "{older} and {offset} lie below {cleaned}, which is cleaned, and have one key"
            ));
        }
    }
    Ok(())
}

/// The horizon of a tombstone is set once, and lies far enough ahead.
fn horizons(keyed: &KeyedLog, config: &TopicConfig, ahead: i64, found: &[Left]) -> Result<(), String> {
    let retention = i64::try_from(config.delete_retention_ms).unwrap_or(i64::MAX);
    for left in found {
        let Some(horizon) = left.horizon else { continue };
        for offset in &left.offsets {
            let Some(record) = keyed.records.get(offset).filter(|record| record.tombstone) else { continue };
            let (before, least) = (keyed.horizon(*offset), record.seen + ahead - SLACK_MS + retention);
            if before.is_some_and(|before| before != horizon) || horizon < least {
                return Err(format!("the tombstone at {offset} may go at {horizon}: {before:?}, {least}"));
            }
            keyed.note(*offset, horizon);
        }
    }
    Ok(())
}
