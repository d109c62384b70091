//! A shard's state and the one door to it.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_log::{
    Append, Entry, Expired, PartitionId, Position, RegistrationId, ShardHead, ShardId, TopicId, TxnEnd,
    shard_of,
};

use super::partition::PartitionState;
use super::producer::Verdict;
use crate::bugs::{self, Bug};

/// The lowest feature level that this program can fold.
pub const MIN_LEVEL: u32 = 1;
/// The highest. 1: the first. 2: producers are forgotten by `Expire` entries. 3: transactions. 4: what uses a segment is counted, so that the
/// compactor may work. 5: records of keys are erased.
pub const MAX_LEVEL: u32 = 5;
const LEVEL_EXPIRE: u32 = 2;
/// The level from which on there are transactions.
pub const LEVEL_TRANSACTIONS: u32 = 3;
/// The level from which on checkpoints count what uses a segment, and the compactor may replace extents.
pub const LEVEL_COMPACTION: u32 = 4;
/// The level from which on records of keys can be erased.
pub const LEVEL_ERASE: u32 = 5;

/// What became of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockOutcome {
    /// The partition.
    pub partition: PartitionId,
    /// One for each batch, in order; `None` where the partition isn't loaded here.
    pub verdicts: Option<Vec<Verdict>>,
}

/// What an entry did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Its blocks were folded in, each as it says.
    Appended(Vec<BlockOutcome>),
    /// It had been folded in before, or its registration had ended, or a counter before it is missing: no effect.
    Void,
    /// Anything else.
    Other,
}

/// The result of [`ShardState::apply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    /// What it did.
    pub effect: Effect,
    /// Partitions that it touches, loaded or not.
    pub touched: Vec<PartitionId>,
}

impl Applied {
    fn other(touched: Vec<PartitionId>) -> Self {
        Applied { effect: Effect::Other, touched }
    }
}

/// A shard, as of a position in its log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardState {
    id: ShardId,
    shards: u16,
    position: Position,
    head: ShardHead,
    partitions: BTreeMap<PartitionId, PartitionState>,
}

impl ShardState {
    /// Shard `id` of `shards`, its head as of `position`, no partition loaded.
    pub fn new(id: ShardId, shards: u16, position: Position, head: ShardHead) -> Self {
        ShardState { id, shards, position, head, partitions: BTreeMap::new() }
    }

    /// Which shard it is.
    pub fn id(&self) -> ShardId {
        self.id
    }

    /// Entries up to here are folded in.
    pub fn position(&self) -> Position {
        self.position
    }

    /// What belongs to no single partition.
    pub fn head(&self) -> &ShardHead {
        &self.head
    }

    /// Whether the partition exists, loaded or not.
    pub fn exists(&self, partition: PartitionId) -> bool {
        self.head.topics.get(&partition.topic).is_some_and(|count| partition.index < *count)
            && shard_of(partition, self.shards) == self.id
    }

    /// A loaded partition.
    pub fn partition(&self, partition: PartitionId) -> Option<&PartitionState> {
        self.partitions.get(&partition)
    }

    /// A loaded partition, for bookkeeping that is not part of the fold.
    pub fn partition_mut(&mut self, partition: PartitionId) -> Option<&mut PartitionState> {
        self.partitions.get_mut(&partition)
    }

    /// The loaded partitions.
    pub fn partitions(&self) -> &BTreeMap<PartitionId, PartitionState> {
        &self.partitions
    }

    /// The partitions of a topic that fall on this shard and exist.
    pub fn partitions_of(&self, topic: TopicId) -> Vec<PartitionId> {
        let count = self.head.topics.get(&topic).copied().unwrap_or(0);
        self.range_of(topic, 0, count)
    }

    fn range_of(&self, topic: TopicId, first: u32, end: u32) -> Vec<PartitionId> {
        let shards = u32::from(self.shards.max(1));
        let own = |index: &u32| shard_of(PartitionId { topic, index: *index }, self.shards) == self.id;
        let Some(at) = (first..end.min(first.saturating_add(shards))).find(own) else { return Vec::new() };
        (at..end).step_by(shards as usize).map(|index| PartitionId { topic, index }).collect()
    }

    /// Adds a partition that was loaded from its row and replayed up to some position at or behind this shard's.
    pub fn insert(&mut self, id: PartitionId, state: PartitionState) {
        self.partitions.insert(id, state);
    }

    /// Drops a loaded partition; it can be loaded again.
    pub fn evict(&mut self, id: PartitionId) {
        self.partitions.remove(&id);
    }

    /// Lets go of what the floor has passed.
    pub fn release(&mut self, floor: Position) {
        self.partitions.values_mut().for_each(|partition| partition.release(floor));
    }

