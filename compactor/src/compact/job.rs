//! Compaction by key as a job on one partition: a look at what the store says, a plan, a round.

use bytes::Bytes;
use siltstone_configs::TopicConfig;
use siltstone_log::{CleanedRow, PartitionId, ShardId, TopicRow};
use siltstone_metadata::keys::{broker_configs, cleaned, topic_name};
use siltstone_metadata::lease::Held;
use siltstone_records::MAX_DECOMPRESSED;
use siltstone_store::StoreError;

use super::plan::{self, Partition, Plan, RoundPlan, Survey};
use super::round::{self, Limits, Outcome, RoundError};
use super::sink::{PartitionPieces, SinkError};
use super::source::{PartitionBatches, SourceError};
use crate::context::Context;
use crate::scan::{Chunks, ScanError};
use crate::view::PartitionView;

/// Why a round did not come to its end.
pub type CompactError = RoundError<SourceError, SinkError>;

/// A topic, and what its configs come to.
#[derive(Debug)]
pub struct Topic<'a> {
    /// Its row, as the catalog has it.
    pub row: &'a TopicRow,
    /// What holds for it.
    pub config: &'a TopicConfig,
}

impl Context {
    /// What there is to do with a partition.
    ///
    /// # Errors
    /// See [`ScanError`].
    pub async fn compaction(
        &self,
        shard: ShardId,
        partition: PartitionId,
        view: &PartitionView,
        config: &TopicConfig,
    ) -> Result<Plan, ScanError> {
        let snapshot = self.store.snapshot().await?;
        let row = snapshot.get(&cleaned::key(shard, partition)).await?;
        drop(snapshot);
        let row = row.map(|bytes| CleanedRow::decode(&bytes)).transpose();
        let cleaned = row.map_err(|error| ScanError::Format { shard, partition, error })?.unwrap_or_default();
        let PartitionView { log_start, next, last_stable, .. } = *view;
        let state = Partition { log_start, end: next, stable: last_stable, cleaned };
        if let Some(plan) = plan::at_once(config, &state) {
            return Ok(plan);
        }
        let mut survey = Survey::new(config, &state, self.ambient.clock.now());
        let mut chunks = Chunks::from(self.store.as_ref(), shard, partition, log_start);
        while let Some(chunk) = chunks.next().await? {
            if !chunk.iter().all(|extent| survey.add(extent)) {
                break;
            }
        }
        Ok(plan::plan(config, &self.settings.compact.plan, &state, &survey))
    }

    /// What the settings of a round are taken from, if the topic is still as the catalog had it.
    ///
    /// # Errors
    /// The store's.
    pub async fn compaction_settings(
        &self,
        topic: &TopicRow,
    ) -> Result<Option<Vec<(Bytes, Option<Bytes>)>>, StoreError> {
        let snapshot = self.store.snapshot().await?;
        let (name, configs) = (topic_name::key(&topic.name), broker_configs::key(""));
        let row = snapshot.get(&name).await?;
        let same = row.as_deref().and_then(|bytes| TopicRow::decode(bytes).ok()).as_ref() == Some(topic);
        let defaults = snapshot.get(&configs).await?;
        Ok(same.then(|| vec![(name, row), (configs, defaults)]))
    }

    /// Does a round, or goes on with one.
    ///
    /// # Errors
    /// See [`RoundError`].
    pub async fn compact(
        &self,
        held: Held,
        shard: ShardId,
        partition: PartitionId,
        topic: &Topic<'_>,
        plan: &RoundPlan,
    ) -> Result<Outcome, CompactError> {
        let settings = self.compaction_settings(topic.row).await;
        let settings = settings.map_err(|error| RoundError::Read(error.into()))?;
        let Some(settings) = settings else { return Ok(Outcome::Changed(round::Report::default())) };
        let hiding = self.hiding();
        let source = PartitionBatches { cx: self, shard, partition, hidden: hiding.of(partition).cloned() };
        let sink = PartitionPieces { cx: self, held, shard, partition, settings, hiding };
        let limits = Limits {
            map_bytes: self.settings.key_map_bytes,
            piece_bytes: self.settings.compact.piece_bytes,
            max_decompressed: MAX_DECOMPRESSED,
            level: None,
            longest_read_ms: u64::try_from(self.settings.grace.as_millis()).unwrap_or(u64::MAX),
        };
        let seed = self.ambient.chance.next();
        let seed = [(seed >> 64) as u64, seed as u64];
        let now = self.ambient.clock.now();
        round::run(&source, &sink, plan, &limits, topic.config.delete_retention_ms, now, seed).await
    }
}

#[cfg(test)]
#[path = "job_tests.rs"]
mod tests;
