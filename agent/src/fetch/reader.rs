//! Reading one partition.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{BlockPlace, Encoding, EndMarker, Extent, ExtentPlace, PartitionId, SegmentPlace};
use siltstone_metadata::follow::{Followers, ShardError};
use siltstone_metadata::shard::{Hidden, PartitionState};
use siltstone_objects::ReadError;
use siltstone_objects::cache::{Decoding, PageCache, Reading, Rope};
use siltstone_records::{Marker, Scratch};
use siltstone_store::Store;
use tokio::sync::Semaphore;

use super::chunks::Chunks;
use super::erased;
use super::error::FetchError;
use super::locate::{self, Located};
use super::walk::{Pieces, Walk};

/// Merged blocks from this size on are read by themselves. Smaller ones share pages with what lies beside them.
const WORTH_A_REQUEST: u32 = 64 << 10;

/// A partition's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// First offset that may be read.
    pub log_start: i64,
    /// First offset that may not be read yet.
    pub high_watermark: i64,
    /// First offset of an open transaction, or the high watermark.
    pub last_stable: i64,
}

/// Records of one partition.
#[derive(Debug, Default)]
pub(super) struct Read {
    pub(super) pieces: Vec<Bytes>,
    pub(super) bytes: usize,
    pub(super) bounds: Bounds,
    /// The first offset behind the records, if there are any.
    pub(super) end: Option<i64>,
    /// It was read where rows say, not the fold.
    pub(super) in_rows: bool,
    /// What was left out of it.
    pub(super) hidden: Option<Hidden>,
}