    /// Folds the entry at `position` in. Entries at or before the state's position are ignored: `Void`.
    pub fn apply(&mut self, position: Position, entry: &Entry) -> Applied {
        if position <= self.position {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        self.position = position;
        match entry {
            Entry::Append(append) => self.append(position, append),
            Entry::Trim { partition, offset } => self.trim(position, *partition, *offset),
            Entry::Created { topic, first, end, .. } => self.created(*topic, *first, *end),
            Entry::Deleted { topic } => self.deleted(*topic),
            Entry::Expire { before, ids_below } => self.expire(position, *before, *ids_below),
            Entry::Ended { registration } => self.ended(*registration),
            Entry::TxnEnd(end) => self.txn_end(position, end),
            Entry::Erase { erasure, topic, keys } => {
                let keys = Arc::new(keys.clone());
                self.each_of(position, *topic, |state| state.erase(*erasure, &keys))
            }
            Entry::Erased { erasure, topic } => {
                self.each_of(position, *topic, |state| state.erased(*erasure))
            }
            Entry::Feature { level } => {
                self.head.level = self.head.level.max(*level);
                Applied::other(Vec::new())
            }
        }
    }

    fn append(&mut self, position: Position, append: &Append) -> Applied {
        let last = self.head.counters.get(&append.registration).copied().unwrap_or(0);
        if append.counter != last + 1 && !bugs::on(Bug::IgnoreCounters) {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        self.head.counters.insert(append.registration, append.counter);
        let level = self.head.level;
        let mut touched = Vec::with_capacity(append.blocks.len());
        let mut outcomes = Vec::with_capacity(append.blocks.len());
        for block in &append.blocks {
            let partition = block.partition;
            let verdicts = if !self.exists(partition) {
                Some(vec![Verdict::NoPartition; block.batches.len()])
            } else {
                touched.push(partition);
                let state = self.partitions.get_mut(&partition);
                state.and_then(|state| {
                    // Two blocks of one entry may belong to one partition: the first lets the others in.
                    let news = state.enter(position)
                        || outcomes
                            .iter()
                            .any(|o: &BlockOutcome| o.partition == partition && o.verdicts.is_some());
                    news.then(|| state.append(position, level, append.at, append.segment, block))
                })
            };
            outcomes.push(BlockOutcome { partition, verdicts });
        }
        Applied { effect: Effect::Appended(outcomes), touched }
    }

    fn trim(&mut self, position: Position, partition: PartitionId, offset: i64) -> Applied {
        if !self.exists(partition) {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        if let Some(state) = self.partitions.get_mut(&partition).filter(|state| state.horizon() < position) {
            state.enter(position);
            state.trim(offset);
        }
        Applied::other(vec![partition])
    }

    fn txn_end(&mut self, position: Position, end: &TxnEnd) -> Applied {
        if self.head.level < LEVEL_TRANSACTIONS {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        let mut touched: Vec<_> = end.partitions.iter().copied().filter(|id| self.exists(*id)).collect();
        // One named twice ends once.
        touched.sort_unstable();
        touched.dedup();
        for partition in &touched {
            if let Some(state) = self.partitions.get_mut(partition)
                && state.enter(position)
            {
                state.end(position, end.marker, end.at);
            }
        }
        Applied::other(touched)
    }

    /// Changes what the topic's partitions know of erasures.
    fn each_of(
        &mut self,
        position: Position,
        topic: TopicId,
        change: impl Fn(&mut PartitionState),
    ) -> Applied {
        if self.head.level < LEVEL_ERASE {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        let touched = self.partitions_of(topic);
        for partition in &touched {
            if let Some(state) = self.partitions.get_mut(partition)
                && state.enter(position)
            {
                change(state);
            }
        }
        Applied::other(touched)
    }

    fn created(&mut self, topic: TopicId, first: u32, end: u32) -> Applied {
        let count = self.head.topics.entry(topic).or_insert(0);
        *count = (*count).max(end);
        Applied::other(self.range_of(topic, first, end))
    }

    fn deleted(&mut self, topic: TopicId) -> Applied {
        let touched = self.partitions_of(topic);
        self.head.topics.remove(&topic);
        for partition in &touched {
            self.partitions.remove(partition);
        }
        Applied::other(touched)
    }

    fn expire(&mut self, position: Position, before: i64, ids_below: i64) -> Applied {
        if self.head.level < LEVEL_EXPIRE {
            return Applied { effect: Effect::Void, touched: Vec::new() };
        }
        let last = self.head.expired;
        let before = last.map_or(before, |last| before.max(last.before));
        let ids_below = last.map_or(ids_below, |last| ids_below.max(last.ids_below));
        self.head.expired = Some(Expired { position, before, ids_below });
        for state in self.partitions.values_mut() {
            if state.enter(position) {
                state.expire(before, ids_below);
            }
        }
        // Rows needn't be written for it: whoever loads a partition applies the head's last expiry.
        Applied::other(Vec::new())
    }

    fn ended(&mut self, registration: RegistrationId) -> Applied {
        self.head.counters.remove(&registration);
        Applied::other(Vec::new())
    }
}
