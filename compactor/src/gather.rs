//! Reading what is to be merged or compacted: ranges of segments that lie close together in one request, each byte once.

use std::collections::BTreeMap;
use std::ops::Range;

use bytes::Bytes;
use futures::StreamExt;
use siltstone_log::{BlockPlace, Encoding, EndMarker, Extent, ExtentPlace, SegmentId, SegmentPlace};
use siltstone_metadata::keys::{inline_segment, parts};
use siltstone_objects::ReadError;
use siltstone_records::end_batch;

use crate::context::Context;
use crate::source::decoded;

/// Bytes between two ranges that are cheaper to read than to leave out.
const GAP: u64 = 256 << 10;
/// Requests under way at once.
const AT_ONCE: usize = 4;

/// Stored bytes of segments.
#[derive(Debug, Default)]
pub struct Gathered {
    /// By segment: where each piece begins, and its bytes.
    pieces: BTreeMap<SegmentId, BTreeMap<u64, Bytes>>,
    /// Segments that can't be read, and why.
    failed: BTreeMap<SegmentId, ReadError>,
    /// The block that was decompressed last.
    block: Option<(SegmentId, BlockPlace, Bytes)>,
}

/// Why an extent's bytes can't be had.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(pub String);

/// The range of its segment that an extent needs.
fn needed(extent: &Extent) -> Option<(SegmentPlace, Range<u64>)> {
    let ExtentPlace::Stored { segment, block, start, .. } = extent.place else { return None };
    Some((segment, block.stored_part(start, extent.length)))
}

/// Ranges in order, those that lie close together as one.
fn together(mut ranges: Vec<Range<u64>>) -> Vec<Range<u64>> {
    ranges.sort_by_key(|range| (range.start, range.end));
    let mut all: Vec<Range<u64>> = Vec::new();
    for range in ranges {
        match all.last_mut() {
            Some(last) if range.start <= last.end + GAP => last.end = last.end.max(range.end),
            _ => all.push(range),
        }
    }
    all
}

impl Context {
    /// Reads what these extents need. What can't be read is told when it is asked for.
    pub async fn gather(&self, extents: impl Iterator<Item = &Extent>) -> Gathered {
        let mut wanted: BTreeMap<SegmentId, (SegmentPlace, Vec<Range<u64>>)> = BTreeMap::new();
        for (segment, range) in extents.filter_map(needed) {
            wanted.entry(segment.id).or_insert_with(|| (segment, Vec::new())).1.push(range);
        }
        let reads = wanted
            .into_values()
            .flat_map(|(segment, ranges)| together(ranges).into_iter().map(move |range| (segment, range)));
        let reads: Vec<_> = reads.map(|(segment, range)| self.answer(segment, range)).collect();
        let mut answers = futures::stream::iter(reads).buffered(AT_ONCE);
        let mut gathered = Gathered::default();
        while let Some((segment, start, answer)) = answers.next().await {
            match answer {
                Ok(bytes) => {
                    gathered.pieces.entry(segment).or_default().insert(start, bytes);
                }
                Err(error) => {
                    gathered.failed.insert(segment, error);
                }
            }
        }
        gathered
    }

    async fn answer(
        &self,
        segment: SegmentPlace,
        range: Range<u64>,
    ) -> (SegmentId, u64, Result<Bytes, ReadError>) {
        let start = range.start;
        (segment.id, start, self.read(segment, range).await)
    }

    async fn read(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        if segment.inline {
            return self.read_inline(segment, range).await;
        }
        self.read_object(segment.id, range).await
    }

    async fn read_inline(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError> {
        let name = format!("inline segment {}", segment.id);
        let unavailable = |error: siltstone_store::StoreError| ReadError::Unavailable {
            name: name.clone(),
            reason: error.to_string(),
        };
        let snapshot = self.store.snapshot().await.map_err(unavailable)?;
        let found = parts::get(snapshot.as_ref(), &inline_segment::prefix(segment.id)).await;
        let Some(bytes) = found.map_err(unavailable)? else {
            let reason = "the metadata store has no such segment".to_owned();
            return Err(ReadError::NotFound { name, reason });
        };
        if (bytes.len() as u64) < range.end {
            let reason = format!("bytes {range:?} were asked for, but it has {}", bytes.len());
            return Err(ReadError::Corrupt { name, reason });
        }
        Ok(bytes.slice(range.start as usize..range.end as usize))
    }
}

impl Gathered {
    /// Why an extent's segment can't be read, if it can't.
    pub fn failed(&self, extent: &Extent) -> Option<&ReadError> {
        self.failed.get(&extent.segment()?.id)
    }

    /// The bytes of an extent's batches, decompressed.
    ///
    /// # Errors
    /// What is wrong with them, and in which object.
    pub fn bytes(&mut self, extent: &Extent) -> Result<Bytes, Unreadable> {
        let (segment, block, start) = match extent.place {
            ExtentPlace::Marker(EndMarker { producer_id, epoch, commit }) => {
                return Ok(end_batch(commit, producer_id, epoch, extent.max_timestamp));
            }
            ExtentPlace::Stored { segment, block, start, .. } => (segment, block, start),
        };
        let range = block.stored_part(start, extent.length);
        if let Encoding::Plain = block.encoding {
            return self.stored(segment.id, range);
        }
        let broken = |what: String| Unreadable(format!("object {}: {what}", segment.id.object_name()));
        let whole = match &self.block {
            Some((of, at, whole)) if (*of, *at) == (segment.id, block) => whole.clone(),
            _ => {
                let whole = decoded(self.stored(segment.id, range)?, &block).map_err(broken)?;
                self.block = Some((segment.id, block, whole.clone()));
                whole
            }
        };
        let (start, end) = (start as usize, start as usize + extent.length as usize);
        let part = whole.get(start..end).map(|_| whole.slice(start..end));
        part.ok_or_else(|| broken("an extent lies beyond its block".to_owned()))
    }

    fn stored(&self, segment: SegmentId, range: Range<u64>) -> Result<Bytes, Unreadable> {
        let found = self.pieces.get(&segment).and_then(|pieces| {
            let (start, piece) = pieces.range(..=range.start).next_back()?;
            let (from, to) = ((range.start - start) as usize, (range.end - start) as usize);
            piece.get(from..to).map(|_| piece.slice(from..to))
        });
        found.ok_or_else(|| {
            let why = self.failed.get(&segment).map(ToString::to_string);
            Unreadable(why.unwrap_or_else(|| format!("object {}: not read", segment.object_name())))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_lie_close_together_are_read_as_one() {
        let far = GAP * 3;
        let ranges = vec![far..far + 10, 0..10, 5..20, 20 + GAP..30 + GAP, far + 10..far + 11];
        assert_eq!(together(ranges), [0..30 + GAP, far..far + 11]);
    }
}
