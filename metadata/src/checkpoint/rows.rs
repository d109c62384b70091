//! Writing rows and extent chunks.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::{
    ChunkRow, Extent, PartitionId, PartitionRow, Position, ShardHead, ShardId, TopicId, decode_extents,
    encode_extents,
};
use siltstone_store::{Commit, KeyRange, Mutation, RangeLimit, Snapshot};
use tokio::time::Instant;

use super::batch::{Batch, PER_CHUNK, room};
use super::{Candidate, CheckpointError, Checkpointer};
use crate::bugs::{self, Bug};
use crate::follow::FollowError;
use crate::follow::row as read_row;
use crate::keys::{
    aborted_chunk, cleaned, condemned_topic, extent_chunk, partition_row, parts, shard_counted,
};
use crate::lease::Held;
use crate::shard::{FoldAborted, FoldExtent, LEVEL_COMPACTION};

/// A transaction is sent once it has so many bytes; a single partition may exceed it, within the store's limit.
const COMMIT_BYTES: usize = 700_000;
/// Extents of one partition that go into one transaction.
const EXTENTS_PER_COMMIT: usize = 20 * PER_CHUNK;
/// Partitions whose state is copied out at a time.
const GROUP: usize = 256;

/// What a round found at its beginning.
struct Work {
    position: Position,
    head: ShardHead,
    partitions: Vec<PartitionId>,
    topics: BTreeSet<TopicId>,
}

/// A partition's state, copied out at one position of the shard.
struct Copied {
    id: PartitionId,
    /// Whether uses of segments are counted.
    counted: bool,
    row: PartitionRow,
    extents: Vec<FoldExtent>,
    aborted: Vec<FoldAborted>,
}

impl Checkpointer {
    /// Writes the rows of everything that changed up to now. `None`: the shard is not loaded.
    pub(super) async fn write_rows(&mut self, held: &Held) -> Result<Option<Candidate>, CheckpointError> {
        let at = Instant::now();
        let work = self.shard.checkpoint_view(|state, dirty, _| Work {
            position: state.position(),
            head: state.head().clone(),
            partitions: dirty.partitions.keys().copied().collect(),
            topics: dirty.topics.keys().copied().collect(),
        });
        let Some(work) = work else { return Ok(None) };
        let partitions = if bugs::on(Bug::FloorBeforeRows) { &[][..] } else { &work.partitions };
        for group in partitions.chunks(GROUP) {
            if self.write_group(held, group).await? {
                self.last_beat = Some(Instant::now());
            }
        }
        self.clear_topics(held, &work.topics, work.position).await?;
        Ok(Some(Candidate { at, position: work.position, head: work.head }))
    }

    /// Writes the rows of these partitions. Whether anything was committed.
    async fn write_group(&self, held: &Held, group: &[PartitionId]) -> Result<bool, CheckpointError> {
        self.shard.load(group).await?;
        let copied = self.shard.checkpoint_view(|state, _, _| {
            let copy = |id: &PartitionId| {
                let partition = state.partition(*id)?;
                let row = PartitionRow { horizon: state.position(), ..partition.row().clone() };
                let extents = partition.extents().iter().copied().collect();
                let aborted = partition.held_aborted().copied().collect();
                let counted = state.head().level >= LEVEL_COMPACTION;
                Some(Copied { id: *id, counted, row, extents, aborted })
            };
            (state.position(), group.iter().filter_map(copy).collect::<Vec<_>>())
        });
        let Some((horizon, copied)) = copied else { return Ok(false) };
        let some = !copied.is_empty();
        let mut rest = copied.into_iter().peekable();
        while rest.peek().is_some() {
            let snapshot = self.store.0.snapshot().await?;
            if !held.holds(snapshot.as_ref()).await? {
                return Err(CheckpointError::LeaseLost);
            }
            let mut batch = self.batch(held);
            batch.mutations.push(held.beat());
            while batch.bytes < COMMIT_BYTES
                && let Some(copied) = rest.next()
            {
                self.add(held, &mut batch, snapshot.as_ref(), copied).await?;
            }
            if bugs::on(Bug::UnfencedCheckpoint) {
                batch.reads.clear();
            }
            let done = std::mem::take(&mut batch.done);
            self.send(snapshot.as_ref(), batch).await?;
            self.shard.checkpointed(&done, &BTreeSet::new(), horizon);
        }
        Ok(some)
    }

