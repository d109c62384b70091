//! What the metadata of a partition and of a shard must agree in. Pure: rows, chunks and counts in, findings out.

use std::collections::BTreeMap;

use siltstone_log::{Aborted, Extent, PartitionId, PartitionRow, SegmentId, ShardId};

use super::finding::{Finding, Kind, Place};

/// What is known of a partition before its chunks are read.
#[derive(Debug, Clone, Default)]
pub struct Expected {
    /// Its row.
    pub row: Option<PartitionRow>,
    /// Its topic exists.
    pub exists: bool,
    /// It was compacted by key: gaps are right.
    pub compacted: bool,
    /// Its topic was deleted, and that is not worked off yet.
    pub condemned: bool,
}

/// Goes over a partition's chunks, in the order of their keys.
#[derive(Debug)]
pub struct ChunkChecker {
    place: Place,
    expected: Expected,
    /// The first offset that no extent has covered yet.
    covered: i64,
    last: Option<Extent>,
    /// The last chunk that is the row's: its key's offset, and how many extents it has.
    last_chunk: Option<(i64, usize)>,
    ahead: bool,
    found: Vec<Finding>,
}

impl ChunkChecker {
    /// For a partition of a shard.
    pub fn new(shard: ShardId, partition: PartitionId, expected: Expected) -> Self {
        let covered = expected.row.as_ref().map_or(0, |row| row.log_start);
        let place = Place::partition(shard, partition);
        ChunkChecker {
            place,
            expected,
            covered,
            last: None,
            last_chunk: None,
            ahead: false,
            found: Vec::new(),
        }
    }

    fn tell(&mut self, kind: Kind, at: (i64, i64), what: String) {
        self.found.push(Finding::new(kind, self.place.clone().at(at.0, at.1), what));
    }

    /// The end of what the row covers; nothing is covered without one.
    fn end(&self) -> i64 {
        self.expected.row.as_ref().map_or(0, |row| row.next)
    }

    /// Passes the next chunk, which lies under the key for offset `base`.
    pub fn chunk(&mut self, base: i64, extents: &[Extent]) {
        match extents.first() {
            None => self.tell(Kind::ChunkKey, (base, base), "an empty chunk".to_owned()),
            Some(first) if first.base != base => {
                let what = format!("a chunk that begins at offset {} lies under {base}", first.base);
                self.tell(Kind::ChunkKey, (base, base), what);
            }
            Some(_) => {}
        }
        if base < self.end() {
            self.last_chunk = Some((base, extents.len()));
        } else {
            self.ahead = true;
        }
        extents.iter().for_each(|extent| self.extent(extent));
    }

    fn extent(&mut self, extent: &Extent) {
        if let Some(last) = self.last {
            if extent.base < last.end() {
                let what = format!(
                    "an extent from {} to {} follows one up to {}",
                    extent.base,
                    extent.end(),
                    last.end()
                );
                self.tell(Kind::Order, (extent.base, extent.end()), what);
            } else if extent.bytes_before < last.bytes_before {
                let what =
                    format!("bytes before go back from {} to {}", last.bytes_before, extent.bytes_before);
                self.tell(Kind::Order, (extent.base, extent.end()), what);
            }
        }
        if extent.base > self.covered && extent.base < self.end() {
            self.gap(self.covered, extent.base);
        }
        self.covered = self.covered.max(extent.end());
        self.last = Some(*extent);
    }

    fn gap(&mut self, from: i64, to: i64) {
        if !self.expected.compacted && !self.expected.condemned {
            self.tell(Kind::Gap, (from, to), format!("no extent holds offsets {from} to {}", to - 1));
        }
    }

