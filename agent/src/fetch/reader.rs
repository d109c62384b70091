//! Reading one partition.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{Extent, PartitionId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::follow::{Followers, ShardError};
use siltstone_metadata::shard::{Hidden, PartitionState};
use siltstone_objects::cache::{PageCache, Rope};
use siltstone_records::{MAX_DECOMPRESSED, Scratch};
use siltstone_store::Store;
use tokio::sync::Semaphore;

use super::begin::{Alone, Begun, along};
use super::chunks::Chunks;
use super::erased;
use super::error::FetchError;
use super::locate::{self, Located};
use super::plan::{Plan, Room};
use super::walk::{Pieces, Walk};

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
    /// What it was filtered by.
    pub(super) hidden: Option<Hidden>,
}

/// The read path. A cheap clone.
#[derive(Clone)]
pub struct Reader {
    pub(super) store: Arc<dyn Store>,
    pub(super) followers: Followers,
    pub(super) cache: PageCache,
    pub(super) alone: Alone,
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
    pub(crate) fn new(store: Arc<dyn Store>, followers: Followers, cache: PageCache, alone: Alone) -> Self {
        let filtering = Arc::new(Semaphore::new(erased::AT_ONCE));
        Reader { store, followers, cache, alone, chunks: Arc::default(), filtering }
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

    /// Has these partitions loaded, and as new as this call, all at once: [`Reader::bounds`] tells no less than that then.
    ///
    /// # Errors
    /// The first that failed; of which, is not said.
    pub async fn prepare(&self, partitions: &[PartitionId]) -> Result<(), FetchError> {
        self.followers.fresh(partitions.iter().copied()).await?;
        Ok(self.followers.load(partitions).await?)
    }

    /// A partition's ends as this agent knows them.
    ///
    /// # Errors
    /// See [`FetchError`].
    pub async fn bounds(&self, partition: PartitionId) -> Result<Bounds, FetchError> {
        self.state(partition, |state| locate::in_state(state, i64::MAX, 0).0).await
    }

    /// Finds what to read, and begins to: batches from the one that holds `offset` on, as many as there is `room` for. Nothing at the end of
    /// the log, which is the last stable offset if only what is `committed` is wanted.
    pub(super) async fn plan(
        &self,
        partition: PartitionId,
        offset: i64,
        room: Room,
        committed: bool,
    ) -> Result<Plan, FetchError> {
        let max_bytes = room.bytes;
        // As much again is read ahead, should all of this be wanted.
        let look = |state: &PartitionState| {
            let (bounds, located) = locate::in_state(state, offset, 2 * max_bytes as u64);
            let from = if bugs::on(Bug::ErasedShown) { i64::MAX } else { offset };
            (bounds, located, Hidden::of(partition, state.row(), from))
        };
        let (mut bounds, mut located, mut hidden) = self.state(partition, look).await?;
        if matches!(located, Located::OutOfRange) {
            // Perhaps the offset comes from an agent that is ahead.
            self.followers.of(partition).fresh().await?;
            (bounds, located, hidden) = self.state(partition, look).await?;
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
        let Some(max_bytes) = room.for_extent(extents.first(), self.alone) else {
            return Ok(Plan { later: true, ..Plan::empty(partition, offset, bounds, hidden) });
        };
        let end = if committed { bounds.last_stable } else { bounds.high_watermark };
        let empty = Plan::empty(partition, offset, bounds, hidden);
        let mut plan = Plan { max_bytes, in_rows, committed, end, ..empty };
        let mut extents = extents.into_iter().filter(|extent| extent.base < end).peekable();
        let mut comes_along = false;
        while let Some(extent) = extents.next() {
            let begins = plan.begun.is_empty() || plan.ahead.is_empty() && plan.fits(&extent, self.alone);
            if !begins {
                plan.ahead.push_back(extent);
                continue;
            }
            plan.bytes += extent.length as usize;
            let rest = along(&extent, extents.peek()).filter(|_| !comes_along);
            let begun = if comes_along { Begun::Along } else { self.begin(&extent, rest) };
            comes_along = rest.is_some();
            plan.begun.push_back((extent, begun));
        }
        Ok(plan)
    }

    /// Waits for what a plan began, and takes of it what fits; no more than `left` bytes, if there is less room by now, but for one batch
    /// that is larger, if `at_least_one`.
    pub(super) async fn finish(
        &self,
        plan: Plan,
        left: usize,
        at_least_one: bool,
    ) -> Result<Read, FetchError> {
        let Plan { partition, max_bytes, committed, .. } = plan;
        let (read, gap) = self.take_begun(plan, left, at_least_one).await?;
        let Some(next) = gap.filter(|_| !bugs::on(Bug::GapIsTheEnd)) else { return Ok(read) };
        // No extent is without a batch: in the next one there is something.
        let plan = self.plan(partition, next, Room::of(max_bytes), committed).await?;
        Ok(self.take_begun(plan, left, at_least_one).await?.0)
    }

    /// As [`Reader::finish`]. With no records at all: where to look on, if compaction left nothing behind the offset in the extent that holds it. Were the
    /// answer empty, its reader would come back with the same offset for ever.
    async fn take_begun(
        &self,
        mut plan: Plan,
        left: usize,
        at_least_one: bool,
    ) -> Result<(Read, Option<i64>), FetchError> {
        let (bounds, in_rows, max_bytes) = (plan.bounds, plan.in_rows, plan.max_bytes.min(left));
        let (offset, hidden, most) = (plan.offset, plan.hidden, MAX_DECOMPRESSED);
        let part = Part { offset, end: plan.end, max_bytes, at_least_one, hidden, most };
        let mut pieces = Pieces::default();
        let mut gap = None;
        while let Some((extent, begun)) = plan.begun.pop_front() {
            gap = Some(extent.end()).filter(|end| *end > part.offset && *end < part.end);
            let before = pieces.bytes;
            let rope = match self.begun(&extent, begun).await {
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
                gap = None;
                break;
            }
        }
        self.read_ahead(plan.ahead.into_iter());
        pieces.flush();
        let gap = gap.filter(|_| pieces.bytes == 0);
        let (bytes, end, hidden) = (pieces.bytes, pieces.end, Some(part.hidden));
        Ok((Read { bytes, bounds, end, in_rows, hidden, pieces: pieces.pieces }, gap))
    }
}

/// Which batches are wanted.
#[derive(Clone)]
pub(super) struct Part {
    /// From the one that holds this offset on.
    pub(super) offset: i64,
    /// Before this one.
    end: i64,
    max_bytes: usize,
    at_least_one: bool,
    /// Without these records.
    pub(super) hidden: Hidden,
    /// A batch that is looked through has at most so many bytes once decompressed.
    pub(super) most: usize,
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
        match erased::shown(&walk, &found, &part.hidden, part.most, &mut scratch)? {
            Some(left) => walk.take_instead(&found, &left, pieces),
            None => walk.take(&found, pieces),
        }
    }
    Ok(false)
}
