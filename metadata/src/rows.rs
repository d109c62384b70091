//! Reading extents and aborted transactions that belong to rows: what the fold no longer holds.

use siltstone_log::{Aborted, Extent, FormatError, PartitionId, ShardId, decode_aborted, decode_extents};
use siltstone_store::{KeyRange, RangeLimit, Snapshot, StoreError};

use crate::keys::{aborted_chunk, extent_chunk};

/// Why extents can't be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RowsError {
    /// The store does not answer; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A chunk can't be read by this program.
    #[error("extents of {partition:?} near offset {offset}: {error}")]
    Format {
        /// Whose.
        partition: PartitionId,
        /// Near which offset.
        offset: i64,
        /// What is wrong.
        error: FormatError,
    },
}

/// The chunk of extents that holds `offset`, or that follows it if compaction left a gap there; empty if there is none.
///
/// # Errors
/// See [`RowsError`].
pub async fn chunk_at(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    partition: PartitionId,
    offset: i64,
) -> Result<Vec<Extent>, RowsError> {
    let back = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
    let before = snapshot.range(&extent_chunk::between(shard, partition, 0, offset), back).await?;
    if let Some((_, value)) = before.entries.first() {
        let chunk = decode(value, partition, offset)?;
        if chunk.last().is_some_and(|last| last.end() > offset) {
            return Ok(chunk);
        }
    }
    let ahead = KeyRange {
        begin: extent_chunk::key(shard, partition, offset),
        end: KeyRange::key(extent_chunk::key(shard, partition, i64::MAX)).end,
    };
    let after = snapshot.range(&ahead, RangeLimit { entries: 1, ..RangeLimit::default() }).await?;
    after.entries.first().map_or(Ok(Vec::new()), |(_, value)| decode(value, partition, offset))
}

/// Aborted transactions in chunks that may have records in offsets `from..to`, in the order of their ends.
///
/// # Errors
/// See [`RowsError`].
pub async fn aborted_between(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    partition: PartitionId,
    from: i64,
    to: i64,
) -> Result<Vec<Aborted>, RowsError> {
    let back = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
    let before = snapshot.range(&aborted_chunk::between(shard, partition, 0, from), back).await?;
    let mut found = Vec::new();
    let mut next = before.entries.into_iter().next();
    let mut range = KeyRange {
        begin: KeyRange::key(aborted_chunk::key(shard, partition, from)).end,
        end: KeyRange::key(aborted_chunk::key(shard, partition, i64::MAX)).end,
    };
    loop {
        if let Some((_, value)) = &next {
            let error = |error| RowsError::Format { partition, offset: from, error };
            let chunk = decode_aborted(value).map_err(error)?;
            found.extend(chunk.iter().filter(|aborted| aborted.touches(from, to)));
            // Whatever ends later began at or behind this.
            if chunk.last().is_some_and(|last| last.stable >= to) {
                return Ok(found);
            }
        }
        let one = RangeLimit { entries: 1, ..RangeLimit::default() };
        next = snapshot.range(&range, one).await?.entries.into_iter().next();
        match &next {
            Some((key, _)) => range.begin = KeyRange::key(key.clone()).end,
            None => return Ok(found),
        }
    }
}

/// All chunks from the one that holds `offset` on, up to `limit` of them.
///
/// # Errors
/// See [`RowsError`].
pub async fn chunks_from(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    partition: PartitionId,
    offset: i64,
    limit: usize,
) -> Result<Vec<Extent>, RowsError> {
    let mut all = chunk_at(snapshot, shard, partition, offset).await?;
    for _ in 1..limit {
        let Some(next) = all.last().map(Extent::end) else { break };
        let more = chunk_at(snapshot, shard, partition, next).await?;
        if more.first().is_none_or(|first| first.base < next) {
            break;
        }
        all.extend(more);
    }
    Ok(all)
}

fn decode(value: &[u8], partition: PartitionId, offset: i64) -> Result<Vec<Extent>, RowsError> {
    decode_extents(value).map_err(|error| RowsError::Format { partition, offset, error })
}
