//! Reading what the store has of a shard into its view.
//!
//! All rows are read at each look, extents only of partitions whose row has changed since. Nothing here rests on one version: what is
//! planned by a view is checked again by the transaction that does it.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use bytes::{Bytes, BytesMut};
use siltstone_log::{Extent, FormatError, PartitionId, PartitionRow, ShardId, decode_extents};
use siltstone_metadata::keys::{extent_chunk, partition_row};
use siltstone_store::{KeyRange, Pages, RangeLimit, Store, StoreError};

use crate::settings::MergeRules;
use crate::view::{PartitionView, ShardView};

/// Chunks that one read takes.
const CHUNKS: usize = 32;

/// Why a shard could not be looked at.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ScanError {
    /// The store does not answer; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A row or chunk can't be read by this program.
    #[error("{partition:?} in shard {}: {error}", shard.0)]
    Format {
        /// The shard.
        shard: ShardId,
        /// Whose row or chunk.
        partition: PartitionId,
        /// What is wrong with it.
        error: FormatError,
    },
}

/// Brings a shard's view up to date.
///
/// # Errors
/// See [`ScanError`]; the view is then as it was, or newer in parts.
pub async fn shard(
    store: &dyn Store,
    shard: ShardId,
    view: &mut ShardView,
    rules: &MergeRules,
) -> Result<(), ScanError> {
    let (mut found, mut present) = (Vec::new(), BTreeSet::new());
    let mut pages = Pages::of(partition_row::of_shard(shard));
    let mut open: Option<(PartitionId, BytesMut)> = None;
    while let Some(page) = pages.next_fresh(store).await? {
        // A row whose parts lie in two pages may be torn: it is seen as changed, and read again when it is.
        changed(store, shard, view, rules, std::mem::take(&mut found)).await?;
        for (key, value) in &page {
            let Some(partition) = partition_row::parse(key) else { continue };
            present.insert(partition);
            match &mut open {
                Some((id, bytes)) if *id == partition => bytes.extend_from_slice(value),
                _ => {
                    let done = open.replace((partition, BytesMut::from(&value[..])));
                    found.extend(done.map(|(id, bytes)| (id, bytes.freeze())));
                }
            }
        }
    }
    found.extend(open.map(|(id, bytes)| (id, bytes.freeze())));
    changed(store, shard, view, rules, found).await?;
    // What is deleted is merged no more.
    view.partitions.retain(|partition, _| present.contains(partition));
    Ok(())
}

fn digest(row: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    row.hash(&mut hasher);
    // 0 stands for "never seen".
    hasher.finish().max(1)
}

/// Reads the extents of those that have changed.
async fn changed(
    store: &dyn Store,
    shard: ShardId,
    view: &mut ShardView,
    rules: &MergeRules,
    rows: Vec<(PartitionId, Bytes)>,
) -> Result<(), ScanError> {
    for (partition, bytes) in rows {
        let seen = digest(&bytes);
        let known = view.partitions.remove(&partition).unwrap_or_default();
        if known.seen == seen {
            view.partitions.insert(partition, known);
            continue;
        }
        let row = match PartitionRow::decode(&bytes) {
            Ok(row) => row,
            Err(error) => return Err(ScanError::Format { shard, partition, error }),
        };
        let mut fresh = known.with_row(partition, &row, seen);
        extents(store, shard, partition, &mut fresh, rules).await?;
        view.partitions.insert(partition, fresh);
    }
    Ok(())
}

async fn extents(
    store: &dyn Store,
    shard: ShardId,
    partition: PartitionId,
    view: &mut PartitionView,
    rules: &MergeRules,
) -> Result<(), ScanError> {
    if view.first.is_none_or(|first| first.end() <= view.log_start) {
        view.first = Chunks::from(store, shard, partition, 0).next().await?.and_then(|c| c.first().copied());
    }
    view.begin();
    let from = view.settled;
    let mut chunks = Chunks::from(store, shard, partition, from);
    let mut ordinal = 0;
    while let Some(chunk) = chunks.next().await? {
        for extent in chunk.iter().filter(|extent| extent.end() > from) {
            view.add(ordinal, extent, rules);
            ordinal += 1;
        }
    }
    Ok(())
}

/// A partition's chunks of extents, one after the other. Each read is one of its own: chunks that are replaced between two reads may be seen
/// twice in part, or not at all.
pub struct Chunks<'a> {
    store: &'a dyn Store,
    shard: ShardId,
    partition: PartitionId,
    range: KeyRange,
    /// The first chunk is to be found yet: the one that holds this offset.
    at: Option<i64>,
    page: std::vec::IntoIter<(Bytes, Bytes)>,
    more: bool,
}

impl<'a> Chunks<'a> {
    /// From the chunk that holds `offset`, or would, on.
    pub fn from(store: &'a dyn Store, shard: ShardId, partition: PartitionId, offset: i64) -> Self {
        let range = extent_chunk::between(shard, partition, 0, i64::MAX);
        Chunks {
            store,
            shard,
            partition,
            range,
            at: Some(offset).filter(|offset| *offset > 0),
            page: Vec::new().into_iter(),
            more: true,
        }
    }

    /// The next one; never empty.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub async fn next(&mut self) -> Result<Option<Vec<Extent>>, ScanError> {
        loop {
            if let Some((_, value)) = self.page.next() {
                let (shard, partition) = (self.shard, self.partition);
                let chunk =
                    decode_extents(&value).map_err(|error| ScanError::Format { shard, partition, error })?;
                if chunk.is_empty() {
                    continue;
                }
                return Ok(Some(chunk));
            }
            if !self.more {
                return Ok(None);
            }
            let snapshot = self.store.snapshot().await?;
            if let Some(offset) = self.at.take() {
                let before = extent_chunk::between(self.shard, self.partition, 0, offset);
                let back = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
                if let Some((key, _)) = snapshot.range(&before, back).await?.entries.pop() {
                    self.range.begin = key;
                }
            }
            let limit = RangeLimit { entries: CHUNKS, ..RangeLimit::default() };
            let page = snapshot.range(&self.range, limit).await?;
            if let Some((last, _)) = page.entries.last() {
                self.range.begin = KeyRange::key(last.clone()).end;
            }
            self.more = page.more;
            self.page = page.entries.into_iter();
        }
    }
}
