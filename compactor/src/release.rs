//! Giving up extents that nobody may read any more: those before a log start, and those of deleted topics.

use siltstone_log::{Extent, PartitionId, ShardId, TopicId, decode_extents};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::checkpoint::uses;
use siltstone_metadata::keys::{condemned_topic, extent_chunk, segment_use};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, KeyRange, Mutation, RangeLimit};

use crate::context::Context;
use crate::merge::build::{Erased, Run};
use crate::publish::PublishError;
use crate::scan::{Chunks, ScanError};

/// Extents that one transaction gives up, at most.
const AT_ONCE: usize = 2_000;
/// Chunks of a deleted topic that one transaction clears.
const CHUNKS: usize = 16;

/// Why extents could not be given up.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReleaseError {
    /// They could not be read.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The transaction did not get through.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl From<siltstone_store::StoreError> for ReleaseError {
    fn from(error: siltstone_store::StoreError) -> Self {
        ReleaseError::Publish(error.into())
    }
}

impl Context {
    /// Gives up a partition's extents that lie wholly before its log start. Returns how many.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub async fn release_trimmed(
        &self,
        held: &Held,
        shard: ShardId,
        partition: PartitionId,
        log_start: i64,
    ) -> Result<usize, ReleaseError> {
        let mut released = 0;
        let mut chunks = Chunks::from(self.store.as_ref(), shard, partition, 0);
        let mut old: Vec<Extent> = Vec::new();
        loop {
            let chunk = chunks.next().await?.unwrap_or_default();
            let before = chunk.iter().take_while(|extent| extent.end() <= log_start).count();
            old.extend(&chunk[..before]);
            let last = before < chunk.len() || chunk.is_empty();
            if old.len() >= AT_ONCE || last && !old.is_empty() {
                let run = Run {
                    shard,
                    partition,
                    old: std::mem::take(&mut old),
                    new: Vec::new(),
                    erased: Erased::new(),
                };
                released += run.old.len();
                self.publish(held, shard, None, &[run]).await?;
            }
            if last {
                return Ok(released);
            }
        }
    }

    /// Clears what is left of deleted topics in a shard. Returns how many extents.
    ///
    /// # Errors
    /// See [`ReleaseError`].
    pub async fn release_condemned(&self, held: &Held, shard: ShardId) -> Result<usize, ReleaseError> {
        let snapshot = self.store.snapshot().await?;
        let page = snapshot.range(&condemned_topic::of_shard(shard), RangeLimit::default()).await?;
        let mut released = 0;
        for topic in page.entries.iter().filter_map(|(key, _)| condemned_topic::parse(key)) {
            while let Some(some) = self.release_some(held, shard, topic).await? {
                released += some;
            }
        }
        Ok(released)
    }

    /// One transaction's worth of a deleted topic. `None`: that was all.
    async fn release_some(
        &self,
        held: &Held,
        shard: ShardId,
        topic: TopicId,
    ) -> Result<Option<usize>, ReleaseError> {
        let snapshot = self.store.snapshot().await?;
        let mut draft = self.draft(held, shard, None, snapshot.as_ref()).await?;
        let all = extent_chunk::of_topic(shard, topic);
        let limit = RangeLimit { entries: CHUNKS, ..RangeLimit::default() };
        let page = snapshot.range(&all, limit).await?;
        let mut released = 0;
        match page.entries.last() {
            None => draft.mutations.push(Mutation::Clear { key: condemned_topic::key(shard, topic) }),
            Some((last, _)) => {
                let range = KeyRange { begin: all.begin, end: KeyRange::key(last.clone()).end };
                draft.reads.push(range.clone());
                draft.mutations.push(Mutation::ClearRange { range });
            }
        }
        for (_, value) in &page.entries {
            let extents = decode_extents(value).map_err(PublishError::from)?;
            released += extents.len();
            let given = uses(extents.iter()).into_iter();
            let times = if bugs::on(Bug::CondemnedTwice) { 2 } else { 1 };
            let given =
                given.map(|(id, n)| segment_use::add(shard, id, n.wrapping_mul(times).wrapping_neg()));
            draft.mutations.extend(given);
        }
        let (read_version, reads) = (Some(snapshot.version()), draft.reads);
        let commit = Commit { read_version, reads, mutations: draft.mutations, ..Commit::default() };
        self.store.commit(commit).await.map_err(PublishError::from)?;
        Ok((!page.entries.is_empty()).then_some(released))
    }
}
