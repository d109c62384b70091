//! Putting new extents in the place of old ones, in the store.
//!
//! ```text
//! announce: the segment's row, "being published"   ▸ object is stored by now
//! publish:  per shard: chunks, uses, row           ▸ reads lease, row, chunks, the segment's row
//! conclude: the segment's row, "published"
//! ```
//!
//! Reclaim leaves a segment alone that is being published as long as its writer's registration lives. Since every publication reads the
//! segment's row, none can land once the row has changed: neither behind the conclusion, nor behind the end of the segment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{
    ChunkRow, Extent, FormatError, PartitionRow, SegmentId, SegmentPlace, SegmentRow, ShardId, ShardSet,
    decode_extents, encode_extents,
};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::checkpoint::uses;
use siltstone_metadata::keys::{
    cluster, erasure, extent_chunk, partition_row, parts, registration, segment_row, segment_use,
    shard_counted,
};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, RangeLimit, Snapshot, StoreError};
use tokio::time::Instant;

use crate::context::Context;
use crate::erase::Hiding;
use crate::merge::PATIENCE;
use crate::merge::build::Run;
use crate::splice::{Spliced, splice};

/// A transaction is sent once it has so many bytes.
const COMMIT_BYTES: usize = 600_000;
/// Tries of one transaction before its work is left for a later pass.
pub(crate) const TRIES: usize = 20;

/// Why extents could not be published. Planning anew is always right.
#[derive(Debug, Clone, thiserror::Error)]
pub enum PublishError {
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A transaction did not get through, however often it was tried.
    #[error(transparent)]
    Commit(#[from] CommitError),
    /// A row or chunk can't be read by this program.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// The shard is somebody else's by now, or is being counted.
    #[error("the lease of shard {} is lost", .0.0)]
    LeaseLost(ShardId),
    /// The registration is over.
    #[error("the registration is over")]
    Ended,
    /// Something is to be erased that the segment's writer did not know of.
    #[error("an erasure was asked for meanwhile: what was written is dropped")]
    Erasing,
}

/// A transaction that is being put together.
#[derive(Default)]
pub struct Draft {
    /// What it rests on.
    pub reads: Vec<KeyRange>,
    /// What it changes.
    pub mutations: Vec<Mutation>,
    bytes: usize,
    uses: BTreeMap<SegmentId, u64>,
    /// Segments that must go, for their receipts, and when this is, milliseconds since the Unix epoch.
    hiding: Arc<Hiding>,
    now: i64,
}

impl Draft {
    fn count(&mut self, extents: &[Extent], sign: u64) {
        for (segment, weight) in uses(extents.iter()) {
            let sum = self.uses.entry(segment).or_default();
            *sum = sum.wrapping_add(weight.wrapping_mul(sign));
        }
    }

    /// Notes for receipts what takes the place of extents in segments that must go, and how many records a run leaves out.
    fn receipt(&mut self, run: &Run, removed: &[Extent], added: &[Extent]) {
        for (id, records) in &run.erased {
            self.mutations.push(erasure::count(*id, run.partition.index, *records));
        }
        if self.hiding.dirty.is_empty() {
            return;
        }
        let segments = |extents: &[Extent]| {
            extents.iter().filter_map(|extent| Some(extent.segment()?.id)).collect::<BTreeSet<SegmentId>>()
        };
        let new = segments(added);
        for old in segments(removed) {
            let Some(dirty) = self.hiding.dirty.get(&old) else { continue };
            for id in &dirty.erasures {
                let notes = new.iter().map(|new| erasure::replaced(*id, old, *new, self.now));
                self.mutations.extend(notes);
            }
        }
    }

    fn set(&mut self, key: Bytes, value: Vec<u8>) {
        self.bytes += value.len();
        self.mutations.push(Mutation::Set { key, value: value.into() });
    }

    pub(crate) fn commit(self, shard: ShardId, snapshot: &dyn Snapshot) -> Commit {
        let Draft { reads, mut mutations, uses, .. } = self;
        let changed = uses.into_iter().filter(|(_, delta)| *delta != 0);
        mutations.extend(changed.map(|(segment, delta)| segment_use::add(shard, segment, delta)));
        Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() }
    }
}

