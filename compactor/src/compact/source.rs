//! Reading a partition's batches for a round: whole extents, and the aborted transactions that concern them.

use bytes::{Bytes, BytesMut};
use siltstone_log::{Extent, PartitionId, ShardId};
use siltstone_metadata::rows::{self, RowsError};
use siltstone_metadata::shard::Hidden;
use siltstone_records::{Batch, FrameError, Scratch, batches};
use siltstone_store::StoreError;

use super::round::{Batches, Piece};
use crate::context::Context;
use crate::gather::Unreadable;
use crate::merge::build::{self, Erased};
use crate::scan::{Chunks, ScanError};

/// Why batches can't be read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SourceError {
    /// The store does not answer; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Extents can't be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// Aborted transactions can't be read.
    #[error(transparent)]
    Rows(#[from] RowsError),
    /// An object can't be had, or not all of it. Perhaps the extents have been replaced: plan again.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// What an extent refers to is not what it should be. Trying again won't help.
    #[error("extent {base}..{end} is damaged: {what}")]
    Damaged {
        /// The extent's first offset.
        base: i64,
        /// The offset behind it.
        end: i64,
        /// What is wrong.
        what: String,
    },
}

/// One partition, as its row has it.
#[derive(Debug)]
pub struct PartitionBatches<'a> {
    /// What it is read with.
    pub cx: &'a Context,
    /// The partition's shard.
    pub shard: ShardId,
    /// The partition.
    pub partition: PartitionId,
    /// What is left out of its batches.
    pub hidden: Option<Hidden>,
}

impl Batches for PartitionBatches<'_> {
    type Error = SourceError;

    async fn read(&self, from: i64, to: i64, bytes: usize) -> Result<Piece, SourceError> {
        let (extents, more) = self.extents(from, to, bytes).await?;
        let (Some(first), Some(last)) = (extents.first(), extents.last()) else {
            return Ok(Piece { end: to, ..Piece::default() });
        };
        let end = if more { last.end() } else { last.end().max(to) };
        let snapshot = self.cx.store.snapshot().await?;
        let aborted =
            rows::aborted_between(snapshot.as_ref(), self.shard, self.partition, first.base, last.end())
                .await?;
        drop(snapshot);
        let mut gathered = self.cx.gather(extents.iter()).await;
        let (mut all, mut erased) = (Vec::new(), Erased::new());
        for extent in &extents {
            let found = split(extent, gathered.bytes(extent)?);
            let found = found.and_then(|batches| self.shown(batches, &mut erased));
            let damaged = |what| SourceError::Damaged { base: extent.base, end: extent.end(), what };
            all.extend(found.map_err(damaged)?);
        }
        Ok(Piece { batches: all, extents, aborted, end, erased })
    }
}

impl PartitionBatches<'_> {
    /// What is left of batches whose headers hold their offsets.
    fn shown(&self, batches: Vec<Batch>, erased: &mut Erased) -> Result<Vec<Batch>, String> {
        let Some(hidden) = &self.hidden else { return Ok(batches) };
        let mut scratch = Scratch::new();
        let mut left = |batch: Batch| {
            if !hidden.concerns(batch.base_offset) {
                return Ok(batch);
            }
            let other = build::shown(&batch, batch.base_offset, hidden, Some(&mut *erased), &mut scratch)?;
            Ok(other.unwrap_or(batch))
        };
        batches.into_iter().map(&mut left).collect()
    }

    /// Neighbouring extents that hold offsets from `from` on, below `to`, and whether there are more of them.
    async fn extents(&self, from: i64, to: i64, bytes: usize) -> Result<(Vec<Extent>, bool), SourceError> {
        let mut chunks = Chunks::from(self.cx.store.as_ref(), self.shard, self.partition, from);
        let (mut extents, mut size): (Vec<Extent>, _) = (Vec::new(), 0);
        while let Some(chunk) = chunks.next().await? {
            for extent in chunk.iter().filter(|extent| extent.end() > from) {
                if extent.base >= to {
                    return Ok((extents, false));
                }
                if size > 0 && size + extent.length as usize > bytes {
                    return Ok((extents, true));
                }
                // A chunk that was replaced while it was looked for: what is left out now is read next.
                if extents.last().is_some_and(|last| last.end() > extent.base) {
                    return Ok((extents, true));
                }
                size += extent.length as usize;
                extents.push(*extent);
            }
        }
        Ok((extents, false))
    }
}

