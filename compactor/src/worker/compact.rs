//! Compaction by key, as a step of a pass.

use std::collections::BTreeMap;

use siltstone_configs::TopicConfig;
use siltstone_log::{PartitionId, ShardId, TopicRow};
use siltstone_metadata::catalog::CatalogState;
use tokio::time::Instant;

use super::Worker;
use super::jobs::{DAMAGED, config, told};
use crate::compact::job::{CompactError, Topic};
use crate::compact::plan::Plan;
use crate::compact::round::{Outcome, RoundError};
use crate::compact::sink::SinkError;
use crate::compact::source::SourceError;
use crate::publish::PublishError;
use crate::telemetry;

/// A partition whose round has failed is looked at again after so long, ms, or once something has come in.
const AGAIN_MS: i64 = 60_000;

/// What was found at the last look at a partition: there is no need for another one until something has changed, or the time has come.
#[derive(Debug, Clone)]
pub(super) struct Looked {
    seen: u64,
    /// What the topic's configs came to.
    config: TopicConfig,
    at: Instant,
    until: Option<i64>,
}

impl Worker {
    /// Compacts what is due by key.
    pub(super) async fn compact(&mut self, catalog: &CatalogState) {
        let mut configs: BTreeMap<_, TopicConfig> = BTreeMap::new();
        let mut due = Vec::new();
        for (shard, view) in &self.views {
            for partition in view.partitions.keys() {
                let Some(topic) = catalog.by_id(partition.topic) else { continue };
                let fixed = &self.cx.settings.configs;
                let config =
                    configs.entry(partition.topic).or_insert_with(|| config(catalog, fixed, &topic.configs));
                if config.cleanup.compact && !self.damaged.contains_key(partition) {
                    due.push((*shard, *partition));
                }
            }
        }
        let live: std::collections::BTreeSet<PartitionId> =
            due.iter().map(|(_, partition)| *partition).collect();
        self.looked.retain(|partition, _| live.contains(partition));
        for (shard, partition) in due {
            let (Some(row), Some(config)) = (catalog.by_id(partition.topic), configs.get(&partition.topic))
            else {
                continue;
            };
            if !self.compact_one(shard, partition, row, config).await {
                return;
            }
        }
    }

    /// Looks at a partition, and does a round if one is due. Whether to go on with others.
    async fn compact_one(
        &mut self,
        shard: ShardId,
        partition: PartitionId,
        row: &TopicRow,
        config: &TopicConfig,
    ) -> bool {
        let Some(held) = self.leases.held().get(&shard).copied() else { return true };
        if self.cx.hiding().waits(partition) {
            return true;
        }
        let view = self.views.get(&shard).and_then(|view| view.partitions.get(&partition));
        let Some(view) = view.filter(|view| self.worth_a_look(partition, view.seen, config)) else {
            return true;
        };
        let (plan, seen) = (self.cx.compaction(shard, partition, view, config).await, view.seen);
        match plan {
            Ok(Plan::Nothing { until, .. }) => {
                let config = config.clone();
                self.looked.insert(partition, Looked { seen, config, at: Instant::now(), until });
                true
            }
            Ok(Plan::Round(plan)) => {
                let topic = Topic { row, config };
                tracing::info!(topic = row.name, partition = partition.index, why = plan.why, "compaction");
                let round = self.cx.compact(held, shard, partition, &topic, &plan);
                let result = self.leases.beating(round).await.map_err(Box::new);
                self.published(shard, partition);
                self.looked.remove(&partition);
                if result.is_err() {
                    // Others have their turn first.
                    let until = Some(self.cx.ambient.clock.now().saturating_add(AGAIN_MS));
                    let config = config.clone();
                    self.looked.insert(partition, Looked { seen, config, at: Instant::now(), until });
                }
                self.compacted(shard, partition, row, result)
            }
            Err(error) => {
                told("compaction", shard, &error);
                true
            }
        }
    }

    fn worth_a_look(&self, partition: PartitionId, seen: u64, config: &TopicConfig) -> bool {
        let Some(looked) = self.looked.get(&partition) else { return true };
        if looked.config != *config {
            return true;
        }
        // What a merge has just changed is looked at in the next pass.
        let changed = looked.seen != seen && looked.at.elapsed() >= self.cx.settings.compact.look;
        seen != 0 && (changed || looked.until.is_some_and(|until| until <= self.cx.ambient.clock.now()))
    }

    fn compacted(
        &mut self,
        shard: ShardId,
        partition: PartitionId,
        row: &TopicRow,
        result: Result<Outcome, Box<CompactError>>,
    ) -> bool {
        let (topic, index) = (&row.name, partition.index);
        match result {
            Ok(Outcome::Done(report)) => {
                telemetry::job("compaction", "done");
                telemetry::compacted(report.freed);
                tracing::info!(topic, partition = index, ?report, "compacted");
                true
            }
            Ok(Outcome::Changed(_)) => {
                telemetry::job("compaction", "changed");
                true
            }
            Err(error) => {
                telemetry::job("compaction", "failed");
                self.failed(shard, partition, &error);
                tracing::warn!(topic, partition = index, %error, "a compaction was not completed");
                self.leases.held().contains_key(&shard)
            }
        }
    }

    fn failed(&mut self, shard: ShardId, partition: PartitionId, error: &CompactError) {
        match error {
            RoundError::Publish(SinkError::Publish(PublishError::LeaseLost(_))) => {
                self.leases.lost(shard);
                self.views.remove(&shard);
            }
            RoundError::Clean(_) | RoundError::Stuck(_) | RoundError::Read(SourceError::Damaged { .. }) => {
                self.damaged.insert(partition, Instant::now() + DAMAGED);
            }
            RoundError::Read(_) | RoundError::Publish(_) => {}
        }
    }
}
