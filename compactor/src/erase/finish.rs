//! The end of an erasure: its objects are gone.

use std::collections::BTreeSet;

use siltstone_log::{Entry, ErasedObject, ErasureId, ErasureRow, ErasureScan, SegmentId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::erase;
use siltstone_metadata::keys::{erasure, segment_row, topic_id};
use siltstone_metadata::lease::Held;
use siltstone_store::{Mutation, Pages, Snapshot};

use super::EraseJobError;
use crate::context::Context;
use crate::reclaim::trash;

/// Objects that one transaction notes as deleted, at most.
const PER_COMMIT: usize = 500;
/// Between the last deletion and the end, milliseconds: an agent may remember for some seconds where extents were, and have read the bytes before. Twice
/// that.
const SETTLE_MS: i64 = 10_000;

/// What is left of an erasure.
struct Left {
    /// Objects that are still there.
    there: usize,
    /// When the last one was known to be gone, milliseconds since the Unix epoch.
    last: i64,
}

impl Context {
    /// Notes which of an erasure's objects are gone, and ends it once all are. Whether it has ended.
    ///
    /// # Errors
    /// See [`EraseJobError`].
    pub async fn finish(&self, held: &Held, id: ErasureId) -> Result<bool, EraseJobError> {
        let left = self.note_deleted(held, id).await?;
        let snapshot = self.store.snapshot().await?;
        let row = erase::row(snapshot.as_ref(), id).await?;
        let now = self.ambient.clock.now();
        let settled = now.saturating_sub(left.last) >= SETTLE_MS;
        let gone = left.there == 0 && settled || bugs::on(Bug::ReceiptBeforeGone);
        if row.scan != ErasureScan::Done || !gone || row.completed.is_some() {
            return Ok(false);
        }
        let deleted = snapshot.get(&topic_id::key(row.topic)).await?.is_none();
        let over = ErasureRow {
            keys: BTreeSet::new(),
            invisible: row.invisible.or(Some(now)),
            completed: Some(now),
            topic_deleted: row.topic_deleted || deleted,
            ..row.clone()
        };
        let mut mutations = vec![erasure::set(id, &over)];
        erase::tell(&mut mutations, &row, &Entry::Erased { erasure: id, topic: row.topic }, self.shards);
        self.send_at(held, id, mutations, snapshot.as_ref()).await?;
        tracing::info!(topic = row.name, erasure = %id, "erased");
        Ok(true)
    }

    async fn note_deleted(&self, held: &Held, id: ErasureId) -> Result<Left, EraseJobError> {
        let mut left = Left { there: 0, last: i64::MIN };
        let mut pages = Pages::of(erasure::objects(id)).sized(PER_COMMIT);
        while let Some((snapshot, page)) = pages.next_seen(self.store.as_ref()).await? {
            let (mut open, mut mutations) = (Vec::new(), Vec::new());
            for (key, value) in page {
                let Some(segment) = erasure::parse_object(&key) else { continue };
                let object = ErasedObject::decode(&value)?;
                match object.deleted {
                    Some(at) => left.last = left.last.max(at),
                    None => open.push((segment, key, object)),
                }
            }
            let gone = self.gone(snapshot.as_ref(), open.iter().map(|(segment, ..)| *segment)).await?;
            for (segment, key, object) in open {
                if !gone.contains(&segment) {
                    left.there += 1;
                    continue;
                }
                let deleted = self.ambient.clock.now();
                left.last = left.last.max(deleted);
                let value = ErasedObject { deleted: Some(deleted), ..object }.encode().into();
                mutations.push(Mutation::Set { key, value });
            }
            if !mutations.is_empty() {
                self.send_at(held, id, mutations, snapshot.as_ref()).await?;
            }
        }
        Ok(left)
    }

    /// Those of some segments on the list whose objects are gone.
    ///
    /// A segment on the list has a row, then is trash, then is neither, and never goes back: one transaction takes its row and makes it trash, another takes it
    /// from the trash once its object is deleted. So what had no row by the snapshot was trash then, or gone; and trash is read behind that: what is not
    /// in it any more is gone. A piece of trash keeps its key, so that pages of several versions don't miss it.
    pub(super) async fn gone(
        &self,
        snapshot: &dyn Snapshot,
        segments: impl Iterator<Item = SegmentId>,
    ) -> Result<BTreeSet<SegmentId>, EraseJobError> {
        let mut without_row = BTreeSet::new();
        for segment in segments {
            if snapshot.get(&segment_row::key(segment)).await?.is_none() {
                without_row.insert(segment);
            }
        }
        if !without_row.is_empty() {
            let trash = trash::all(self.store.as_ref()).await?;
            without_row.retain(|segment| !trash.contains_key(segment));
        }
        Ok(without_row)
    }
}
