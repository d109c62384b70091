//! What a pass does, step by step. A step that fails is told of, and is tried again in the next pass.

use std::collections::BTreeMap;
use std::time::Duration;

use siltstone_configs::{BrokerLayers, Overrides, TopicConfig};
use siltstone_log::{PartitionId, ShardId};
use siltstone_metadata::catalog::CatalogState;
use tokio::time::Instant;

use super::Worker;
use crate::merge::MergeError;
use crate::plan::merge::{self, Merge};
use crate::plan::release::{self, Trimmed};
use crate::publish::PublishError;
use crate::retain::Trims;
use crate::scan;
use crate::telemetry;
use crate::view::Class;

/// A damaged partition is looked at again after so long.
pub(super) const DAMAGED: Duration = Duration::from_secs(600);
/// Merges of one pass, at most: then the leases show life, and retention has its turn.
const MERGES: usize = 8;

/// The configs of a topic, as the compactor sees them.
pub(crate) fn config(catalog: &CatalogState, fixed: &Overrides, topic: &Overrides) -> TopicConfig {
    let nothing = Overrides::new();
    let cluster = catalog.broker("").map_or(&nothing, |configs| configs.as_ref());
    TopicConfig::resolve(topic, BrokerLayers { broker: &nothing, cluster, fixed })
}

impl Worker {
    /// Reads what is new.
    pub(super) async fn scan(&mut self) {
        let rules = self.cx.settings.merge;
        let hiding = self.look_at_erasures().await;
        let shards: Vec<ShardId> = self.leases.held().keys().copied().collect();
        for shard in shards {
            let view = self.views.entry(shard).or_default();
            if let Err(error) = scan::shard(self.cx.store.as_ref(), shard, view, &rules).await {
                // What is there in part is not planned by.
                self.views.remove(&shard);
                told("scan", shard, &error);
            }
        }
        if let Some(mut hiding) = hiding {
            hiding.take_in(&self.views);
            self.cx.hide(hiding);
        }
    }

    pub(super) fn published(&mut self, shard: ShardId, partition: PartitionId) {
        if let Some(view) = self.views.get_mut(&shard).and_then(|view| view.partitions.get_mut(&partition)) {
            view.seen = 0;
        }
    }

    /// Gives up what nobody may read.
    pub(super) async fn release(&mut self) {
        for due in release::trimmed(&self.views) {
            let Trimmed { shard, partition, log_start } = due;
            let Some(held) = self.leases.held().get(&shard).copied() else { continue };
            match self.cx.release_trimmed(&held, shard, partition, log_start).await {
                Ok(_) => self.published(shard, partition),
                Err(error) => told("release", shard, &error),
            }
        }
        let held: Vec<_> = self.leases.held().iter().map(|(shard, held)| (*shard, *held)).collect();
        for (shard, held) in held {
            if let Err(error) = self.cx.release_condemned(&held, shard).await {
                told("release", shard, &error);
            }
        }
    }

    /// Raises log starts.
    pub(super) async fn retain(&mut self, catalog: &CatalogState) {
        let mut configs = BTreeMap::new();
        for (shard, view) in &self.views {
            let Some(held) = self.leases.held().get(shard).copied() else { continue };
            let mut trims = Trims::new();
            for (partition, view) in &view.partitions {
                let Some(topic) = catalog.by_id(partition.topic) else { continue };
                let config = configs
                    .entry(partition.topic)
                    .or_insert_with(|| config(catalog, &self.cx.settings.configs, &topic.configs));
                match self.cx.retention(*shard, *partition, view, config).await {
                    Ok(Some(trim)) => trims.entry(partition.topic).or_default().push(trim),
                    Ok(None) => {}
                    Err(error) => told("retention", *shard, &error),
                }
            }
            for (topic, trims) in &trims {
                let Some(row) = catalog.by_id(*topic) else { continue };
                for some in trims.chunks(500) {
                    match self.cx.trim(&held, *shard, row, some).await {
                        Ok(true) => {
                            telemetry::retained(some.len() as u64);
                            let (trim, name) = (&some[0], &row.name);
                            tracing::info!(topic = name, partitions = some.len(), why = %trim.reason, "retention");
                        }
                        Ok(false) => {}
                        Err(error) => told("retention", *shard, &error),
                    }
                }
            }
        }
    }

