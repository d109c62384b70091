//! Every shard's log, folded from its beginning, with all states that it went through.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use siltstone_log::{
    Append, Entry, Expired, PartitionId, PartitionRow, Position, RegistrationId, SegmentPlace, ShardHead,
    ShardId, TopicId, TxnEnd,
};
use siltstone_metadata::keys::{inline_segment, parts, shard_floor, shard_log};
use siltstone_metadata::shard::{BlockOutcome, Effect, MIN_LEVEL, PartitionState, ShardState, Verdict};
use siltstone_store::{RangeLimit, Snapshot};

use super::Oracle;
use crate::sim::invariants::{Violation, s2, s3, s4, s7, s10};

/// A partition's state but for its extents, in a form to compare: without what depends on how it was loaded.
pub(in crate::sim) type Truth = Arc<PartitionRow>;

/// One shard's past.
pub(in crate::sim) struct ShardHistory {
    pub(in crate::sim) state: ShardState,
    pub(in crate::sim) heads: BTreeMap<Position, ShardHead>,
    pub(in crate::sim) truths: BTreeMap<PartitionId, BTreeMap<Position, Truth>>,
    /// Entries that belong into the row of a partition.
    pub(in crate::sim) changes: BTreeMap<PartitionId, BTreeSet<Position>>,
    pub(in crate::sim) ended: BTreeSet<RegistrationId>,
    pub(in crate::sim) deleted: BTreeMap<TopicId, Position>,
}

impl ShardHistory {
    pub(super) fn new(shard: u16, shards: u16) -> Self {
        let head = ShardHead { level: MIN_LEVEL, ..ShardHead::default() };
        ShardHistory {
            state: ShardState::new(ShardId(shard), shards, Position::ZERO, head.clone()),
            heads: BTreeMap::from([(Position::ZERO, head)]),
            truths: BTreeMap::new(),
            changes: BTreeMap::new(),
            ended: BTreeSet::new(),
            deleted: BTreeMap::new(),
        }
    }

    /// A partition's state as of a position.
    pub(in crate::sim) fn truth(&self, partition: PartitionId, at: Position) -> Option<&Truth> {
        Some(self.truths.get(&partition)?.range(..=at).next_back()?.1)
    }

    pub(in crate::sim) fn head(&self, at: Position) -> Option<&ShardHead> {
        Some(self.heads.range(..=at).next_back()?.1)
    }

    fn remember(&mut self, position: Position, partitions: impl IntoIterator<Item = PartitionId>) {
        for id in partitions {
            if let Some(state) = self.state.partition(id) {
                self.truths.entry(id).or_default().insert(position, Arc::new(comparable(state.row())));
            }
        }
        if self.heads.last_key_value().is_none_or(|(_, last)| last != self.state.head()) {
            self.heads.insert(position, self.state.head().clone());
        }
    }

    /// Loads partitions that exist from now on, so that the fold keeps them.
    fn load_new(&mut self, partitions: &[PartitionId]) {
        let expired: Option<Expired> = self.state.head().expired;
        for id in partitions {
            if self.state.partition(*id).is_none() {
                let new = PartitionState::from_row(None, Position::ZERO, expired.as_ref());
                self.state.insert(*id, new);
            }
        }
    }
}

/// The part of a row that is the same however it was come by.
pub(in crate::sim) fn comparable(row: &PartitionRow) -> PartitionRow {
    PartitionRow { horizon: Position::ZERO, last_chunk: None, aborted: None, ..row.clone() }
}

/// What is ready at once.
pub(in crate::sim) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match future.now_or_never() {
        Some(done) => done,
        None => unreachable!("the oracle's reads have no delay"),
    }
}

impl Oracle {
    /// Reads and folds what the logs have become, and checks it.
    pub(in crate::sim) fn catch_up(&mut self) -> Result<(), Violation> {
        let snapshot = self.store.peek();
        for shard in 0..self.shards.len() {
            let before = self.shards[shard].state.position();
            while self.read_page(snapshot.as_ref(), shard)? {}
            let key = shard_floor::key(ShardId(shard as u16));
            let floor = at_once(snapshot.get(&key)).ok().flatten();
            let floor = shard_floor::decode(floor.as_deref()).unwrap_or(Position::ZERO);
            s7::floor_trails(shard, before, floor)?;
        }
        self.transactions.whole(snapshot.as_ref())
    }

    fn read_page(&mut self, snapshot: &dyn Snapshot, shard: usize) -> Result<bool, Violation> {
        let id = ShardId(shard as u16);
        let range = shard_log::after(id, self.shards[shard].state.position());
        let page = at_once(snapshot.range(&range, RangeLimit::default()));
        let Ok(page) = page else { return Ok(false) };
        for (key, value) in &page.entries {
            let entry = (shard_log::position(key), Entry::decode(value));
            let (Some(position), Ok(entry)) = entry else {
                return Err(s7::unreadable(shard, key));
            };
            self.entry(snapshot, shard, position, &entry)?;
        }
        Ok(page.more)
    }

