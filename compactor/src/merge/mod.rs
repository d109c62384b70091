//! Merging: many small pieces of partitions become few large ones.
//!
//! A merge that finds damage leaves the damaged partition alone and does the rest. What a merge has stored and could not publish is reclaimed
//! like any segment that nobody uses.

pub mod build;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{Extent, PartitionId, ShardId};
use siltstone_metadata::lease::Held;
use siltstone_objects::{PutError, ReadError};
use tokio::time::Instant;

use crate::context::Context;
use crate::erase::Hiding;
use crate::gather::Gathered;
use crate::plan::merge::Input;
use crate::publish::PublishError;
use crate::telemetry;
use build::{BuildRules, Built, SegmentBuilder};

/// How long the upload of one segment is tried.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// Less than this is built on the spot.
const LARGE: u64 = 1 << 20;

/// Why a merge did not come to its end.
#[derive(Debug, Clone, thiserror::Error)]
pub enum MergeError {
    /// Not published, or not all of it.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// What is to be merged can't be read now.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The segment could not be stored.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The work was interrupted: the process ends.
    #[error("interrupted")]
    Interrupted,
}

/// What a merge did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Merged {
    /// Runs of extents that are replaced.
    pub runs: usize,
    /// Bytes of the segment.
    pub bytes: u64,
    /// Partitions that were left out, and why.
    pub damaged: BTreeMap<PartitionId, String>,
}

/// What came of building.
enum Attempt {
    Built(Option<Built>),
    Damaged(PartitionId, String),
}

fn build(
    inputs: &[Input],
    gathered: &mut Gathered,
    without: &BTreeMap<PartitionId, String>,
    hiding: &Hiding,
    mut builder: SegmentBuilder,
) -> Attempt {
    let mut last: Option<&Input> = None;
    for input in inputs.iter().filter(|input| !without.contains_key(&input.partition)) {
        let follows = last.is_some_and(|last| {
            (last.shard, last.partition, last.ordinal + 1) == (input.shard, input.partition, input.ordinal)
        });
        if !follows {
            builder.begin_run(input.shard, input.partition);
            builder.hide(hiding.of(input.partition));
        }
        let bytes = match gathered.bytes(&input.extent) {
            Ok(bytes) => bytes,
            Err(error) => return Attempt::Damaged(input.partition, error.to_string()),
        };
        if let Err(what) = builder.extent(&input.extent, &bytes) {
            let place = input.extent.segment().map(|segment| segment.id.object_name()).unwrap_or_default();
            return Attempt::Damaged(input.partition, format!("object {place}: {what}"));
        }
        last = Some(input);
    }
    Attempt::Built(builder.finish())
}

impl Context {
    /// Does one batch of a merge.
    ///
    /// # Errors
    /// See [`MergeError`].
    pub async fn merge(
        &self,
        holds: &BTreeMap<ShardId, Held>,
        inputs: &[Input],
        level: u8,
    ) -> Result<Merged, MergeError> {
        let mut merged = Merged::default();
        let hiding = self.hiding();
        let gathered = self.gather(inputs.iter().map(|input| &input.extent)).await;
        for input in inputs {
            match gathered.failed(&input.extent) {
                None => {}
                Some(error @ (ReadError::NotFound { .. } | ReadError::Corrupt { .. })) => {
                    merged.damaged.entry(input.partition).or_insert_with(|| error.to_string());
                }
                // No damage: the object store does not answer.
                Some(error) => return Err(error.clone().into()),
            }
        }
        let built = self.build(inputs.to_vec(), gathered, level, &hiding, &mut merged.damaged).await?;
        let Some(built) = built else {
            return Ok(merged);
        };
        let Built { place, chunks, runs } = built;
        self.limiter.request(place.length).await;
        self.objects.put(&place.id.object_name(), chunks, Instant::now() + PATIENCE).await?;
        telemetry::written(level, place.length);
        merged.bytes = place.length;
        let shards: BTreeSet<ShardId> = runs.iter().map(|run| run.shard).collect();
        self.announce(&place, shards.iter().copied(), &hiding).await?;
        let mut failed = None;
        for some in runs.chunk_by(|a, b| a.shard == b.shard) {
            let shard = some[0].shard;
            let done = match holds.get(&shard) {
                Some(held) => self.publish(held, shard, Some(place.id), some).await,
                None => Err(PublishError::LeaseLost(shard)),
            };
            match done {
                Ok(count) => merged.runs += count,
                Err(error) => failed = Some(error),
            }
        }
        // Behind this nothing of a try whose outcome is not known can land any more.
        self.conclude(&place, shards).await?;
        match failed {
            None => {
                telemetry::merged(level, inputs.iter().map(|input| input.extent.stored_bytes()).sum());
                Ok(merged)
            }
            Some(error) => Err(error.into()),
        }
    }

    async fn build(
        &self,
        inputs: Vec<Input>,
        gathered: Gathered,
        level: u8,
        hiding: &Arc<Hiding>,
        damaged: &mut BTreeMap<PartitionId, String>,
    ) -> Result<Option<Built>, MergeError> {
        let settings = &self.settings;
        let rules =
            BuildRules { block_bytes: settings.merge.block_bytes, compression: settings.compression, level };
        let (id, at) = (self.next_segment(), self.ambient.clock.now());
        let bytes: u64 = inputs.iter().map(|input| input.extent.stored_bytes()).sum();
        let (known, hiding) = (damaged.clone(), Arc::clone(hiding));
        let work = move || {
            let (mut gathered, mut damaged) = (gathered, known);
            loop {
                let builder = SegmentBuilder::new(id, at, rules);
                match build(&inputs, &mut gathered, &damaged, &hiding, builder) {
                    Attempt::Built(built) => return (built, damaged),
                    Attempt::Damaged(partition, why) => damaged.insert(partition, why),
                };
            }
        };
        let (built, found) = if bytes < LARGE {
            work()
        } else {
            tokio::task::spawn_blocking(work).await.map_err(|_| MergeError::Interrupted)?
        };
        damaged.extend(found);
        Ok(built)
    }
}

/// Bytes of extents as they are stored.
pub fn stored(extents: &[Extent]) -> u64 {
    extents.iter().map(Extent::stored_bytes).sum()
}