    /// Adds a partition's row and the extents that its old row doesn't have.
    async fn add(
        &self,
        held: &Held,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        copied: Copied,
    ) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        let Copied { id, counted, mut row, extents, aborted } = copied;
        let old = read_row(snapshot, shard, id, row.horizon).await?;
        let prefix = partition_row::prefix(shard, id);
        batch.reads.push(parts::range(&prefix));
        let old = old.unwrap_or_default();
        if old.horizon >= row.horizon && !bugs::on(Bug::UnfencedCheckpoint) {
            batch.done.push(id);
            return Ok(());
        }
        compare(shard, id, &old, &extents)?;
        let mut new: Vec<Extent> =
            extents.iter().filter(|held| held.position > old.horizon).map(|held| held.extent).collect();
        row.last_chunk = old.last_chunk;
        if bugs::on(Bug::RowsWithoutExtents) {
            new.clear();
        }
        if bugs::on(Bug::RowWithoutLogStart) {
            row.log_start = 0;
        }
        if new.len() > EXTENTS_PER_COMMIT || row.log_start > old.log_start {
            self.clear_leftovers(held, id, old.next).await?;
        }
        // More than a transaction takes goes ahead in transactions of its own: nobody looks there before the row says so.
        while new.len() > EXTENTS_PER_COMMIT {
            let ahead: Vec<Extent> = new.drain(..EXTENTS_PER_COMMIT).collect();
            self.write_ahead(held, snapshot, id, &ahead, counted).await?;
            // What comes now follows these, not the old row's last chunk.
            row.last_chunk = None;
        }
        if counted {
            batch.count(&new);
        }
        if let Some(chunk) = row.last_chunk.filter(|chunk| room(chunk, new.len())) {
            let key = extent_chunk::key(shard, id, chunk.base);
            if let Some(bytes) = batch.read(snapshot, key).await? {
                let whole = decode_extents(&bytes).map_err(|error| corrupt(shard, row.horizon, id, error))?;
                new.splice(0..0, whole);
            }
        }
        for chunk in new.chunks(PER_CHUNK) {
            let base = chunk[0].base;
            batch.set(extent_chunk::key(shard, id, base), encode_extents(chunk));
            row.last_chunk = Some(ChunkRow { base, extents: chunk.len() as u32 });
        }
        self.add_aborted(batch, snapshot, id, &old, &mut row, &aborted).await?;
        if row.log_start > old.log_start {
            self.clear_trimmed(batch, snapshot, id, row.log_start, counted).await?;
        }
        let value: Bytes = row.encode().into();
        batch.bytes += value.len();
        parts::set(&mut batch.mutations, &prefix, &value);
        batch.done.push(id);
        Ok(())
    }

    /// Writes chunks of their own for extents that the row at `snapshot` doesn't know of. Lands only while that row is the latest, and nobody
    /// has written there since: later the compactor may have replaced these chunks, or another try has counted them.
    async fn write_ahead(
        &self,
        held: &Held,
        snapshot: &dyn Snapshot,
        id: PartitionId,
        extents: &[Extent],
        counted: bool,
    ) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        let mut batch = self.batch(held);
        batch.reads.push(parts::range(&partition_row::prefix(shard, id)));
        if let (Some(first), Some(last)) = (extents.first(), extents.last()) {
            batch.reads.push(extent_chunk::between(shard, id, first.base, last.base));
        }
        for chunk in extents.chunks(PER_CHUNK) {
            batch.set(extent_chunk::key(shard, id, chunk[0].base), encode_extents(chunk));
        }
        if counted {
            batch.count(extents);
        }
        self.send(snapshot, batch).await
    }

    /// Clears chunks that a round wrote ahead of a row which it then did not write.
    async fn clear_leftovers(&self, held: &Held, id: PartitionId, end: i64) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        loop {
            let snapshot = self.store.0.snapshot().await?;
            if !held.holds(snapshot.as_ref()).await? {
                return Err(CheckpointError::LeaseLost);
            }
            let range = extent_chunk::between(shard, id, end, i64::MAX);
            let page = snapshot.range(&range, RangeLimit { entries: 16, ..RangeLimit::default() }).await?;
            let Some((last, _)) = page.entries.last() else { return Ok(()) };
            let mut batch = self.batch(held);
            // Whoever writes the row makes these chunks its own.
            batch.reads.push(parts::range(&partition_row::prefix(shard, id)));
            let gone = KeyRange { begin: range.begin, end: KeyRange::key(last.clone()).end };
            batch.reads.push(gone.clone());
            for (_, value) in &page.entries {
                let extents =
                    decode_extents(value).map_err(|error| corrupt(shard, Position::ZERO, id, error))?;
                batch.uncount(&extents);
            }
            batch.mutations.push(Mutation::ClearRange { range: gone });
            self.send(snapshot.as_ref(), batch).await?;
        }
    }

    /// A transaction that rests on the lease, and on whether the shard is counted: one that was sent before may not land behind that.
    fn batch(&self, held: &Held) -> Batch {
        let mut reads = held.reads();
        reads.push(KeyRange::key(shard_counted::key(self.shard.id())));
        Batch::resting_on(reads)
    }

    async fn send(&self, snapshot: &dyn Snapshot, batch: Batch) -> Result<(), CheckpointError> {
        self.store.0.commit(batch.commit(self.shard.id(), snapshot.version())).await?;
        Ok(())
    }

    /// Clears the chunks that lie wholly before the log start; those of extents only where nothing is counted: else the compactor gives up
    /// what they use.
    async fn clear_trimmed(
        &self,
        batch: &mut Batch,
        snapshot: &dyn Snapshot,
        id: PartitionId,
        log_start: i64,
        counted: bool,
    ) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        let ranges = [aborted_chunk::between, extent_chunk::between];
        let ranges = &ranges[..if counted { 1 } else { 2 }];
        for range in ranges.iter().map(|between| between(shard, id, 0, log_start)) {
            // The last one may reach beyond.
            let limit = RangeLimit { entries: 1, reverse: true, ..RangeLimit::default() };
            if let Some((key, _)) = snapshot.range(&range, limit).await?.entries.pop() {
                batch
                    .mutations
                    .push(Mutation::ClearRange { range: KeyRange { begin: range.begin, end: key } });
            }
        }
        Ok(())
    }

    /// Clears what is left of deleted topics.
    async fn clear_topics(
        &self,
        held: &Held,
        topics: &BTreeSet<TopicId>,
        horizon: Position,
    ) -> Result<(), CheckpointError> {
        let shard = self.shard.id();
        for topic in topics {
            let snapshot = self.store.0.snapshot().await?;
            if !held.holds(snapshot.as_ref()).await? {
                return Err(CheckpointError::LeaseLost);
            }
            let families =
                [partition_row::of_topic, aborted_chunk::of_topic, cleaned::of_topic, extent_chunk::of_topic];
            let counted = self.shard.checkpoint_view(|state, _, _| state.head().level >= LEVEL_COMPACTION);
            let counted = counted.unwrap_or(true);
            let ranges = families.iter().take(if counted { 3 } else { 4 });
            let clear = ranges.map(|of_topic| Mutation::ClearRange { range: of_topic(shard, *topic) });
            let mut mutations: Vec<_> = clear.collect();
            if counted && !bugs::on(Bug::CondemnedUnnoted) {
                let key = condemned_topic::key(shard, *topic);
                mutations.push(Mutation::Set { key, value: Bytes::new() });
            }
            let commit = Commit {
                read_version: Some(snapshot.version()),
                reads: held.reads(),
                mutations,
                ..Commit::default()
            };
            self.store.0.commit(commit).await?;
            self.shard.checkpointed(&[], &BTreeSet::from([*topic]), horizon);
        }
        Ok(())
    }
}

pub(super) fn corrupt(
    shard: ShardId,
    position: Position,
    id: PartitionId,
    error: impl std::fmt::Display,
) -> CheckpointError {
    let reason = format!("extents of {id:?}: {error}");
    CheckpointError::Follow(FollowError::Halted { shard, position, reason })
}

/// S7: the old row was folded by whoever wrote it; if this agent holds the extent at which it ended, the digests must agree.
fn compare(
    shard: ShardId,
    id: PartitionId,
    old: &PartitionRow,
    held: &[FoldExtent],
) -> Result<(), CheckpointError> {
    let same_end = held.iter().find(|held| held.extent.end() == old.next);
    match same_end {
        Some(held) if held.digest != old.digest => Err(CheckpointError::Differs(format!(
            "S7: shard {}: the fold of {id:?} differs from its row at offset {}",
            shard.0, old.next
        ))),
        _ => Ok(()),
    }
}
