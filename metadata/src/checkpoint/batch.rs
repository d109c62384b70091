//! A checkpoint's transaction while it is being filled.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{ChunkRow, Extent, PartitionId, SegmentId, ShardId};
use siltstone_store::{KeyRange, Mutation, Snapshot, StoreError};

use crate::keys::segment_use;

/// Extents or aborted transactions in a chunk, at most: some 40 kB.
pub const PER_CHUNK: usize = 500;

/// A transaction being filled.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) reads: Vec<KeyRange>,
    pub(super) mutations: Vec<Mutation>,
    pub(super) bytes: usize,
    pub(super) done: Vec<PartitionId>,
}

impl Batch {
    /// Reads what the transaction replaces.
    pub(super) async fn read(
        &mut self,
        snapshot: &dyn Snapshot,
        key: Bytes,
    ) -> Result<Option<Bytes>, StoreError> {
        self.reads.push(KeyRange::key(key.clone()));
        snapshot.get(&key).await
    }

    /// Counts what these extents use.
    pub(super) fn count(&mut self, shard: ShardId, extents: &[Extent]) {
        let uses = uses(extents.iter());
        self.mutations.extend(uses.into_iter().map(|(segment, n)| segment_use::add(shard, segment, n)));
    }

    /// Takes off what these extents used.
    pub(super) fn uncount(&mut self, shard: ShardId, extents: &[Extent]) {
        let uses = uses(extents.iter()).into_iter();
        self.mutations.extend(uses.map(|(segment, n)| segment_use::add(shard, segment, n.wrapping_neg())));
    }

    pub(super) fn set(&mut self, key: Bytes, value: Vec<u8>) {
        self.bytes += value.len();
        self.mutations.push(Mutation::Set { key, value: value.into() });
    }
}

/// Whether a chunk takes so many more; none need no room.
pub(super) fn room(chunk: &ChunkRow, more: usize) -> bool {
    more > 0 && chunk.extents as usize + more <= PER_CHUNK
}

/// What extents use of each segment, as its count has it.
pub fn uses<'a>(extents: impl Iterator<Item = &'a Extent>) -> BTreeMap<SegmentId, u64> {
    let mut uses = BTreeMap::new();
    for extent in extents {
        if let Some(segment) = extent.segment() {
            let count: &mut u64 = uses.entry(segment.id).or_default();
            *count = count.wrapping_add(segment_use::weight(extent));
        }
    }
    uses
}
