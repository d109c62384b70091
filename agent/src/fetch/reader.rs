//! Reading one partition.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{Encoding, Extent, PartitionId};
use siltstone_metadata::follow::{Followers, ShardError};
use siltstone_metadata::shard::PartitionState;
use siltstone_objects::ReadError;
use siltstone_objects::cache::{PageCache, Rope};
use siltstone_store::Store;

use super::error::FetchError;
use super::locate::{self, Located};
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
}

/// The read path. A cheap clone.
#[derive(Clone)]
pub struct Reader {
    pub(super) store: Arc<dyn Store>,
    pub(super) followers: Followers,
    pub(super) cache: PageCache,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Reader")
    }
}

impl Reader {
    pub(crate) fn new(store: Arc<dyn Store>, followers: Followers, cache: PageCache) -> Self {
        Reader { store, followers, cache }
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

    /// Batches from the one that holds `offset` on, up to `max_bytes`; the first one also beyond, if `at_least_one`. Nothing at the end of
    /// the log.
    pub(super) async fn read(
        &self,
        partition: PartitionId,
        offset: i64,
        max_bytes: usize,
        at_least_one: bool,
    ) -> Result<Read, FetchError> {
        let look = |state: &PartitionState| locate::in_state(state, offset, max_bytes as u64);
        let (mut bounds, mut located) = self.state(partition, look).await?;
        if matches!(located, Located::OutOfRange) {
            // Perhaps the offset comes from an agent that is ahead.
            self.followers.of(partition).fresh().await?;
            (bounds, located) = self.state(partition, look).await?;
        }
        let extents = match located {
            Located::Extents(extents) => extents,
            Located::End => return Ok(Read { bounds, ..Read::default() }),
            Located::Rows => self.in_rows(partition, offset, max_bytes as u64).await?,
            Located::OutOfRange => {
                return Err(FetchError::OutOfRange {
                    offset,
                    log_start: bounds.log_start,
                    end: bounds.high_watermark,
                });
            }
        };
        let mut pieces = Pieces::default();
        for (index, extent) in extents.iter().enumerate() {
            let before = pieces.bytes;
            let rope = match self.bytes(extent).await {
                Ok(rope) => rope,
                // What was read before the damage is good.
                Err(_) if before > 0 => break,
                Err(error) => return Err(error),
            };
            let full = match take(extent, &rope, offset, max_bytes, at_least_one, &mut pieces) {
                Ok(full) => full,
                Err(_) if before > 0 => break,
                Err(reason) => {
                    tracing::error!(?partition, offset, %reason, "damaged segment");
                    self.cache.invalidate(extent.segment.id);
                    return Err(FetchError::Storage(reason));
                }
            };
            if full {
                break;
            }
            if let Some(next) = extents.get(index + 1) {
                self.read_ahead(next);
            }
        }
        pieces.flush();
        Ok(Read { pieces: pieces.pieces, bytes: pieces.bytes, bounds })
    }

    fn read_ahead(&self, extent: &Extent) {
        if extent.segment.inline {
            return;
        }
        let page = self.cache.page_bytes();
        let first = extent.block.start / page;
        let end = (extent.block.start + u64::from(extent.block.length)).div_ceil(page);
        self.cache.prefetch(extent.segment, first..end);
    }

    /// The bytes of an extent's batches.
    pub(super) async fn bytes(&self, extent: &Extent) -> Result<Rope, FetchError> {
        let (start, length) = (u64::from(extent.start), u64::from(extent.length));
        let block = extent.block;
        match block.encoding {
            Encoding::Plain => {
                let from = block.start + start;
                Ok(self.cache.read(extent.segment, from..from + length).await?)
            }
            Encoding::Zstd { raw_length } => {
                let (cache, segment) = (self.cache.clone(), extent.segment);
                let make = move || async move {
                    let stored =
                        cache.read(segment, block.start..block.start + u64::from(block.length)).await?;
                    decompress(stored, raw_length, &segment.id.object_name()).await
                };
                let whole = self.cache.decoded(segment.id, block.start, make).await?;
                let mut rope = Rope::new();
                rope.push(whole.slice(start as usize..(start + length) as usize));
                Ok(rope)
            }
        }
    }
}

async fn decompress(stored: Rope, raw_length: u32, name: &str) -> Result<Bytes, ReadError> {
    let corrupt = |reason: String| ReadError::Corrupt { name: name.to_owned(), reason };
    let work = move || zstd::bulk::decompress(&stored.to_bytes(), raw_length as usize);
    let raw = tokio::task::spawn_blocking(work).await.map_err(|error| corrupt(error.to_string()))?;
    let raw = raw.map_err(|error| corrupt(format!("a block can't be decompressed: {error}")))?;
    if raw.len() != raw_length as usize {
        return Err(corrupt(format!("a block has {} bytes, not {raw_length}", raw.len())));
    }
    Ok(raw.into())
}

/// Takes the batches of an extent from `offset` on. Whether there is no room for more.
fn take(
    extent: &Extent,
    rope: &Rope,
    offset: i64,
    max_bytes: usize,
    at_least_one: bool,
    pieces: &mut Pieces,
) -> Result<bool, String> {
    let mut walk = Walk::new(extent, rope);
    while let Some(found) = walk.next()? {
        if found.end() <= offset {
            continue;
        }
        let first = pieces.bytes == 0 && at_least_one;
        if !first && pieces.bytes + found.length > max_bytes {
            return Ok(true);
        }
        walk.check(&found)?;
        walk.take(&found, pieces);
    }
    Ok(false)
}