/// The read path. A cheap clone.
#[derive(Clone)]
pub struct Reader {
    pub(super) store: Arc<dyn Store>,
    pub(super) followers: Followers,
    pub(super) cache: PageCache,
    pub(super) chunks: Arc<Chunks>,
    /// A permit for each batch that is being made anew.
    pub(super) filtering: Arc<Semaphore>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, followers: Followers, cache: PageCache) -> Self {
        let filtering = Arc::new(Semaphore::new(erased::AT_ONCE));
        Reader { store, followers, cache, chunks: Arc::default(), filtering }
    }

    /// The followed shards.
    pub fn followers(&self) -> &Followers {
        &self.followers
    }

    /// A partition's state, loaded if it wasn't.
    pub(super) async fn state<R>(
        &self,
        partition: PartitionId,
        f: impl Fn(&PartitionState) -> R,
    ) -> Result<R, FetchError> {
        let shard = self.followers.of(partition);
        for _ in 0..2 {
            match shard.partition(partition, &f) {
                Err(ShardError::NotLoaded(_)) => shard.load(&[partition]).await?,
                // Created a moment ago by another agent, perhaps: only fresh state may say that there is none.
                Err(ShardError::NoPartition(_) | ShardError::Stale(_)) => shard.fresh().await?,
                other => return Ok(other?),
            }
        }
        Ok(match shard.partition(partition, &f) {
            Err(ShardError::NotLoaded(_)) => {
                shard.load(&[partition]).await?;
                shard.partition(partition, &f)?
            }
            other => other?,
        })
    }

    /// A partition's ends, as of now: as new as the call (S6).
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn fresh_bounds(&self, partition: PartitionId) -> Result<Bounds, FetchError> {
        self.followers.of(partition).fresh().await?;
        self.bounds(partition).await
    }

    /// A partition's ends as this agent knows them.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn bounds(&self, partition: PartitionId) -> Result<Bounds, FetchError> {
        self.state(partition, |state| locate::in_state(state, i64::MAX, 0).0).await
    }

    /// Finds what to read, and begins to: batches from the one that holds `offset` on, up to `max_bytes`. Nothing at the end of the log, which
    /// is the last stable offset if only what is `committed` is wanted.
    pub(super) async fn plan(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
        committed: bool,
    ) -> Result<Plan, FetchError> {
        // As much again is read ahead, should all of this be wanted.
        let look = |state: &PartitionState| locate::in_state(state, offset, 2 * max_bytes as u64);
        let (mut bounds, mut located) = self.state(partition, look).await?;
        if matches!(located, Located::OutOfRange) {
            // Perhaps the offset comes from an agent that is ahead.
            self.followers.of(partition).fresh().await?;
            (bounds, located) = self.state(partition, look).await?;
        }
        let (extents, in_rows) = match located {
            Located::Extents(extents) => (extents, false),
            Located::End => (Vec::new(), false),
            Located::Rows => self.in_rows_or_behind(partition, offset, 2 * max_bytes as u64).await?,
            Located::OutOfRange => {
                return Err(FetchError::OutOfRange {
                    offset,
                    log_start: bounds.log_start,
                    end: bounds.high_watermark,
                });
            }
        };
        let mut plan = Plan {
            partition,
            offset,
            max_bytes,
            bounds,
            in_rows,
            end: if committed { bounds.last_stable } else { bounds.high_watermark },
            begun: VecDeque::new(),
            ahead: VecDeque::new(),
            bytes: 0,
        };
        let end = plan.end;
        for extent in extents.into_iter().filter(|extent| extent.base < end) {
            if plan.begun.is_empty() || plan.bytes < max_bytes {
                plan.bytes += extent.length as usize;
                plan.begun.push_back((extent, self.begin(&extent)));
            } else {
                plan.ahead.push_back(extent);
            }
        }
        Ok(plan)
    }

    /// Waits for what a plan began, and takes of it what fits; no more than `left` bytes, if there is less room by now, but for one batch
    /// that is larger, if `at_least_one`.
    pub(super) async fn finish(
        &self,
        mut plan: Plan,
        left: usize,
        at_least_one: bool,
    ) -> Result<Read, FetchError> {
        let (bounds, in_rows, max_bytes) = (plan.bounds, plan.in_rows, plan.max_bytes.min(left));
        let hidden = self.hidden(plan.partition, plan.offset).await?;
        let part = Part { offset: plan.offset, end: plan.end, max_bytes, at_least_one, hidden };
        let mut pieces = Pieces::default();
        while let Some((extent, begun)) = plan.begun.pop_front() {
            let before = pieces.bytes;
            let rope = match begun.done().await {
                Ok(rope) => rope,
                // What was read before the damage is good.
                Err(_) if before > 0 => break,
                Err(error) => {
                    self.chunks.forget(plan.partition);
                    return Err(error.into());
                }
            };
            let taken;
            (taken, pieces) = self.take_shown(extent, rope, &part, pieces).await?;
            let full = match taken {
                Ok(full) => full,
                Err(_) if before > 0 => break,
                Err(reason) => {
                    let offset = part.offset;
                    tracing::error!(partition = ?plan.partition, offset, %reason, "damaged segment");
                    self.chunks.forget(plan.partition);
                    if let Some(segment) = extent.segment() {
                        self.cache.invalidate(segment.id);
                    }
                    return Err(FetchError::Storage(reason));
                }
            };
            if full {
                // Who takes all there is room for will soon want what follows.
                let rest = plan.begun.drain(..).map(|(extent, _)| extent).chain(plan.ahead.drain(..));
                self.read_ahead(std::iter::once(extent).chain(rest));
                break;
            }
        }
        pieces.flush();
        let hidden = Some(part.hidden).filter(|hidden| !hidden.is_empty());
        Ok(Read { bytes: pieces.bytes, bounds, end: pieces.end, in_rows, hidden, pieces: pieces.pieces })
    }

    fn read_ahead(&self, extents: impl Iterator<Item = Extent>) {
        for extent in extents {
            let ExtentPlace::Stored { segment, block, start, level } = extent.place else { continue };
            if segment.inline {
                continue;
            }
            if by_itself(level, block) {
                let (range, raw) = stored_range(block);
                let ahead = self
                    .cache
                    .prefetch_block(segment, range, raw, move |stored| decode(stored, block, segment));
                if !ahead {
                    break;
                }
                continue;
            }
            let range = match block.encoding {
                Encoding::Plain => {
                    let from = block.start + u64::from(start);
                    from..from + u64::from(extent.length)
                }
                Encoding::Zstd { .. } => block.start..block.start + u64::from(block.length),
            };
            if !self.cache.prefetch(segment, range) {
                break;
            }
        }
    }

    /// The bytes of an extent's batches.
    pub(super) async fn bytes(&self, extent: &Extent) -> Result<Rope, FetchError> {
        Ok(self.begin(extent).done().await?)
    }

    /// Starts to read the bytes of an extent's batches.
    fn begin(&self, extent: &Extent) -> Begun {
        let (segment, block, start, level) = match extent.place {
            ExtentPlace::Stored { segment, block, start, level } => (segment, block, u64::from(start), level),
            ExtentPlace::Marker(marker) => return Begun::Made(control_batch(marker, extent.max_timestamp)),
        };
        let length = u64::from(extent.length);
        if by_itself(level, block) && !segment.inline {
            // The compactor's blocks are of a good size for one request, and their neighbours are other partitions'.
            let (range, raw) = stored_range(block);
            let whole =
                self.cache.begin_block(segment, range, raw, move |stored| decode(stored, block, segment));
            return Begun::Decoding { whole, start: start as usize, end: (start + length) as usize };
        }
        match block.encoding {
            Encoding::Plain => {
                let from = block.start + start;
                Begun::Plain(self.cache.begin(segment, from..from + length))
            }
            Encoding::Zstd { raw_length } => {
                let cache = self.cache.clone();
                let make = move || async move {
                    let stored =
                        cache.read(segment, block.start..block.start + u64::from(block.length)).await?;
                    decompress(stored.to_bytes(), raw_length, &segment.id.object_name()).await
                };
                let whole = self.cache.begin_decoded(segment.id, block.start, make);
                Begun::Decoding { whole, start: start as usize, end: (start + length) as usize }
            }
        }
    }
}

