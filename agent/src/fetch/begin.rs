//! How an extent's bytes are read: from pages that it shares with what lies beside it, or as a block by itself.
//!
//! Pages serve where a request is dear, since several partitions are read with each. On a local disk it is the bytes that count: what one
//! partition has in a segment is read there by itself, so that nothing is read that nobody wants just now.
//! The compactor's blocks are of a good size for one request, anywhere. What is left of a partition's run makes a smaller last one, which comes with the
//! request for the block before it: a tenth of all requests would be for such rests.

use std::iter::Peekable;

use bytes::Bytes;
use siltstone_log::{BlockPlace, Encoding, EndMarker, Extent, ExtentPlace, SegmentPlace};
use siltstone_objects::ReadError;
use siltstone_objects::cache::{Block, Decoding, Reading, Rope};
use siltstone_records::end_batch;

use super::error::FetchError;
use super::reader::Reader;

/// Merged blocks from this size on are read by themselves. Smaller ones share pages with what lies beside them.
const WORTH_A_REQUEST: u32 = 64 << 10;
/// Flushed blocks above this size are read in pages: an answer takes only a part of one.
const LARGE: u32 = 1 << 20;
/// Up to this size a block comes with the one before it. Half of a full one: memory holds it until its reader comes back for it.
const COMES_ALONG: u32 = 512 << 10;

/// An extent's bytes on their way.
pub(super) enum Begun {
    /// A control batch: there is nothing to wait for.
    Made(Bytes),
    Plain(Reading),
    Decoding {
        whole: Decoding,
        start: usize,
        end: usize,
    },
    /// They come with the extent before, and are found in the cache once that is there.
    Along,
}

impl Begun {
    async fn done(self) -> Result<Rope, ReadError> {
        match self {
            Begun::Made(batch) => Ok(batch.into()),
            Begun::Plain(reading) => reading.done().await,
            Begun::Decoding { whole, start, end } => {
                let whole = whole.done().await?;
                // Another extent of this block said that it was longer: then one of them is wrong.
                let part = whole.get(start..end).map(|_| whole.slice(start..end));
                Ok(part.unwrap_or_default().into())
            }
            Begun::Along => Ok(Rope::new()),
        }
    }
}

/// Which flushed blocks are read by themselves, as merged ones are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Alone {
    /// Those of so many bytes at least.
    pub(crate) flushed_from: u32,
}

impl Alone {
    /// None.
    #[cfg(test)]
    pub(super) const MERGED: Alone = Alone { flushed_from: u32::MAX };

    /// Whether an extent is read whole, in a request for exactly the bytes of its block, and not in pages.
    pub(super) fn is(self, extent: &Extent) -> bool {
        let ExtentPlace::Stored { segment, block, level, .. } = extent.place else { return false };
        let worth = match level {
            0 => (self.flushed_from..=LARGE).contains(&block.length),
            _ => block.length >= WORTH_A_REQUEST,
        };
        worth && !segment.inline
    }
}

/// The block of a merged segment that an extent lies in, unless the segment is in the metadata store.
fn merged(extent: &Extent) -> Option<(SegmentPlace, BlockPlace)> {
    match extent.place {
        ExtentPlace::Stored { segment, block, level, .. } if level > 0 && !segment.inline => {
            Some((segment, block))
        }
        _ => None,
    }
}

/// The block of the next extent, if it comes with that of this one.
pub(super) fn along(extent: &Extent, next: Option<&Extent>) -> Option<BlockPlace> {
    let ((segment, block), (other, rest)) = (merged(extent)?, merged(next?)?);
    let behind = segment.id == other.id && block.stored().end == rest.start;
    (behind && block.length >= WORTH_A_REQUEST && rest.length <= COMES_ALONG).then_some(rest)
}

impl Reader {
    /// The bytes of an extent's batches.
    pub(super) async fn bytes(&self, extent: &Extent) -> Result<Rope, FetchError> {
        Ok(self.begin(extent, None).done().await?)
    }

    /// The bytes of an extent that was begun.
    pub(super) async fn begun(&self, extent: &Extent, begun: Begun) -> Result<Rope, ReadError> {
        match begun {
            Begun::Along => self.begin(extent, None).done().await,
            begun => begun.done().await,
        }
    }

    /// Whether an extent's block is read by itself. One that was written a moment ago is in the cache, in pages.
    fn is_alone(&self, extent: &Extent) -> bool {
        self.alone.is(extent)
            && !matches!(extent.place, ExtentPlace::Stored { segment, block, level: 0, .. }
                if self.cache.holds(segment.id, block.stored()))
    }

