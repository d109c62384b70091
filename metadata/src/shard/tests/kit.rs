//! A shard with one topic, all of it loaded, and short ways to fold entries into it.

use std::collections::BTreeMap;

use siltstone_log::{
    Append, BatchMeta, Block, BlockPlace, Encoding, Entry, PartitionId, Position, ProducerMeta,
    RegistrationId, SegmentId, SegmentPlace, ShardHead, ShardId, TopicId,
};

use crate::shard::{Applied, Effect, MAX_LEVEL, PartitionState, ShardState, Verdict};

pub const TOPIC: TopicId = TopicId(7);
pub const AGENT: RegistrationId = RegistrationId(0xa);
pub const P: PartitionId = PartitionId { topic: TOPIC, index: 0 };
pub const Q: PartitionId = PartitionId { topic: TOPIC, index: 1 };

/// The n-th place in the log.
pub fn position(n: u64) -> Position {
    let mut stamp = [0; 10];
    stamp[..8].copy_from_slice(&n.to_be_bytes());
    Position::new(stamp, 0)
}

/// A batch without a producer.
pub fn plain(records: u32, bytes: u32) -> BatchMeta {
    BatchMeta { bytes, records, max_timestamp: 0, producer: None, transactional: false, void: false }
}

/// A batch of producer `id`.
pub fn of(id: i64, epoch: i16, first_sequence: i32, records: u32) -> BatchMeta {
    BatchMeta { producer: Some(ProducerMeta { id, epoch, first_sequence }), ..plain(records, 10 * records) }
}

/// A block at byte `start` of its segment.
pub fn block(partition: PartitionId, start: u64, batches: &[BatchMeta]) -> Block {
    let length = batches.iter().map(|batch| batch.bytes).sum();
    let place = BlockPlace { start, length, encoding: Encoding::Plain };
    Block { partition, place, batches: batches.to_vec() }
}

pub fn append_of(registration: RegistrationId, counter: u64, at: i64, blocks: Vec<Block>) -> Entry {
    let id = SegmentId { registration, number: counter };
    let length = blocks.iter().map(|block| block.place.start + u64::from(block.place.length)).max();
    let segment = SegmentPlace { id, inline: true, length: length.unwrap_or(0) };
    Entry::Append(Append { registration, counter, at, segment, blocks })
}

pub struct Fold {
    pub state: ShardState,
    pub now: i64,
    last: u64,
    counters: BTreeMap<RegistrationId, u64>,
}

impl Fold {
    /// The topic has three partitions, and the shard is the only one.
    pub fn new() -> Self {
        Fold::at_level(MAX_LEVEL)
    }

    pub fn at_level(level: u32) -> Self {
        let head = ShardHead { level, ..ShardHead::default() };
        let state = ShardState::new(ShardId(0), 1, Position::ZERO, head);
        let mut fold = Fold { state, now: 1000, last: 0, counters: BTreeMap::new() };
        fold.apply(&Entry::Created { topic: TOPIC, first: 0, end: 3, at: 0 });
        fold.load_all();
        fold
    }

    /// Loads what exists and isn't loaded, as new.
    pub fn load_all(&mut self) {
        for id in self.state.partitions_of(TOPIC) {
            if self.state.partition(id).is_none() {
                let new = PartitionState::from_row(None, self.state.position(), None);
                self.state.insert(id, new);
            }
        }
    }

    pub fn apply(&mut self, entry: &Entry) -> Applied {
        self.last += 1;
        self.state.apply(position(self.last), entry)
    }

    /// Folds an append of the agent's, its counter the right one.
    pub fn blocks(&mut self, blocks: Vec<Block>) -> Applied {
        let counter = self.counters.entry(AGENT).or_insert(0);
        *counter += 1;
        let entry = append_of(AGENT, *counter, self.now, blocks);
        self.apply(&entry)
    }

    /// Folds one block, and gives its verdicts.
    pub fn append(&mut self, partition: PartitionId, batches: &[BatchMeta]) -> Vec<Verdict> {
        verdicts(self.blocks(vec![block(partition, 0, batches)])).remove(0)
    }

    /// Folds one batch of partition 0.
    pub fn batch(&mut self, batch: BatchMeta) -> Verdict {
        self.append(P, &[batch])[0]
    }

    pub fn partition(&self, id: PartitionId) -> &PartitionState {
        self.state.partition(id).expect("loaded")
    }
}

/// The verdicts of an entry that was folded in, for partitions that are loaded.
pub fn verdicts(applied: Applied) -> Vec<Vec<Verdict>> {
    let Effect::Appended(outcomes) = applied.effect else { panic!("not folded in: {applied:?}") };
    outcomes.into_iter().map(|outcome| outcome.verdicts.expect("loaded")).collect()
}

pub fn appended(base_offset: i64) -> Verdict {
    Verdict::Appended { base_offset }
}

pub fn duplicate(base_offset: i64) -> Verdict {
    Verdict::Duplicate { base_offset }
}

pub fn out_of_order(expected: i32) -> Verdict {
    Verdict::OutOfOrder { expected }
}
