//! From an offset to the extents that hold it and what follows.

use std::sync::Arc;

use siltstone_log::{Extent, PartitionId};
use siltstone_metadata::rows;
use siltstone_metadata::shard::{Lookup, PartitionState};

use super::error::FetchError;
use super::reader::{Bounds, Reader};

/// Extents that one look takes, at most.
const EXTENTS: usize = 64;

/// What one look at a partition's state gave.
pub(super) enum Located {
    /// These hold the offset and what follows, as many as were asked for or fit one look.
    Extents(Vec<Extent>),
    /// In rows.
    Rows,
    /// Nothing is there yet.
    End,
    /// Not in the range, as far as this agent knows.
    OutOfRange,
}

/// Extents from `offset` on, of about `bytes` together.
pub(super) fn in_state(state: &PartitionState, offset: i64, bytes: u64) -> (Bounds, Located) {
    let bounds = Bounds {
        log_start: state.log_start(),
        high_watermark: state.next(),
        last_stable: state.last_stable(),
    };
    let located = match state.lookup(offset) {
        Lookup::OutOfRange => Located::OutOfRange,
        Lookup::End => Located::End,
        Lookup::Rows => Located::Rows,
        Lookup::Extent(_) => Located::Extents(held_from(state, offset, bytes)),
    };
    (bounds, located)
}

/// Extents of the fold that end behind `offset`, of about `bytes` together.
fn held_from(state: &PartitionState, offset: i64, bytes: u64) -> Vec<Extent> {
    let held = state.extents();
    let first = held.partition_point(|held| held.extent.end() <= offset);
    enough(held.range(first..).map(|held| held.extent), bytes)
}

fn enough(extents: impl Iterator<Item = Extent>, bytes: u64) -> Vec<Extent> {
    let mut sum = 0;
    let mut taken = Vec::new();
    for extent in extents.take(EXTENTS) {
        taken.push(extent);
        sum += u64::from(extent.length);
        if sum >= bytes.saturating_add(u64::from(extent.length)) {
            break;
        }
    }
    taken
}

impl Reader {
    /// Extents from rows, or those of the fold if compaction left nothing from `offset` on in rows; and whether they are from rows.
    pub(super) async fn in_rows_or_behind(
        &self,
        partition: PartitionId,
        offset: i64,
        bytes: u64,
    ) -> Result<(Vec<Extent>, bool), FetchError> {
        let found = self.in_rows(partition, offset, bytes).await?;
        if !found.is_empty() {
            return Ok((found, true));
        }
        Ok((self.state(partition, |state| held_from(state, offset, bytes)).await?, false))
    }

    /// Extents from rows: the one that holds `offset`, or the next one where compaction left a gap.
    pub(super) async fn in_rows(
        &self,
        partition: PartitionId,
        offset: i64,
        bytes: u64,
    ) -> Result<Vec<Extent>, FetchError> {
        let chunk = match self.chunks.find(partition, offset) {
            Some(kept) => kept,
            None => {
                let shard = self.followers.of(partition).id();
                let snapshot = self.store.snapshot().await?;
                let read: Arc<[Extent]> =
                    rows::chunk_at(snapshot.as_ref(), shard, partition, offset).await?.into();
                self.chunks.keep(partition, Arc::clone(&read));
                read
            }
        };
        let first = chunk.partition_point(|extent| extent.end() <= offset);
        Ok(enough(chunk[first..].iter().copied(), bytes))
    }
}