    /// Starts to read the bytes of an extent's batches, and a block that comes along.
    pub(super) fn begin(&self, extent: &Extent, rest: Option<BlockPlace>) -> Begun {
        let (segment, block, start) = match extent.place {
            ExtentPlace::Stored { segment, block, start, .. } => (segment, block, start),
            ExtentPlace::Marker(EndMarker { producer_id, epoch, commit }) => {
                return Begun::Made(end_batch(commit, producer_id, epoch, extent.max_timestamp));
            }
        };
        let range = block.stored_part(start, extent.length);
        let (start, end) = (start as usize, start as usize + extent.length as usize);
        if self.is_alone(extent) {
            let rest = rest.map(|rest| whole(segment, rest));
            let whole = self.cache.begin_block(segment, whole(segment, block), rest);
            return Begun::Decoding { whole, start, end };
        }
        // It may have come along with the block before it.
        if let Some(whole) = merged(extent).and_then(|_| self.cache.held_block(segment.id, block.start)) {
            return Begun::Decoding { whole, start, end };
        }
        match block.encoding {
            Encoding::Plain => Begun::Plain(self.cache.begin(segment, range)),
            packed => {
                let cache = self.cache.clone();
                let make = move || async move {
                    let stored = cache.read(segment, range).await?;
                    unpack(stored.to_bytes(), packed, &segment.id.object_name()).await
                };
                let whole = self.cache.begin_decoded(segment.id, block.start, make);
                Begun::Decoding { whole, start, end }
            }
        }
    }

    /// Starts to read what will be wanted soon, as far as there is room for it.
    pub(super) fn read_ahead(&self, extents: impl Iterator<Item = Extent>) {
        let mut extents = extents.peekable();
        while let Some(extent) = extents.next() {
            if !self.ahead(&extent, &mut extents) {
                break;
            }
        }
    }

    /// Whether there was room for an extent; takes the next one too, if that comes along.
    fn ahead(&self, extent: &Extent, next: &mut Peekable<impl Iterator<Item = Extent>>) -> bool {
        let ExtentPlace::Stored { segment, block, start, .. } = extent.place else { return true };
        if segment.inline {
            return true;
        }
        if !self.is_alone(extent) {
            return self.cache.prefetch(segment, block.stored_part(start, extent.length));
        }
        let rest = along(extent, next.peek());
        if rest.is_some() {
            next.next();
        }
        self.cache.prefetch_block(segment, whole(segment, block), rest.map(|rest| whole(segment, rest)))
    }
}

/// All of a block, as the cache reads it.
fn whole(segment: SegmentPlace, block: BlockPlace) -> Block {
    let decode = Box::new(move |stored| Box::pin(decode(stored, block, segment)) as _);
    Block { range: block.stored(), length: u64::from(block.raw_length()), decode }
}

/// A block's batches, from what is stored.
async fn decode(stored: Bytes, block: BlockPlace, segment: SegmentPlace) -> Result<Bytes, ReadError> {
    match block.encoding {
        Encoding::Plain => Ok(stored),
        packed => unpack(stored, packed, &segment.id.object_name()).await,
    }
}

async fn unpack(stored: Bytes, packed: Encoding, name: &str) -> Result<Bytes, ReadError> {
    let corrupt = |reason: String| ReadError::Corrupt { name: name.to_owned(), reason };
    let raw = tokio::task::spawn_blocking(move || packed.unpack(stored)).await;
    raw.map_err(|error| corrupt(error.to_string()))?.map_err(|error| corrupt(format!("a block {error}")))
}

#[cfg(test)]
pub(super) mod tests {
    use siltstone_log::{RegistrationId, SegmentId};

    use super::*;

    /// An extent that is a block of its own in segment `number`.
    pub(in crate::fetch) fn extent(number: u64, start: u64, length: u32, level: u8) -> Extent {
        let id = SegmentId { registration: RegistrationId(1), number };
        Extent {
            base: 100,
            records: 10,
            bytes_before: 0,
            place: ExtentPlace::Stored {
                segment: SegmentPlace { id, inline: false, length: 64 << 20 },
                block: BlockPlace { start, length, encoding: Encoding::Plain },
                start: 0,
                level,
            },
            length,
            max_timestamp: 0,
        }
    }

    #[test]
    fn the_rest_of_a_run_comes_with_the_block_before_it() {
        let full = extent(1, 5000, 1 << 20, 1);
        let behind = 5000 + (1 << 20);
        let comes = |next: Extent| along(&full, Some(&next)).is_some();
        assert!(comes(extent(1, behind, 100, 1)) && comes(extent(1, behind, COMES_ALONG, 1)));
        assert!(!comes(extent(1, behind, COMES_ALONG + 1, 1)), "too large to wait in memory");
        assert!(!comes(extent(1, behind + 1, 100, 1)), "there is something between them");
        assert!(!comes(extent(2, behind, 100, 1)), "another object");
        assert!(!comes(extent(1, behind, 100, 0)), "flushed, not merged");
        assert!(along(&full, None).is_none());
        let small = extent(1, 5000, WORTH_A_REQUEST - 1, 1);
        assert!(along(&small, Some(&extent(1, small.length as u64 + 5000, 9, 1))).is_none(), "read in pages");
    }
}
