//! Retention: raising log starts. What lies before them is given up by `release` once the rows say so.

use std::collections::BTreeMap;

use siltstone_configs::TopicConfig;
use siltstone_log::{Entry, PartitionId, ShardId, TopicRow};
use siltstone_metadata::keys::{broker_configs, shard_log, shard_tick, topic_name};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, CommitError, KeyRange};

use crate::context::Context;
use crate::plan::retention::{Cut, Reason};
use crate::publish::PublishError;
use crate::scan::{Chunks, ScanError};
use crate::view::PartitionView;

/// A log start that is to be raised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Trim {
    /// Of which partition.
    pub partition: PartitionId,
    /// The first offset that stays.
    pub offset: i64,
    /// Why.
    pub reason: Reason,
}

impl Context {
    /// What retention asks for in a partition.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub async fn retention(
        &self,
        shard: ShardId,
        partition: PartitionId,
        view: &PartitionView,
        config: &TopicConfig,
    ) -> Result<Option<Trim>, ScanError> {
        // What a trim has passed is given up first: until then it would count once more.
        let first = view.first.filter(|first| config.cleanup.delete && first.end() > view.log_start);
        let Some(first) = first else { return Ok(None) };
        let mut size = view.bytes.saturating_sub(first.bytes_before);
        if config.cleanup.compact && config.retention_bytes.is_some_and(|limit| size > limit) {
            // Compaction has taken some of it away.
            size = self.size(shard, partition).await?;
        }
        let Some(mut cut) = Cut::begin(view, size, config, self.ambient.clock.now()) else { return Ok(None) };
        let mut chunks = Chunks::from(self.store.as_ref(), shard, partition, view.log_start);
        'all: while let Some(chunk) = chunks.next().await? {
            for extent in chunk.iter().filter(|extent| extent.end() > view.log_start) {
                if !cut.pass(extent) {
                    break 'all;
                }
            }
        }
        let trim = cut.end().map(|(offset, reason)| Trim { partition, offset, reason });
        Ok(trim.filter(|trim| trim.offset > view.log_start))
    }

    async fn size(&self, shard: ShardId, partition: PartitionId) -> Result<u64, ScanError> {
        let mut chunks = Chunks::from(self.store.as_ref(), shard, partition, 0);
        let mut sum = 0;
        while let Some(chunk) = chunks.next().await? {
            sum += chunk.iter().map(|extent| u64::from(extent.length)).sum::<u64>();
        }
        Ok(sum)
    }

    /// Raises log starts of one topic in one shard, if the topic is still as it was when that was planned. Whether it was.
    ///
    /// # Errors
    /// See [`PublishError`]. Trims may be sent again.
    pub async fn trim(
        &self,
        held: &Held,
        shard: ShardId,
        topic: &TopicRow,
        trims: &[Trim],
    ) -> Result<bool, PublishError> {
        let snapshot = self.store.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(PublishError::LeaseLost(shard));
        }
        let key = topic_name::key(&topic.name);
        let now = snapshot.get(&key).await?;
        if now.as_deref().map(TopicRow::decode).transpose()?.as_ref() != Some(topic) {
            return Ok(false);
        }
        let mut reads = held.reads();
        reads.push(KeyRange::key(key));
        reads.push(KeyRange::key(broker_configs::key("")));
        let entry = |(n, trim): (usize, &Trim)| {
            let Trim { partition, offset, .. } = *trim;
            shard_log::append(shard, n as u16, Entry::Trim { partition, offset }.encode())
        };
        let mut mutations: Vec<_> = trims.iter().enumerate().map(entry).collect();
        mutations.push(shard_tick::tick(shard));
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        match self.store.commit(commit).await {
            Ok(_) => Ok(true),
            Err(CommitError::Conflict) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// Trims, by topic.
pub type Trims = BTreeMap<siltstone_log::TopicId, Vec<Trim>>;
