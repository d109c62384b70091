//! Filling the map of newest offsets from batches: the first pass of a round.
//!
//! Records of aborted transactions and markers are no record of any key; else each record with a key counts, tombstones too. Pure.

use siltstone_metadata::bugs::{self, Bug};
use siltstone_records::{Batch, RewriteError, Scratch};

use super::clean::AbortedIndex;
use super::map::OffsetMap;

/// Looks through batches in the order of their offsets.
#[derive(Debug)]
pub struct Indexer {
    /// What was found so far.
    pub map: OffsetMap,
    from: i64,
    upto: i64,
    max_decompressed: usize,
    scratch: Scratch,
}

impl Indexer {
    /// One that notes records with offsets `from..upto`. `max_decompressed` bounds the bytes of a batch's records.
    pub fn new(map: OffsetMap, from: i64, upto: i64, max_decompressed: usize) -> Self {
        Indexer { map, from, upto, max_decompressed, scratch: Scratch::new() }
    }

    /// Notes the records of `batch`, whose header holds its offset. If the map is full, the offset of the first one that is not in it: the round
    /// must end there.
    ///
    /// # Errors
    /// The batch is damaged.
    pub fn note(&mut self, batch: &Batch, aborted: &AbortedIndex) -> Result<Option<i64>, RewriteError> {
        let aborted = aborted.of(batch).is_some() && !bugs::on(Bug::AbortedCount);
        if batch.attributes.is_control() || aborted {
            return Ok(None);
        }
        let damaged = RewriteError::records(batch);
        let records = batch.records(self.max_decompressed, &mut self.scratch).map_err(damaged)?;
        for record in &records {
            let record = record.map_err(damaged)?;
            if let Some(key) = record.key
                && (self.from..self.upto).contains(&record.offset)
                && self.map.put(key, record.offset).is_err()
            {
                return Ok(Some(record.offset));
            }
        }
        Ok(None)
    }
}
