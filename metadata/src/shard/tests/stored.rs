//! Rows, chunks, floor and log, as a store would hold them, and loading from them; without a store.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{
    Aborted, AbortedRow, ChunkRow, Entry, Extent, PartitionId, PartitionRow, Position, ShardHead, ShardId,
    decode_aborted, decode_extents, encode_aborted, encode_extents,
};

use super::generated::Log;
use crate::shard::{MIN_LEVEL, PartitionState, ShardState};

/// The only shard, before its first entry.
pub fn fresh() -> ShardState {
    let head = ShardHead { level: MIN_LEVEL, ..ShardHead::default() };
    ShardState::new(ShardId(0), 1, Position::ZERO, head)
}

/// All partitions that exist by the head.
pub fn existing(state: &ShardState) -> Vec<PartitionId> {
    state.head().topics.keys().flat_map(|topic| state.partitions_of(*topic)).collect()
}

/// Loads partitions that have just been created, as their first load would.
pub fn load_new(state: &mut ShardState) {
    for id in existing(state) {
        if state.partition(id).is_none() {
            let expired = state.head().expired;
            state.insert(id, PartitionState::from_row(None, state.position(), expired.as_ref()));
        }
    }
}

/// A row's bytes without what depends on when it was written.
pub fn bytes_of(partition: &PartitionState) -> Vec<u8> {
    PartitionRow { horizon: Position::ZERO, last_chunk: None, aborted: None, ..partition.row().clone() }
        .encode()
}

/// What a shard's checkpoints have written.
#[derive(Default)]
pub struct Stored {
    pub floor: Position0,
    head: Option<Vec<u8>>,
    rows: BTreeMap<PartitionId, Vec<u8>>,
    chunks: BTreeMap<PartitionId, Vec<u8>>,
    aborted: BTreeMap<PartitionId, Vec<u8>>,
}

/// [`Position`] with a default.
#[derive(Clone, Copy)]
pub struct Position0(pub Position);

impl Default for Position0 {
    fn default() -> Self {
        Position0(Position::ZERO)
    }
}

impl Stored {
    fn row(&self, id: PartitionId) -> Option<PartitionRow> {
        self.rows.get(&id).map(|bytes| PartitionRow::decode(bytes).expect("a row"))
    }

    /// Position up to which the row holds everything.
    pub fn horizon(&self, id: PartitionId) -> Position {
        self.row(id).map_or(Position::ZERO, |row| row.horizon)
    }

    pub fn chunk(&self, id: PartitionId) -> Vec<Extent> {
        self.chunks.get(&id).map(|bytes| decode_extents(bytes).expect("extents")).unwrap_or_default()
    }

    pub fn aborted(&self, id: PartitionId) -> Vec<Aborted> {
        self.aborted.get(&id).map(|bytes| decode_aborted(bytes).expect("a chunk")).unwrap_or_default()
    }

    pub fn write_row(&mut self, id: PartitionId, at: Position, partition: &PartitionState) {
        let old = self.horizon(id);
        let mut extents = self.chunk(id);
        let new = partition.extents().iter().filter(|held| held.position > old).map(|held| held.extent);
        extents.extend(new);
        self.chunks.insert(id, encode_extents(&extents));
        let mut aborted = self.aborted(id);
        aborted.extend(partition.held_aborted().filter(|held| held.position > old).map(|held| held.aborted));
        let chunk = aborted.first().map(|first| ChunkRow { base: first.last, extents: aborted.len() as u32 });
        let told = chunk.zip(aborted.last()).map(|(chunk, last)| AbortedRow { chunk, last: last.last });
        self.aborted.insert(id, encode_aborted(&aborted));
        self.rows.insert(id, PartitionRow { horizon: at, aborted: told, ..partition.row().clone() }.encode());
    }

    pub fn clear(&mut self, id: PartitionId) {
        self.rows.remove(&id);
        self.chunks.remove(&id);
        self.aborted.remove(&id);
    }

    pub fn move_floor(&mut self, floor: Position, head: Vec<u8>) {
        self.floor = Position0(floor);
        self.head = Some(head);
    }

    /// Loads these partitions, and folds the log from the floor to `end`.
    pub fn load(&self, log: &Log, end: Position, partitions: &BTreeSet<PartitionId>) -> ShardState {
        let floor = self.floor.0;
        let mut state = match &self.head {
            Some(bytes) => ShardState::new(ShardId(0), 1, floor, ShardHead::decode(bytes).expect("a head")),
            None => fresh(),
        };
        for id in partitions {
            let expired = state.head().expired;
            state.insert(*id, PartitionState::from_row(self.row(*id), floor, expired.as_ref()));
        }
        for expected in log.entries.iter().filter(|e| e.position > floor && e.position <= end) {
            let entry = Entry::decode(&expected.entry.encode()).expect("an entry");
            state.apply(expected.position, &entry);
        }
        let gone: Vec<_> = state.partitions().keys().filter(|id| !state.exists(**id)).copied().collect();
        gone.into_iter().for_each(|id| state.evict(id));
        state
    }
}
