//! Counting what a shard's chunks use of each segment, where that has not been done: after the feature level was raised, or because
//! an operator asked for it.
//!
//! ```text
//! clear all counts ▸ read all chunks ▸ write the sums ▸ say that the shard is counted
//! ```
//!
//! Chunks do not change meanwhile: only the holder of this lease writes new ones, and the compactor leaves uncounted shards alone. Whatever
//! stands in the way, the next round begins anew.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{Position, SegmentId, decode_extents};
use siltstone_store::{Commit, KeyRange, Mutation, Pages};

use super::batch::uses;
use super::rows::corrupt;
use super::{CheckpointError, Checkpointer};
use crate::bugs::{self, Bug};
use crate::keys::{extent_chunk, segment_use, shard_counted};
use crate::lease::Held;
use crate::shard::LEVEL_COMPACTION;

/// Counts in one transaction.
const PER_COMMIT: usize = 5_000;

impl Checkpointer {
    /// Makes sure that the shard is counted, if its feature level asks for it.
    pub(super) async fn count_uses(&mut self, held: &Held) -> Result<(), CheckpointError> {
        let level = self.shard.checkpoint_view(|state, _, _| state.head().level);
        if level.is_none_or(|level| level < LEVEL_COMPACTION) {
            return Ok(());
        }
        let snapshot = self.store.0.snapshot().await?;
        if snapshot.get(&shard_counted::key(self.shard.id())).await?.is_some() {
            return Ok(());
        }
        let range = segment_use::of_shard(self.shard.id());
        // The key is written, absent as it is: what writes chunks reads it, so that nothing from before can land from here on.
        let mut begin = vec![Mutation::ClearRange { range }];
        if !bugs::on(Bug::CountUnfenced) {
            begin.push(Mutation::Clear { key: shard_counted::key(self.shard.id()) });
        }
        self.write_counts(held, begin).await?;
        let sums: Vec<_> = self.sum_up().await?.into_iter().collect();
        for some in sums.chunks(PER_COMMIT) {
            let set = |(segment, sum): &(SegmentId, u64)| Mutation::Set {
                key: segment_use::key(self.shard.id(), *segment),
                value: Bytes::copy_from_slice(&sum.to_le_bytes()),
            };
            self.write_counts(held, some.iter().map(set).collect()).await?;
        }
        let key = shard_counted::key(self.shard.id());
        self.write_counts(held, vec![Mutation::Set { key, value: Bytes::new() }]).await
    }

    async fn write_counts(&self, held: &Held, mutations: Vec<Mutation>) -> Result<(), CheckpointError> {
        let snapshot = self.store.0.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(CheckpointError::LeaseLost);
        }
        let (read_version, mut reads) = (Some(snapshot.version()), held.reads());
        if !bugs::on(Bug::CountsUnread) {
            // Each count begins and ends by writing it: what an earlier one sent, and gave up, can't land in the middle of this one or behind it.
            reads.push(KeyRange::key(shard_counted::key(self.shard.id())));
        }
        self.store.0.commit(Commit { read_version, reads, mutations, ..Commit::default() }).await?;
        Ok(())
    }

    /// What all chunks of the shard use.
    async fn sum_up(&self) -> Result<BTreeMap<SegmentId, u64>, CheckpointError> {
        let shard = self.shard.id();
        let mut sums: BTreeMap<SegmentId, u64> = BTreeMap::new();
        let mut pages = Pages::of(extent_chunk::of_shard(shard));
        while let Some(page) = pages.next_fresh(self.store.0.as_ref()).await? {
            for (key, value) in &page {
                let Some((partition, _)) = extent_chunk::parse(key) else { continue };
                let extents = decode_extents(value)
                    .map_err(|error| corrupt(shard, Position::ZERO, partition, error))?;
                for (segment, some) in uses(extents.iter()) {
                    let sum = sums.entry(segment).or_default();
                    *sum = sum.wrapping_add(some);
                }
            }
        }
        Ok(sums)
    }
}