impl Context {
    /// Says that a segment is about to be published in these shards. `hiding` is what its writer knew of erasures: if there is a newer one the segment may
    /// hold what must not come back, and is dropped.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn announce(
        &self,
        place: &SegmentPlace,
        shards: impl IntoIterator<Item = ShardId>,
        hiding: &Hiding,
    ) -> Result<(), PublishError> {
        self.write_row(place, ShardSet::of(shards, self.shards), Some(hiding)).await
    }

    /// Says that all of a segment is published that ever will be.
    ///
    /// # Errors
    /// See [`PublishError`].
    pub async fn conclude(
        &self,
        place: &SegmentPlace,
        shards: impl IntoIterator<Item = ShardId>,
    ) -> Result<(), PublishError> {
        self.write_row(place, ShardSet::of(shards, self.shards), None).await
    }

    /// `hiding`: it is about to be published.
    async fn write_row(
        &self,
        place: &SegmentPlace,
        shards: ShardSet,
        hiding: Option<&Hiding>,
    ) -> Result<(), PublishError> {
        let (writing, length) = (hiding.is_some(), place.length);
        let row = SegmentRow { inline: false, writing, merged: true, length, stamp: None, shards };
        let mut last = None;
        for attempt in 0..TRIES {
            pause(attempt).await;
            let snapshot = self.store.snapshot().await?;
            let own = registration::key(self.registration);
            if snapshot.get(&own).await?.is_none() {
                return Err(PublishError::Ended);
            }
            let mut reads = vec![KeyRange::key(own), KeyRange::key(cluster::key())];
            if let Some(hiding) = hiding.filter(|_| !bugs::on(Bug::AnnounceUnread)) {
                if snapshot.get(&erasure::last()).await? != hiding.last {
                    // No earlier try lands any more: each rests on this key. One that did has left a row, and the search finds the segment by that.
                    if snapshot.get(&segment_row::key(place.id)).await?.is_none() {
                        self.drop_unannounced(place).await;
                    }
                    return Err(PublishError::Erasing);
                }
                reads.push(KeyRange::key(erasure::last()));
            }
            let mutations = vec![segment_row::set(place.id, &row)];
            let commit =
                Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
            match self.store.commit(commit).await {
                Ok(_) => return Ok(()),
                Err(error) => last = Some(error),
            }
        }
        Err(last.map_or(PublishError::Ended, PublishError::Commit))
    }

    /// Deletes a segment that may hold what is to be erased, and that has no row and will have none. If this fails, it goes with the registration's orphans.
    async fn drop_unannounced(&self, place: &SegmentPlace) {
        let names = vec![place.id.object_name()];
        if let Err(error) = self.objects.delete(names, Instant::now() + PATIENCE).await {
            tracing::warn!(segment = %place.id, %error, "a segment that was not published could not be deleted");
        }
    }

    /// Puts runs of one shard in the place of what they replace; those whose old extents are gone are left out. Returns how many are in place.
    /// `segment`: the one that the new extents lie in, if there is one.
    ///
    /// # Errors
    /// See [`PublishError`]: some runs may be in place by then.
    pub async fn publish(
        &self,
        held: &Held,
        shard: ShardId,
        segment: Option<SegmentId>,
        runs: &[Run],
    ) -> Result<usize, PublishError> {
        let mut at = 0;
        let mut published = 0;
        let mut attempt = 0;
        while at < runs.len() {
            let snapshot = self.store.snapshot().await?;
            let mut draft = self.draft(held, shard, segment, snapshot.as_ref()).await?;
            let mut taken = 0;
            let mut in_place = 0;
            for run in &runs[at..] {
                // What one run changes the next of its partition must see.
                let again = taken > 0 && runs[at + taken - 1].partition == run.partition;
                if again || draft.bytes >= COMMIT_BYTES {
                    break;
                }
                in_place += usize::from(replace(&mut draft, snapshot.as_ref(), run).await?);
                taken += 1;
            }
            if draft.mutations.is_empty() {
                (at, published, attempt) = (at + taken, published + in_place, 0);
                continue;
            }
            match self.store.commit(draft.commit(shard, snapshot.as_ref())).await {
                Ok(_) => (at, published, attempt) = (at + taken, published + in_place, 0),
                // Whether it has landed shows at the next look.
                Err(error) if attempt >= TRIES => return Err(error.into()),
                Err(_) => attempt += 1,
            }
            pause(attempt).await;
        }
        Ok(published)
    }

    /// A transaction that rests on the shard's lease and on the segment's row.
    pub async fn draft(
        &self,
        held: &Held,
        shard: ShardId,
        segment: Option<SegmentId>,
        snapshot: &dyn Snapshot,
    ) -> Result<Draft, PublishError> {
        let counted = shard_counted::key(shard);
        let fenced = !bugs::on(Bug::UnfencedJobs);
        if fenced && !held.holds(snapshot).await? || snapshot.get(&counted).await?.is_none() {
            return Err(PublishError::LeaseLost(shard));
        }
        let (hiding, now) = (self.hiding(), self.ambient.clock.now());
        let mut draft = Draft { reads: held.reads(), hiding, now, ..Draft::default() };
        if !fenced {
            draft.reads.clear();
        }
        draft.reads.push(KeyRange::key(counted));
        if let Some(segment) = segment {
            let key = segment_row::key(segment);
            if bugs::on(Bug::PublishUnguarded) {
                return Ok(draft);
            }
            if snapshot.get(&key).await?.is_none() {
                return Err(PublishError::Ended);
            }
            draft.reads.push(KeyRange::key(key));
        }
        Ok(draft)
    }
}

