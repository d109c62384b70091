//! Finding offsets by time: ListOffsets.

use siltstone_log::{Extent, PartitionId};
use siltstone_metadata::rows;
use siltstone_records::{Batch, MAX_DECOMPRESSED, Scratch};

use super::error::FetchError;
use super::reader::Reader;
use super::walk::{self, Walk};

/// A record's place by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimestampAndOffset {
    /// Its timestamp, milliseconds since the Unix epoch.
    pub timestamp: i64,
    /// Its offset.
    pub offset: i64,
}

/// What a scan comes upon.
enum Look {
    /// A batch, with its greatest timestamp: is any of its records worth a look?
    Batch(i64),
    /// A record: is this the one?
    Record(TimestampAndOffset),
}

impl Reader {
    /// The first record (by offset) whose timestamp is at least `timestamp`.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn first_since(
        &self,
        partition: PartitionId,
        timestamp: i64,
    ) -> Result<Option<TimestampAndOffset>, FetchError> {
        let mut from = self.fresh_bounds(partition).await?.log_start;
        loop {
            let extents = self.extents_from(partition, from).await?;
            let Some(last) = extents.last() else { return Ok(None) };
            let next = last.end();
            for extent in extents.iter().filter(|extent| extent.max_timestamp >= timestamp) {
                let found = self.in_extent(extent, from, |time| time >= timestamp).await?;
                if found.is_some() {
                    return Ok(found);
                }
            }
            from = next;
        }
    }

    /// The record with the greatest timestamp; of several the first.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn max_timestamp(
        &self,
        partition: PartitionId,
    ) -> Result<Option<TimestampAndOffset>, FetchError> {
        let log_start = self.fresh_bounds(partition).await?.log_start;
        let mut from = log_start;
        let mut best: Option<Extent> = None;
        // An extent that begins before the log start doesn't say what the greatest of its live records is.
        let mut partial: Option<TimestampAndOffset> = None;
        loop {
            let extents = self.extents_from(partition, from).await?;
            let Some(last) = extents.last() else { break };
            from = last.end();
            for extent in extents {
                if extent.base < log_start {
                    partial = self.greatest_in(&extent, log_start).await?;
                } else if best.is_none_or(|best| extent.max_timestamp > best.max_timestamp) {
                    best = Some(extent);
                }
            }
        }
        match best {
            Some(extent) if partial.is_none_or(|partial| extent.max_timestamp > partial.timestamp) => {
                self.in_extent(&extent, log_start, |time| time >= extent.max_timestamp).await
            }
            _ => Ok(partial),
        }
    }

    /// The record with the greatest timestamp among those of an extent from offset `from` on; of several the first.
    async fn greatest_in(
        &self,
        extent: &Extent,
        from: i64,
    ) -> Result<Option<TimestampAndOffset>, FetchError> {
        let mut best: Option<TimestampAndOffset> = None;
        let greater = |best: Option<TimestampAndOffset>, time| best.is_none_or(|best| time > best.timestamp);
        let look = |look| match look {
            Look::Batch(greatest) => greater(best, greatest),
            Look::Record(record) => {
                if greater(best, record.timestamp) {
                    best = Some(record);
                }
                false
            }
        };
        self.scan(extent, from, look).await?;
        Ok(best)
    }

    /// All extents from `offset` on that one look gives; empty at the end.
    async fn extents_from(&self, partition: PartitionId, offset: i64) -> Result<Vec<Extent>, FetchError> {
        let held = self
            .state(partition, |state| {
                let reached = offset >= state.first_held();
                reached.then(|| {
                    let extents = state.extents().iter().map(|held| held.extent);
                    extents.filter(|extent| extent.end() > offset).collect::<Vec<_>>()
                })
            })
            .await?;
        match held {
            Some(extents) => Ok(extents),
            None => {
                let shard = self.followers.of(partition).id();
                let snapshot = self.store.snapshot().await?;
                let chunk = rows::chunk_at(snapshot.as_ref(), shard, partition, offset).await?;
                Ok(chunk.into_iter().filter(|extent| extent.end() > offset).collect())
            }
        }
    }

    /// The first record of an extent, from offset `from` on, that `wanted` takes: one that takes whatever is later than what it takes.
    async fn in_extent(
        &self,
        extent: &Extent,
        from: i64,
        wanted: impl Fn(i64) -> bool,
    ) -> Result<Option<TimestampAndOffset>, FetchError> {
        let look = |look| match look {
            Look::Batch(greatest) => wanted(greatest),
            Look::Record(record) => wanted(record.timestamp),
        };
        self.scan(extent, from, look).await
    }

    /// Looks at the records of an extent from offset `from` on, until `look` says that this is the one.
    async fn scan(
        &self,
        extent: &Extent,
        from: i64,
        mut look: impl FnMut(Look) -> bool,
    ) -> Result<Option<TimestampAndOffset>, FetchError> {
        let rope = self.bytes(extent).await?;
        let mut walk = Walk::new(extent, &rope);
        let mut scratch = Scratch::new();
        while let Some(here) = walk.next().map_err(FetchError::Storage)? {
            if here.end() <= from {
                continue;
            }
            let bytes = walk.bytes(&here);
            let damaged = |error: &dyn std::fmt::Display| {
                let place = extent.segment().map_or_else(|| "a control batch".to_owned(), walk::name);
                FetchError::Storage(format!("{place}: {error}"))
            };
            let batch = Batch::parse(&bytes).map_err(|error| damaged(&error))?;
            if !look(Look::Batch(batch.max_timestamp)) {
                continue;
            }
            let walked = batch.records(MAX_DECOMPRESSED, &mut scratch).map_err(|error| damaged(&error))?;
            for record in walked.iter() {
                let record = record.map_err(|error| damaged(&error))?;
                let offset = here.base + (record.offset - batch.base_offset);
                let place = TimestampAndOffset { timestamp: record.timestamp, offset };
                if offset >= from && look(Look::Record(place)) {
                    return Ok(Some(place));
                }
            }
        }
        Ok(None)
    }
}
