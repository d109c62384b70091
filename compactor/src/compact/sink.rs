//! Publishing a piece of a round: its extents, the row of the round, and the entries of aborted transactions that are over, in one transaction.
//!
//! The transaction reads the shard's lease, what it replaces, the row of the round as it was found, and the settings that the round was planned with: if
//! any of them is another by now, nothing is published.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{
    Aborted, CleanedRow, Extent, PartitionId, SegmentPlace, ShardId, decode_aborted, encode_aborted,
};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::keys::{aborted_chunk, cleaned};
use siltstone_metadata::lease::Held;
use siltstone_objects::PutError;
use siltstone_records::Batch;
use siltstone_store::{CommitError, KeyRange, Mutation, RangeLimit, Snapshot, StoreError};
use tokio::time::Instant;

use super::round::{Pieces, Published, Rewrite};
use crate::context::Context;
use crate::erase::Hiding;
use crate::merge::PATIENCE;
use crate::merge::build::{BuildRules, Built, Run, SegmentBuilder};
use crate::publish::{Draft, PublishError, TRIES, pause, replace};
use crate::telemetry;
use crate::view::TOP_LEVEL;

/// Less than this is built on the spot.
const LARGE: usize = 1 << 20;

/// Why a piece can't be published, or nobody knows whether it was.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SinkError {
    /// The transaction.
    #[error(transparent)]
    Publish(#[from] PublishError),
    /// The segment could not be stored.
    #[error(transparent)]
    Put(#[from] PutError),
    /// The work was interrupted: the process ends.
    #[error("interrupted")]
    Interrupted,
}

impl From<StoreError> for SinkError {
    fn from(error: StoreError) -> Self {
        SinkError::Publish(error.into())
    }
}

/// Where a partition's pieces are published.
#[derive(Debug)]
pub struct PartitionPieces<'a> {
    /// What they are published with.
    pub cx: &'a Context,
    /// The lease of the shard.
    pub held: Held,
    /// The partition's shard.
    pub shard: ShardId,
    /// The partition.
    pub partition: PartitionId,
    /// Keys that must still hold what they held when the round was planned: the topic's row, and the cluster's configs.
    pub settings: Vec<(Bytes, Option<Bytes>)>,
    /// What the round knows of erasures.
    pub hiding: Arc<Hiding>,
}

impl Pieces for PartitionPieces<'_> {
    type Error = SinkError;

    async fn publish(&self, rewrite: Rewrite) -> Result<Published, SinkError> {
        let Rewrite { batches, extents, erased, over, was, becomes, .. } = rewrite;
        let mut change = Change { over, was, becomes };
        if bugs::on(Bug::CleanedAhead) {
            self.commit(None, None, &change).await?;
            change.was = change.becomes.clone();
        }
        let Some(left) = batches else { return Ok(self.commit(None, None, &change).await?) };
        if left.is_empty() {
            let (shard, partition) = (self.shard, self.partition);
            let run = Run { shard, partition, old: extents, new: Vec::new(), erased };
            return Ok(self.commit(None, Some(&run), &change).await?);
        }
        let (place, chunks, run) = self.built(extents, left).await?;
        let run = Run { erased, ..run };
        self.cx.limiter.request(place.length).await;
        self.cx.objects.put(&place.id.object_name(), chunks, Instant::now() + PATIENCE).await?;
        telemetry::written(TOP_LEVEL, place.length);
        self.cx.announce(&place, [self.shard], &self.hiding).await?;
        let done = self.commit(Some(&place), Some(&run), &change).await;
        // Behind this nothing of a try whose outcome is not known can land any more.
        self.cx.conclude(&place, [self.shard]).await?;
        Ok(done?)
    }
}

/// What a publication changes beside extents.
struct Change {
    over: Vec<Aborted>,
    was: CleanedRow,
    becomes: CleanedRow,
}