/// Waits a little before the next try.
pub(crate) async fn pause(attempt: usize) {
    if attempt > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(1 << attempt.min(9))).await;
    }
}

/// Adds a run to a transaction. Whether its new extents are, or will be, in place.
pub async fn replace(draft: &mut Draft, snapshot: &dyn Snapshot, run: &Run) -> Result<bool, PublishError> {
    let (shard, partition) = (run.shard, run.partition);
    let (Some(first), Some(last)) = (run.old.first(), run.old.last()) else { return Ok(false) };
    let prefix = partition_row::prefix(shard, partition);
    let Some(bytes) = parts::get(snapshot, &prefix).await? else { return Ok(false) };
    let mut row = PartitionRow::decode(&bytes)?;
    let mut range = extent_chunk::between(shard, partition, first.base, last.base);
    let back = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
    let before = extent_chunk::between(shard, partition, 0, first.base);
    if let Some((key, _)) = snapshot.range(&before, back).await?.entries.pop() {
        range.begin = key;
    }
    let limit = RangeLimit { entries: usize::MAX, bytes: 8 << 20, ..RangeLimit::default() };
    let page = snapshot.range(&range, limit).await?;
    let chunks: Vec<Vec<Extent>> =
        page.entries.iter().map(|(_, value)| decode_extents(value)).collect::<Result<_, _>>()?;
    let (chunks, removed, added) = match splice(&chunks, &run.old, &run.new, row.log_start) {
        Spliced::Done => return Ok(true),
        Spliced::Gone => return Ok(false),
        Spliced::Replaced { chunks, removed, added } => (chunks, removed, added),
    };
    if !bugs::on(Bug::PublishUnread) {
        draft.reads.push(parts::range(&prefix));
        draft.reads.push(range.clone());
    }
    draft.count(&removed, u64::MAX);
    if !bugs::on(Bug::UsesUncounted) {
        draft.count(&added, 1);
    }
    draft.receipt(run, &removed, &added);
    draft.mutations.push(Mutation::ClearRange { range: range.clone() });
    for chunk in &chunks {
        draft.set(extent_chunk::key(shard, partition, chunk[0].base), encode_extents(chunk));
    }
    let stands =
        row.last_chunk.is_some_and(|chunk| range.contains(&extent_chunk::key(shard, partition, chunk.base)));
    if stands {
        row.last_chunk = chunks.last().map(|c| ChunkRow { base: c[0].base, extents: c.len() as u32 });
        let value: Bytes = row.encode().into();
        draft.bytes += value.len();
        parts::set(&mut draft.mutations, &prefix, &value);
    }
    Ok(true)
}