    /// All chunks were passed.
    pub fn finish(mut self) -> Vec<Finding> {
        let end = self.end();
        let Some(row) = self.expected.row.take() else {
            self.without_row();
            return self.found;
        };
        if !self.expected.exists && !self.expected.condemned {
            let what = "a row of a topic that does not exist".to_owned();
            self.tell(Kind::LeftoverPartition, (row.log_start, row.next), what);
        }
        if self.covered < end {
            self.gap(self.covered, end);
        }
        let noted = row.last_chunk.map(|chunk| (chunk.base, chunk.extents as usize));
        if noted.is_some() && noted != self.last_chunk {
            let what = format!(
                "the row's last chunk is {noted:?}, but the last that is there is {:?}",
                self.last_chunk
            );
            self.tell(Kind::LastChunk, (row.log_start, row.next), what);
        }
        if self.ahead {
            let what = format!("chunks behind the row's end, {end}");
            self.tell(Kind::AheadOfRow, (end, self.covered), what);
        }
        self.found
    }

    fn without_row(&mut self) {
        let (covered, exists, condemned) = (self.covered, self.expected.exists, self.expected.condemned);
        match (exists, condemned) {
            (true, _) => self.tell(Kind::AheadOfRow, (0, covered), "chunks without a row".to_owned()),
            (false, false) => {
                let what = "chunks of a topic that does not exist".to_owned();
                self.tell(Kind::LeftoverPartition, (0, covered), what);
            }
            (false, true) => {}
        }
    }
}

/// Checks a partition's aborted transactions: its chunks, by the offsets of their keys, against its row. Compaction by key takes those out
/// that are over: then a chunk may begin behind its key's offset, and the row may note what is gone.
pub fn aborted(
    shard: ShardId,
    partition: PartitionId,
    row: &PartitionRow,
    chunks: &[(i64, Vec<Aborted>)],
    compacted: bool,
) -> Vec<Finding> {
    let place = || Place::partition(shard, partition);
    let mut found = Vec::new();
    let mut tell = |at: i64, what: String| found.push(Finding::new(Kind::Aborted, place().at(at, at), what));
    let mut before: Option<&Aborted> = None;
    for (base, chunk) in chunks {
        let begins = |first: &Aborted| first.last == *base || compacted && first.last > *base;
        if !chunk.first().is_some_and(begins) {
            tell(
                *base,
                format!("a chunk of aborted transactions lies under {base} that does not begin there"),
            );
        }
        for one in chunk {
            let order = before.is_none_or(|before| before.last < one.last && before.stable <= one.stable);
            if !order || one.first > one.last || one.last >= row.next {
                tell(one.last, format!("aborted transactions are not in order at {one:?}"));
            }
            before = Some(one);
        }
    }
    let there = chunks.last().map(|(base, chunk)| (*base, chunk.len(), before.map(|last| last.last)));
    let noted = row.aborted.map(|noted| (noted.chunk.base, noted.chunk.extents as usize, Some(noted.last)));
    if noted.is_some() && noted != there && !compacted {
        tell(
            row.next,
            format!("the row notes {noted:?} as the last of its aborted transactions, there is {there:?}"),
        );
    }
    found
}

/// Compares what a shard's chunks use of segments with what is counted. `sums` is used up.
pub fn counts(
    shard: ShardId,
    sums: &mut BTreeMap<SegmentId, u64>,
    counted: impl Iterator<Item = (SegmentId, u64)>,
) -> Vec<Finding> {
    let mut found = Vec::new();
    let words = |value: u64| format!("{} extents with {} bytes", value >> 40, value & ((1 << 40) - 1));
    let mut tell = |segment, is: u64, ought: u64| {
        let place = Place { shard: Some(shard), ..Place::segment(segment) };
        let what = format!("{} are counted, {} are there", words(is), words(ought));
        found.push(Finding::new(Kind::Count, place, what));
    };
    for (segment, count) in counted {
        let sum = sums.remove(&segment).unwrap_or(0);
        if sum != count {
            tell(segment, count, sum);
        }
    }
    std::mem::take(sums).into_iter().for_each(|(segment, sum)| tell(segment, 0, sum));
    found
}

#[cfg(test)]
#[path = "checks_tests.rs"]
mod tests;