impl PartitionPieces<'_> {
    /// A segment of what is left, which is something.
    async fn built(
        &self,
        old: Vec<Extent>,
        left: Vec<Batch>,
    ) -> Result<(SegmentPlace, Vec<Bytes>, Run), SinkError> {
        let settings = &self.cx.settings;
        let rules = BuildRules {
            block_bytes: settings.merge.block_bytes,
            compression: settings.compression,
            level: TOP_LEVEL,
        };
        let mut builder = SegmentBuilder::new(self.cx.next_segment(), self.cx.ambient.clock.now(), rules);
        builder.begin_run(self.shard, self.partition);
        let large = left.iter().map(Batch::total_len).sum::<usize>() >= LARGE;
        let work = move || built(builder, &old, &left);
        let built = match large {
            true => tokio::task::spawn_blocking(work).await.map_err(|_| SinkError::Interrupted)?,
            false => work(),
        };
        built.ok_or(SinkError::Interrupted)
    }

    async fn commit(
        &self,
        place: Option<&SegmentPlace>,
        run: Option<&Run>,
        change: &Change,
    ) -> Result<Published, PublishError> {
        let mut last = CommitError::Conflict;
        for attempt in 0..TRIES {
            pause(attempt).await;
            let snapshot = self.cx.store.snapshot().await?;
            let segment = place.map(|place| place.id);
            let draft = self.cx.draft(&self.held, self.shard, segment, snapshot.as_ref()).await?;
            let draft = match self.drafted(draft, snapshot.as_ref(), run, change).await? {
                Drafted::Ready(draft) => draft,
                Drafted::Over(published) => return Ok(published),
            };
            match self.cx.store.commit(draft.commit(self.shard, snapshot.as_ref())).await {
                Ok(_) => return Ok(Published::Done),
                // Whether it has landed shows at the next look.
                Err(error) => last = error,
            }
        }
        Err(last.into())
    }

    async fn drafted(
        &self,
        mut draft: Draft,
        snapshot: &dyn Snapshot,
        run: Option<&Run>,
        change: &Change,
    ) -> Result<Drafted, PublishError> {
        let key = cleaned::key(self.shard, self.partition);
        let stored = snapshot.get(&key).await?;
        let stored = stored.map(|bytes| CleanedRow::decode(&bytes)).transpose()?.unwrap_or_default();
        if stored == change.becomes && change.becomes != change.was {
            return Ok(Drafted::Over(Published::Done));
        }
        if stored != change.was || !self.as_planned(&mut draft, snapshot).await? {
            return Ok(Drafted::Over(Published::Changed));
        }
        if let Some(run) = run
            && !replace(&mut draft, snapshot, run).await?
        {
            return Ok(Drafted::Over(Published::Changed));
        }
        for aborted in &change.over {
            self.forget(&mut draft, snapshot, aborted, &change.over).await?;
        }
        draft.reads.push(KeyRange::key(key.clone()));
        draft.mutations.push(Mutation::Set { key, value: change.becomes.encode().into() });
        Ok(Drafted::Ready(draft))
    }

    /// Whether the settings are those that the round was planned with.
    async fn as_planned(&self, draft: &mut Draft, snapshot: &dyn Snapshot) -> Result<bool, PublishError> {
        for (key, value) in &self.settings {
            if snapshot.get(key).await? != *value {
                return Ok(false);
            }
            draft.reads.push(KeyRange::key(key.clone()));
        }
        Ok(true)
    }

    /// Takes an entry out of its chunk, and with it all others there that are over. The chunk keeps its key: it only says that nothing in it ended
    /// before that offset.
    async fn forget(
        &self,
        draft: &mut Draft,
        snapshot: &dyn Snapshot,
        aborted: &Aborted,
        over: &[Aborted],
    ) -> Result<(), PublishError> {
        let range = aborted_chunk::between(self.shard, self.partition, 0, aborted.last);
        let back = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
        let Some((key, value)) = snapshot.range(&range, back).await?.entries.pop() else { return Ok(()) };
        if draft.mutations.iter().any(|mutation| of_key(mutation, &key)) {
            return Ok(());
        }
        let mut entries = decode_aborted(&value)?;
        entries.retain(|entry| !over.contains(entry));
        draft.reads.push(KeyRange::key(key.clone()));
        draft.mutations.push(match entries.is_empty() {
            true => Mutation::Clear { key },
            false => Mutation::Set { key, value: encode_aborted(&entries).into() },
        });
        Ok(())
    }
}

fn built(
    mut builder: SegmentBuilder,
    old: &[Extent],
    left: &[Batch],
) -> Option<(SegmentPlace, Vec<Bytes>, Run)> {
    builder.replaces(old);
    for batch in left {
        // Sizes behind compaction are those of what once was there: an extent's are exact enough.
        let at = old.partition_point(|extent| extent.end() <= batch.base_offset);
        let before = old.get(at).map_or(0, |extent| extent.bytes_before);
        let (offset, end) = (batch.base_offset, batch.last_offset() + 1);
        builder.batch(offset, end, before, &batch.header_bytes(), batch.bytes().clone());
    }
    let Built { place, chunks, mut runs } = builder.finish()?;
    Some((place, chunks, runs.pop()?))
}

fn of_key(mutation: &Mutation, wanted: &Bytes) -> bool {
    matches!(mutation, Mutation::Set { key, .. } | Mutation::Clear { key } if key == wanted)
}

enum Drafted {
    Ready(Draft),
    Over(Published),
}