    /// Merges what is due.
    pub(super) async fn merge(&mut self) {
        let now = Instant::now();
        for partition in
            self.damaged.iter().filter(|(_, until)| **until <= now).map(|(partition, _)| partition)
        {
            // Its extents were taken from the view: they are read again.
            let views = self.views.values_mut().filter_map(|view| view.partitions.get_mut(partition));
            views.for_each(|view| view.seen = 0);
        }
        self.damaged.retain(|_, until| *until > now);
        for _ in 0..MERGES {
            let Some(plan) = self.plan_merge() else { return };
            tracing::info!(level = plan.level, segments = plan.batches.len(), why = %plan.why, "merge");
            for batch in &plan.batches {
                if !self.merge_batch(batch, plan.level).await {
                    return;
                }
            }
            self.waiting = None;
            self.scan().await;
        }
    }

    /// The merge that is due, without partitions that are damaged.
    fn plan_merge(&mut self) -> Option<Merge> {
        let hiding = self.cx.hiding();
        for view in self.views.values_mut() {
            for (partition, view) in &mut view.partitions {
                if self.damaged.contains_key(partition) || hiding.waits(*partition) {
                    view.candidates.clear();
                }
            }
        }
        let rules = &self.cx.settings.merge;
        let flushed = merge::backlog(&self.views, Class::Flushed, rules).extents > 0;
        let since = flushed.then(|| *self.waiting.get_or_insert_with(Instant::now));
        self.waiting = since;
        let waited = since.map_or(Duration::ZERO, |since| since.elapsed());
        merge::plan(&self.views, waited, rules)
    }

    /// Merges one batch. Whether to go on.
    pub(super) async fn merge_batch(&mut self, batch: &[merge::Input], level: u8) -> bool {
        let result = self.cx.merge(self.leases.held(), batch, level).await;
        for input in batch {
            self.published(input.shard, input.partition);
        }
        match result {
            Ok(merged) => {
                telemetry::job("merge", "done");
                for (partition, why) in merged.damaged {
                    tracing::error!(?partition, %why, "not merged: damaged");
                    self.damaged.insert(partition, Instant::now() + DAMAGED);
                }
                self.leases.beat().await.is_ok()
            }
            Err(MergeError::Publish(PublishError::Erasing)) => {
                telemetry::job("merge", "changed");
                false
            }
            Err(error) => {
                telemetry::job("merge", "failed");
                if let MergeError::Publish(PublishError::LeaseLost(shard)) = &error {
                    self.leases.lost(*shard);
                    self.views.remove(shard);
                }
                tracing::warn!(%error, "a merge was not completed");
                false
            }
        }
    }

    /// Deletes what nobody needs.
    pub(super) async fn reclaim(&mut self) {
        let Some(held) = self.leases.reclaims() else {
            self.reclaimer = Default::default();
            return;
        };
        match self.reclaimer.pass(&self.cx, &held).await {
            Ok(done) => {
                if done != Default::default() {
                    let crate::reclaim::Reclaimed { trashed, deleted, orphans } = done;
                    tracing::info!(trashed, deleted, orphans, "reclaim");
                }
            }
            Err(error) => tracing::warn!(%error, "reclaim was not completed"),
        }
    }
}

pub(super) fn told(step: &'static str, shard: ShardId, error: &dyn std::fmt::Display) {
    telemetry::job(step, "failed");
    tracing::warn!(shard = shard.0, %error, "{step} was not completed");
}