/// What is to be read of a partition, and is on its way.
pub(super) struct Plan {
    partition: PartitionId,
    offset: i64,
    max_bytes: usize,
    bounds: Bounds,
    /// Rows have told of its extents, not the fold.
    in_rows: bool,
    /// Batches are wanted that lie wholly before this offset.
    end: i64,
    begun: VecDeque<(Extent, Begun)>,
    /// Extents behind those.
    ahead: VecDeque<Extent>,
    /// Bytes of what was begun; may be more than there was room for.
    pub(super) bytes: usize,
}

/// An extent's bytes on their way.
enum Begun {
    /// A control batch: there is nothing to wait for.
    Made(Bytes),
    Plain(Reading),
    Decoding {
        whole: Decoding,
        start: usize,
        end: usize,
    },
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
        }
    }
}

/// The batch that an end of a transaction stands for. Its coordinator's epoch is 0: there is no coordinator that could be late.
fn control_batch(marker: EndMarker, at: i64) -> Bytes {
    let EndMarker { producer_id, epoch, commit } = marker;
    siltstone_records::control_batch(
        if commit { Marker::Commit } else { Marker::Abort },
        producer_id,
        epoch,
        0,
        at,
    )
}

/// Whether a block is read by itself, not in pages: one that a merge made, if it is worth a request.
fn by_itself(level: u8, block: BlockPlace) -> bool {
    level > 0 && block.length >= WORTH_A_REQUEST
}

/// Where a block is stored, and how long it is once decompressed.
fn stored_range(block: BlockPlace) -> (std::ops::Range<u64>, u64) {
    (block.start..block.start + u64::from(block.length), u64::from(block.raw_length()))
}

/// A block's batches, from what is stored.
async fn decode(stored: Bytes, block: BlockPlace, segment: SegmentPlace) -> Result<Bytes, ReadError> {
    match block.encoding {
        Encoding::Plain => Ok(stored),
        Encoding::Zstd { raw_length } => decompress(stored, raw_length, &segment.id.object_name()).await,
    }
}

async fn decompress(stored: Bytes, raw_length: u32, name: &str) -> Result<Bytes, ReadError> {
    let corrupt = |reason: String| ReadError::Corrupt { name: name.to_owned(), reason };
    let work = move || zstd::bulk::decompress(&stored, raw_length as usize);
    let raw = tokio::task::spawn_blocking(work).await.map_err(|error| corrupt(error.to_string()))?;
    let raw = raw.map_err(|error| corrupt(format!("a block can't be decompressed: {error}")))?;
    if raw.len() != raw_length as usize {
        return Err(corrupt(format!("a block has {} bytes, not {raw_length}", raw.len())));
    }
    Ok(raw.into())
}

/// Which batches are wanted.
#[derive(Clone)]
pub(super) struct Part {
    /// From the one that holds this offset on.
    offset: i64,
    /// Before this one.
    end: i64,
    max_bytes: usize,
    at_least_one: bool,
    /// Without these records.
    pub(super) hidden: Hidden,
}

/// Takes the batches of an extent that are wanted. Whether there is no room for more.
pub(super) fn take(extent: &Extent, rope: &Rope, part: &Part, pieces: &mut Pieces) -> Result<bool, String> {
    let mut walk = Walk::new(extent, rope);
    let mut scratch = Scratch::new();
    while let Some(found) = walk.next()? {
        if found.end() <= part.offset {
            continue;
        }
        // A trim may have cut into the batch at the end.
        if found.end() > part.end {
            return Ok(false);
        }
        let first = pieces.bytes == 0 && part.at_least_one;
        if !first && pieces.bytes + found.length > part.max_bytes {
            return Ok(true);
        }
        walk.check(&found)?;
        match erased::shown(&walk, &found, &part.hidden, &mut scratch)? {
            Some(left) => walk.take_instead(&found, &left, pieces),
            None => walk.take(&found, pieces),
        }
    }
    Ok(false)
}
