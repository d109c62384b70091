//! A checkpoint's transaction while it is being filled.

use bytes::Bytes;
use siltstone_log::{ChunkRow, PartitionId};
use siltstone_store::{KeyRange, Mutation, Snapshot, StoreError};

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

    pub(super) fn set(&mut self, key: Bytes, value: Vec<u8>) {
        self.bytes += value.len();
        self.mutations.push(Mutation::Set { key, value: value.into() });
    }
}

/// Whether a chunk takes so many more; none need no room.
pub(super) fn room(chunk: &ChunkRow, more: usize) -> bool {
    more > 0 && chunk.extents as usize + more <= PER_CHUNK
}
