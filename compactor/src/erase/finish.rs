//! The end of an erasure: its objects are gone.

use std::collections::BTreeSet;

use siltstone_log::{Entry, ErasedObject, ErasureId, ErasureRow, ErasureScan, SegmentId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::erase;
use siltstone_metadata::keys::{erasure, segment_row, segment_trash, topic_id};
use siltstone_metadata::lease::Held;
use siltstone_store::{KeyRange, Mutation, RangeLimit, Snapshot};

use super::EraseJobError;
use crate::context::Context;

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
        let trash = self.all_trash().await?;
        let mut left = Left { there: 0, last: i64::MIN };
        let mut range = erasure::objects(id);
        loop {
            let snapshot = self.store.snapshot().await?;
            let limit = RangeLimit { entries: PER_COMMIT, ..RangeLimit::default() };
            let page = snapshot.range(&range, limit).await?;
            let mut mutations = Vec::new();
            for (key, value) in &page.entries {
                let Some(segment) = erasure::parse_object(key) else { continue };
                let object = ErasedObject::decode(value)?;
                let deleted = match object.deleted {
                    Some(at) => Some(at),
                    None if self.is_gone(snapshot.as_ref(), segment, &trash).await? => {
                        let deleted = Some(self.ambient.clock.now());
                        let value = ErasedObject { deleted, ..object }.encode().into();
                        mutations.push(Mutation::Set { key: key.clone(), value });
                        deleted
                    }
                    None => None,
                };
                match deleted {
                    Some(at) => left.last = left.last.max(at),
                    None => left.there += 1,
                }
            }
            if !mutations.is_empty() {
                self.send_at(held, id, mutations, snapshot.as_ref()).await?;
            }
            match page.entries.last() {
                Some((last, _)) if page.more => range.begin = KeyRange::key(last.clone()).end,
                _ => return Ok(left),
            }
        }
    }

    /// Trash is cleared behind the object, so that what is neither in use nor trash is gone. `trash` was read before: what has become trash since had a row
    /// then, and is looked at again in the next pass.
    pub(super) async fn is_gone(
        &self,
        snapshot: &dyn Snapshot,
        segment: SegmentId,
        trash: &BTreeSet<SegmentId>,
    ) -> Result<bool, EraseJobError> {
        if trash.contains(&segment) || snapshot.get(&segment_row::key(segment)).await?.is_some() {
            return Ok(false);
        }
        // Between the two looks it may have gone from one to the other.
        Ok(!self.all_trash().await?.contains(&segment))
    }

    pub(super) async fn all_trash(&self) -> Result<BTreeSet<SegmentId>, EraseJobError> {
        let mut all = BTreeSet::new();
        let mut range = segment_trash::all();
        loop {
            let page = self.store.snapshot().await?.range(&range, RangeLimit::default()).await?;
            all.extend(page.entries.iter().filter_map(|(key, _)| Some(segment_trash::parse(key)?.1)));
            match page.entries.last() {
                Some((last, _)) if page.more => range.begin = KeyRange::key(last.clone()).end,
                _ => return Ok(all),
            }
        }
    }
}
