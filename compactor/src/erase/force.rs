//! Finding what segments on the list are still needed for.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use siltstone_log::{PartitionId, SegmentId, ShardId, decode_extents};
use siltstone_metadata::keys::{extent_chunk, segment_use};
use siltstone_store::Pages;

use super::{EraseJobError, Hiding};
use crate::context::Context;
use crate::plan::merge::Input;

/// Reads under way at once.
const AT_ONCE: usize = 32;

impl Context {
    /// Extents of a shard that lie in segments on the list, up to about `most` of them; only of partitions that `wanted` says yes to.
    ///
    /// # Errors
    /// See [`EraseJobError`].
    pub async fn extents_to_move(
        &self,
        shard: ShardId,
        hiding: &Hiding,
        most: usize,
        wanted: impl Fn(PartitionId) -> bool,
    ) -> Result<Vec<Input>, EraseJobError> {
        let used = self.used(shard, hiding).await?;
        let mut inputs = Vec::new();
        if used.is_empty() {
            return Ok(inputs);
        }
        let mut ordinals: BTreeMap<PartitionId, u32> = BTreeMap::new();
        let mut pages = Pages::of(extent_chunk::of_shard(shard));
        while inputs.len() < most
            && let Some(page) = pages.next_fresh(self.store.as_ref()).await?
        {
            for (key, value) in &page {
                let Some((partition, _)) = extent_chunk::parse(key) else { continue };
                let next = ordinals.entry(partition).or_default();
                for extent in decode_extents(value)? {
                    let ordinal = *next;
                    *next += 1;
                    let there = extent.segment().is_some_and(|segment| used.contains(&segment.id));
                    if there && wanted(partition) {
                        inputs.push(Input { shard, partition, ordinal, extent });
                    }
                }
            }
        }
        Ok(inputs)
    }

    /// Segments on the list that the shard uses.
    async fn used(&self, shard: ShardId, hiding: &Hiding) -> Result<BTreeSet<SegmentId>, EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        let snapshot = snapshot.as_ref();
        let concerned = hiding.dirty.iter().filter(|(_, dirty)| dirty.shards.contains(shard));
        let reads: Vec<_> = concerned
            .map(|(id, _)| {
                let (id, key) = (*id, segment_use::key(shard, *id));
                async move { (id, snapshot.get(&key).await) }
            })
            .collect();
        let mut answers = futures::stream::iter(reads).buffered(AT_ONCE);
        let mut used = BTreeSet::new();
        while let Some((id, value)) = answers.next().await {
            let value = value?;
            if value.is_some_and(|value| segment_use::decode(&value) != Some((0, 0))) {
                used.insert(id);
            }
        }
        Ok(used)
    }
}