/// An extent's batches, with their offsets in their headers and their CRC checked.
fn split(extent: &Extent, bytes: Bytes) -> Result<Vec<Batch>, String> {
    let bytes = if extent.level() == 0 { placed(extent.base, bytes)? } else { bytes };
    let (mut all, mut end) = (Vec::new(), extent.base);
    for batch in batches(bytes) {
        let batch = batch.map_err(framed)?;
        if !batch.crc_is_valid() {
            return Err(format!("the CRC of the batch at offset {} does not match", batch.base_offset));
        }
        if batch.base_offset < end || batch.last_offset_delta < 0 || batch.last_offset() >= extent.end() {
            return Err(format!("a batch of offsets {} to {}", batch.base_offset, batch.last_offset()));
        }
        end = batch.last_offset() + 1;
        all.push(batch);
    }
    if extent.level() == 0 && end != extent.end() {
        return Err(format!("records are missing from offset {end} on"));
    }
    Ok(all)
}

/// Batches as producers sent them, with the offsets that follow from the first one's.
fn placed(base: i64, bytes: Bytes) -> Result<Bytes, String> {
    let mut out = BytesMut::from(&bytes[..]);
    let (mut at, mut offset) = (0, base);
    for batch in batches(bytes) {
        let batch = batch.map_err(framed)?;
        let field: &mut [u8] = &mut out[at..at + 8];
        field.copy_from_slice(&offset.to_be_bytes());
        at += batch.total_len();
        offset = offset.saturating_add(i64::from(batch.last_offset_delta)).saturating_add(1);
    }
    Ok(out.freeze())
}

fn framed(error: FrameError) -> String {
    error.to_string()
}

#[cfg(test)]
mod tests {
    use siltstone_log::{BlockPlace, Encoding, ExtentPlace, RegistrationId, SegmentId, SegmentPlace};
    use siltstone_records::{BatchBuilder, NewRecord, Scratch};

    use super::*;

    fn batch(base: i64, records: i32) -> Bytes {
        let mut builder = BatchBuilder::new().base_offset(base);
        for _ in 0..records {
            builder.push(&NewRecord { timestamp: 1, key: Some(b"k"), value: None, headers: &[] }).unwrap();
        }
        builder.build(&mut Scratch::new()).unwrap()
    }

    fn extent(level: u8, base: i64, records: u64) -> Extent {
        let segment = SegmentPlace {
            id: SegmentId { registration: RegistrationId(1), number: 1 },
            inline: false,
            length: 9,
        };
        let block = BlockPlace { start: 0, length: 9, encoding: Encoding::Plain };
        let place = ExtentPlace::Stored { segment, block, start: 0, level };
        Extent { base, records, bytes_before: 0, place, length: 9, max_timestamp: 0 }
    }

    fn offsets(found: Result<Vec<Batch>, String>) -> Result<Vec<(i64, i64)>, String> {
        Ok(found?.iter().map(|batch| (batch.base_offset, batch.last_offset())).collect())
    }

    #[test]
    fn flushed_batches_get_their_offsets_and_merged_ones_have_theirs() {
        let flushed: Bytes = [batch(0, 2), batch(0, 3)].concat().into();
        assert_eq!(offsets(split(&extent(0, 100, 5), flushed.clone())), Ok(vec![(100, 101), (102, 104)]));
        assert!(split(&extent(0, 100, 6), flushed.clone()).is_err(), "a record is missing");
        assert!(split(&extent(0, 100, 4), flushed).is_err(), "a record too many");
        let merged: Bytes = [batch(103, 2), batch(107, 1)].concat().into();
        assert_eq!(offsets(split(&extent(1, 100, 10), merged.clone())), Ok(vec![(103, 104), (107, 107)]));
        assert!(split(&extent(1, 104, 10), merged.clone()).is_err(), "before the extent");
        assert!(split(&extent(1, 100, 7), merged.clone()).is_err(), "behind the extent");
        let mut broken = merged.to_vec();
        broken[70] ^= 1;
        assert!(split(&extent(1, 100, 10), broken.into()).is_err(), "a CRC that does not match");
        assert!(split(&extent(1, 100, 10), merged.slice(..merged.len() - 1)).is_err(), "cut off");
    }
}