    fn entry(
        &mut self,
        snapshot: &dyn Snapshot,
        shard: usize,
        position: Position,
        entry: &Entry,
    ) -> Result<(), Violation> {
        let history = &mut self.shards[shard];
        let applied = history.state.apply(position, entry);
        self.entries.0 += 1;
        self.entries.1 += u64::from(applied.effect == Effect::Void);
        match entry {
            Entry::Created { .. } => history.load_new(&applied.touched),
            Entry::Ended { registration } => {
                history.ended.insert(*registration);
            }
            Entry::Deleted { topic } => {
                history.deleted.insert(*topic, position);
                self.deleted.insert(*topic);
                self.transactions.deleted(*topic);
            }
            Entry::Append(append) if applied.effect != Effect::Void => {
                s10::alive(append, &history.ended)?;
            }
            _ => {}
        }
        if matches!(
            entry,
            Entry::Append(_)
                | Entry::Trim { .. }
                | Entry::TxnEnd(_)
                | Entry::Erase { .. }
                | Entry::Erased { .. }
        ) {
            for partition in &applied.touched {
                history.changes.entry(*partition).or_default().insert(position);
            }
        }
        match entry {
            Entry::Expire { .. } => {
                let all: Vec<PartitionId> = history.state.partitions().keys().copied().collect();
                history.remember(position, all);
            }
            _ => history.remember(position, applied.touched.iter().copied()),
        }
        for partition in &applied.touched {
            self.follow_bounds(shard, *partition, position)?;
        }
        match (entry, applied.effect) {
            (Entry::Append(append), Effect::Appended(outcomes)) => {
                self.appended(snapshot, shard, position, append, &outcomes)
            }
            (Entry::TxnEnd(end), Effect::Other) => self.txn_ended(position, end, &applied.touched),
            (Entry::Erase { erasure, topic, keys }, Effect::Other) => {
                self.erase(position, *erasure, (*topic, keys), &applied.touched);
                Ok(())
            }
            (Entry::Erased { erasure, .. }, _) => {
                self.promises.erased.push(*erasure);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Takes over log start and new extents.
    fn follow_bounds(&mut self, shard: usize, id: PartitionId, position: Position) -> Result<(), Violation> {
        let Some(state) = self.shards[shard].state.partition(id) else { return Ok(()) };
        let log = self.logs.entry(id).or_default();
        crate::sim::invariants::s6::log_start_rises(id, log.log_start, state.log_start())?;
        log.log_start = state.log_start();
        let new = state.extents().iter().rev().take_while(|held| held.position == position);
        log.extents.extend(new.map(|held| (held.extent.base, held.extent)));
        Ok(())
    }

    fn txn_ended(
        &mut self,
        position: Position,
        end: &TxnEnd,
        partitions: &[PartitionId],
    ) -> Result<(), Violation> {
        for partition in partitions {
            self.keep_records(*partition);
            let log = self.logs.entry(*partition).or_default();
            self.transactions.ended(*partition, &end.marker, position)?;
            s2::marker(log, *partition, end)?;
        }
        Ok(())
    }

    fn appended(
        &mut self,
        snapshot: &dyn Snapshot,
        shard: usize,
        position: Position,
        append: &Append,
        outcomes: &[BlockOutcome],
    ) -> Result<(), Violation> {
        let mut stamp = [0; 10];
        stamp.copy_from_slice(&position.0[..10]);
        self.flushed.insert(append.segment.id, stamp);
        let bytes = self.segment(snapshot, &append.segment);
        let bytes = s4::durable(&append.segment, bytes)?;
        for (block, outcome) in append.blocks.iter().zip(outcomes) {
            let verdicts = outcome.verdicts.as_deref().unwrap_or_default();
            self.keep_records(block.partition);
            let state = self.shards[shard].state.partition(block.partition);
            let forgotten = state.map_or(0, |state| state.row().forgotten_below);
            let mut at = block.place.start as usize;
            for (batch, verdict) in block.batches.iter().zip(verdicts) {
                let end = at + batch.bytes as usize;
                let bytes = bytes.slice(at.min(bytes.len())..end.min(bytes.len()));
                at = end;
                if *verdict == Verdict::NoPartition {
                    s3::no_partition(block.partition, self.deleted.contains(&block.partition.topic))?;
                    continue;
                }
                let found = s4::bytes_are_a_batch(&self.promises, block.partition, &bytes, batch)?;
                let log = self.logs.entry(block.partition).or_default();
                s3::in_sequence(log, block.partition, batch, *verdict, found, forgotten)?;
                s2::given_out(log, &self.promises, block.partition, batch, *verdict, found, bytes)?;
                if let (Verdict::Appended { base_offset }, Some(producer)) = (verdict, &batch.producer)
                    && batch.transactional
                {
                    log.open.entry(producer.id).or_insert(*base_offset);
                    let number = self.promises.transaction_of.get(&found).copied();
                    self.transactions.appended(number, producer.id, block.partition, position)?;
                }
            }
        }
        Ok(())
    }

    /// What is really there of a segment.
    pub(in crate::sim) fn segment(&self, snapshot: &dyn Snapshot, place: &SegmentPlace) -> Option<Bytes> {
        if place.inline {
            at_once(parts::get(snapshot, &inline_segment::prefix(place.id))).ok().flatten()
        } else {
            self.bucket.content(&place.id.object_name())
        }
    }
}
