//! Erasures, as steps of a pass.

use std::time::Duration;

use siltstone_log::{ErasureId, ErasureRow};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::lease::Held;
use tokio::time::Instant;

use super::Worker;
use super::jobs::told;
use crate::erase::{EraseJobError, Hiding};
use crate::plan::merge::{Input, in_batches};
use crate::telemetry;
use crate::view::TOP_LEVEL;

/// Extents that one pass moves out of segments on the list, at most.
const MOST: usize = 20_000;
/// How long one pass searches, for all erasures together, the oldest first: then leases show life, and merges have their turn.
const SEARCH: Duration = Duration::from_secs(20);

impl Worker {
    /// Learns what is being erased. Before rows are read: a row that is newer than this knows of all that this knows.
    pub(super) async fn look_at_erasures(&self) -> Option<Hiding> {
        match Hiding::read(self.cx.store.as_ref()).await {
            Ok(hiding) => Some(hiding),
            Err(error) => {
                // What was known stays right: nothing lands that was begun before a request which it doesn't know.
                tracing::debug!(%error, "what is being erased can't be read");
                None
            }
        }
    }

    /// Rewrites what other partitions, or other records, need of segments that must go.
    pub(super) async fn move_out(&mut self) {
        let hiding = self.cx.hiding();
        if hiding.dirty.is_empty() || bugs::on(Bug::NothingMovedOut) {
            return;
        }
        let mut inputs: Vec<Input> = Vec::new();
        for shard in self.shards() {
            let Some(view) = self.views.get(&shard) else { continue };
            let wanted = |partition| {
                view.partitions.contains_key(&partition)
                    && !self.damaged.contains_key(&partition)
                    && !hiding.waits(partition)
            };
            match self.cx.extents_to_move(shard, &hiding, MOST, wanted).await {
                Ok(some) => inputs.extend(some),
                Err(error) => told("erase", shard, &error),
            }
            if inputs.len() >= MOST {
                break;
            }
        }
        let batches = in_batches(inputs, &self.cx.settings.merge);
        if !batches.is_empty() {
            tracing::info!(
                segments = hiding.dirty.len(),
                merges = batches.len(),
                "moved out of segments that hold what is erased"
            );
        }
        for batch in batches {
            if !self.merge_batch(&batch, TOP_LEVEL).await {
                return;
            }
        }
    }

    /// Searches, and ends what is done; only whoever reclaims.
    pub(super) async fn erase(&mut self) {
        let Some(held) = self.leases.reclaims() else { return };
        let mut unfinished = self.cx.hiding().unfinished.clone();
        unfinished.sort_by_key(|(_, row)| row.stamp);
        let until = Instant::now() + SEARCH;
        for (id, row) in unfinished {
            let result = async {
                self.search(&held, id, row, until).await?;
                self.cx.finish(&held, id).await
            };
            match result.await {
                Ok(ended) => telemetry::job("erase", if ended { "done" } else { "step" }),
                Err(error) => {
                    telemetry::job("erase", "failed");
                    tracing::warn!(erasure = %id, %error, "a step of an erasure was not done");
                }
            }
        }
    }

    async fn search(
        &self,
        held: &Held,
        id: ErasureId,
        row: ErasureRow,
        until: Instant,
    ) -> Result<(), EraseJobError> {
        let mut row = row;
        while Instant::now() < until
            && let Some(next) = self.leases.beating(self.cx.search(held, id, &row)).await?
        {
            row = next;
        }
        Ok(())
    }
}
