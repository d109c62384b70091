//! A checkpoint's transaction while it is being filled.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{ChunkRow, Extent, PartitionId, SegmentId, ShardId};
use siltstone_store::{Commit, KeyRange, Mutation, Snapshot, StoreError, Version};

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
    /// What is added to the uses of segments, by the transaction as a whole: partitions of a shard mostly lie in the same segments.
    uses: BTreeMap<SegmentId, u64>,
}

impl Batch {
    /// Empty; lands only while nobody has changed what these ranges hold.
    pub(super) fn resting_on(reads: Vec<KeyRange>) -> Self {
        Batch { reads, ..Batch::default() }
    }

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
    pub(super) fn count(&mut self, extents: &[Extent]) {
        self.add_uses(extents, |n| n);
    }

    /// Takes off what these extents used.
    pub(super) fn uncount(&mut self, extents: &[Extent]) {
        self.add_uses(extents, u64::wrapping_neg);
    }

    fn add_uses(&mut self, extents: &[Extent], sign: fn(u64) -> u64) {
        for (segment, n) in uses(extents.iter()) {
            let sum = self.uses.entry(segment).or_default();
            *sum = sum.wrapping_add(sign(n));
        }
    }

    /// The transaction, of this shard, as far as it is filled.
    pub(super) fn commit(self, shard: ShardId, read_version: Version) -> Commit {
        let Batch { reads, mut mutations, uses, .. } = self;
        mutations.extend(uses.into_iter().map(|(segment, n)| segment_use::add(shard, segment, n)));
        Commit { read_version: Some(read_version), reads, mutations, ..Commit::default() }
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
