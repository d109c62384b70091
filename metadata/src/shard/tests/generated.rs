//! Logs as several agents, producers and admins might leave them, with everything that can go wrong in them.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use siltstone_log::{
    BatchMeta, Block, EndMarker, Entry, ErasureId, KeyDigest, PartitionId, Position, RegistrationId, TopicId,
    TxnEnd,
};

use super::kit::{append_of, block, of, plain, position};
use super::oracle::Oracle;
use crate::shard::Verdict;

/// Which batch of its producer comes.
#[derive(Debug, Clone)]
enum Which {
    Next,
    Again { back: usize },
    Skipping { by: i32 },
    NewEpoch { first: i32 },
    OldEpoch,
    At { sequence: i32 },
}

#[derive(Debug, Clone)]
struct Batch {
    records: u32,
    bytes: u32,
    timestamp: i64,
    producer: Option<(i64, Which)>,
    transactional: bool,
    void: bool,
}

#[derive(Debug, Clone)]
enum Counter {
    Next,
    Repeat,
    Gap,
}

#[derive(Debug, Clone)]
enum Step {
    Append { agent: usize, counter: Counter, clock: i64, blocks: Vec<(usize, Vec<Batch>)> },
    Trim { partition: usize, beyond_start: i64 },
    Expire { idle: i64, ids_below: i64 },
    End { agent: usize },
    Grow,
    Recreate,
    Level { level: u32 },
    Erase { lasting: bool, number: u128 },
    Erased { lasting: bool, number: u128 },
    TxnEnd { producer: i64, raise: i16, commit: bool, partitions: Vec<usize>, clock: i64 },
}

/// One entry of a generated log, and what the oracle says to it.
#[derive(Debug, Clone)]
pub struct Expected {
    pub position: Position,
    pub entry: Entry,
    pub verdicts: Option<Vec<Vec<Verdict>>>,
}

/// A log, and the oracle behind its end.
#[derive(Debug, Clone)]
pub struct Log {
    pub entries: Vec<Expected>,
    pub oracle: Oracle,
}

fn batch() -> impl Strategy<Value = Batch> {
    let which = prop_oneof![
        8 => Just(Which::Next),
        3 => (0..7_usize).prop_map(|back| Which::Again { back }),
        1 => (1..3_i32).prop_map(|by| Which::Skipping { by }),
        1 => (0..2_i32).prop_map(|first| Which::NewEpoch { first }),
        1 => Just(Which::OldEpoch),
        1 => (i32::MAX - 6..=i32::MAX).prop_map(|sequence| Which::At { sequence }),
    ];
    let flags = (any::<bool>(), prop_oneof![9 => Just(false), 1 => Just(true)]);
    (1..4_u32, 1..50_u32, -5..5_i64, option::weighted(0.8, (0..5_i64, which)), flags).prop_map(
        |(records, bytes, timestamp, producer, (transactional, void))| Batch {
            records,
            bytes,
            timestamp,
            producer,
            transactional,
            void,
        },
    )
}

fn step() -> impl Strategy<Value = Step> {
    let counter = prop_oneof![8 => Just(Counter::Next), 1 => Just(Counter::Repeat), 1 => Just(Counter::Gap)];
    let blocks = vec((0..7_usize, vec(batch(), 1..5)), 1..4);
    prop_oneof![
        20 => (0..3_usize, counter, -20..20_i64, blocks)
            .prop_map(|(agent, counter, clock, blocks)| Step::Append { agent, counter, clock, blocks }),
        2 => (0..7_usize, -2..8_i64)
            .prop_map(|(partition, beyond_start)| Step::Trim { partition, beyond_start }),
        2 => (0..60_i64, 0..6_i64).prop_map(|(idle, ids_below)| Step::Expire { idle, ids_below }),
        1 => (0..3_usize).prop_map(|agent| Step::End { agent }),
        1 => Just(Step::Grow),
        1 => Just(Step::Recreate),
        1 => (2..6_u32).prop_map(|level| Step::Level { level }),
        2 => (any::<bool>(), 0..3_u128).prop_map(|(lasting, number)| Step::Erase { lasting, number }),
        1 => (any::<bool>(), 0..3_u128).prop_map(|(lasting, number)| Step::Erased { lasting, number }),
        5 => (0..5_i64, 0..2_i16, any::<bool>(), vec(0..7_usize, 1..5), -20..20_i64).prop_map(
            |(producer, raise, commit, partitions, clock)| Step::TxnEnd { producer, raise, commit, partitions, clock }
        ),
    ]
}

pub fn log(steps: usize) -> impl Strategy<Value = Log> {
    vec(step(), steps / 4..steps).prop_map(|steps| {
        let mut writer = Writer::new();
        steps.into_iter().for_each(|step| writer.step(step));
        Log { entries: writer.entries, oracle: writer.oracle }
    })
}

const LASTING: TopicId = TopicId(1);

struct Writer {
    entries: Vec<Expected>,
    oracle: Oracle,
    agents: [RegistrationId; 3],
    now: i64,
    lasting: u32,
    passing: TopicId,
}

impl Writer {
    fn new() -> Self {
        let mut writer = Writer {
            entries: Vec::new(),
            oracle: Oracle::at_level(1),
            agents: [10, 11, 12].map(RegistrationId),
            now: 1000,
            lasting: 2,
            passing: TopicId(100),
        };
        writer.put(Entry::Created { topic: LASTING, first: 0, end: 2, at: 0 });
        writer.put(Entry::Created { topic: TopicId(100), first: 0, end: 2, at: 0 });
        writer
    }

    fn put(&mut self, entry: Entry) {
        let verdicts = self.oracle.take(&entry);
        let position = position(10 * self.entries.len() as u64 + 10);
        self.entries.push(Expected { position, entry, verdicts });
    }

    /// A lasting partition, one that may be gone soon, or one that isn't there.
    fn partition(&self, n: usize) -> PartitionId {
        match n {
            0..4 => PartitionId { topic: LASTING, index: n as u32 },
            _ => PartitionId { topic: self.passing, index: n as u32 - 4 },
        }
    }

    fn step(&mut self, step: Step) {
        self.now += 5;
        match step {
            Step::Append { agent, counter, clock, blocks } => self.append(agent, &counter, clock, blocks),
            Step::Trim { partition, beyond_start } => {
                let partition = self.partition(partition);
                let start = self.oracle.partitions.get(&partition).map_or(0, |history| history.log_start);
                self.put(Entry::Trim { partition, offset: (start + beyond_start).max(0) });
            }
            Step::Expire { idle, ids_below } => {
                self.put(Entry::Expire { before: self.now - idle, ids_below })
            }
            Step::End { agent } => {
                let registration = self.agents[agent];
                // A registration is never used again: the agent comes back as another.
                self.agents[agent] = RegistrationId(registration.0 + 10);
                self.put(Entry::Ended { registration });
            }
            Step::Grow => {
                let first = self.lasting;
                self.lasting += 1;
                self.put(Entry::Created { topic: LASTING, first, end: first + 1, at: self.now });
            }
            Step::Recreate => {
                let topic = self.passing;
                self.put(Entry::Deleted { topic });
                self.passing = TopicId(topic.0 + 1);
                self.put(Entry::Created { topic: self.passing, first: 0, end: 2, at: self.now });
            }
            Step::Level { level } => self.put(Entry::Feature { level }),
            Step::Erase { lasting, number } => {
                let topic = if lasting { LASTING } else { self.passing };
                let keys = [KeyDigest::of(topic, &number.to_be_bytes())].into();
                self.put(Entry::Erase { erasure: ErasureId(number), topic, keys });
            }
            Step::Erased { lasting, number } => {
                let topic = if lasting { LASTING } else { self.passing };
                self.put(Entry::Erased { erasure: ErasureId(number), topic });
            }
            Step::TxnEnd { producer, raise, commit, partitions, clock } => {
                let partitions: Vec<_> = partitions.into_iter().map(|n| self.partition(n)).collect();
                let history = self.oracle.partitions.get(&partitions[0]);
                let epoch = history.map_or(0, |history| history.goes_on(producer).0) + raise;
                let marker = EndMarker { producer_id: producer, epoch, commit };
                self.put(Entry::TxnEnd(TxnEnd { marker, at: self.now + clock, partitions }));
            }
        }
    }

    fn append(&mut self, agent: usize, counter: &Counter, clock: i64, blocks: Vec<(usize, Vec<Batch>)>) {
        let registration = self.agents[agent];
        let last = self.oracle.counter(registration);
        let counter = match counter {
            Counter::Next => last + 1,
            Counter::Repeat => last,
            Counter::Gap => last + 2,
        };
        // Batches are chosen as the blocks before them will have been folded.
        let mut ahead = self.oracle.clone();
        let mut start = 0;
        let mut all: Vec<Block> = Vec::new();
        for (partition, batches) in blocks {
            let id = self.partition(partition);
            let mut chosen = Vec::new();
            for batch in batches {
                let batch = choose(&ahead, id, &batch, self.now);
                chosen.push(batch);
                let next = ahead.counter(registration) + 1;
                ahead.take(&append_of(registration, next, self.now, vec![block(id, 0, &[batch])]));
            }
            all.push(block(id, start, &chosen));
            start += u64::from(all.last().map_or(0, |block| block.place.length));
        }
        self.put(append_of(registration, counter, self.now + clock, all));
    }
}

fn choose(oracle: &Oracle, partition: PartitionId, batch: &Batch, now: i64) -> BatchMeta {
    let max_timestamp = now + batch.timestamp;
    let (transactional, void) = (batch.transactional, batch.void);
    let shape = BatchMeta { max_timestamp, transactional, void, ..plain(batch.records, batch.bytes) };
    let Some((id, which)) = &batch.producer else { return shape };
    let history = oracle.partitions.get(&partition);
    let (epoch, next) = history.map_or((0, 0), |history| history.goes_on(*id));
    let (epoch, sequence) = match which {
        Which::Next => (epoch, next),
        Which::Again { back } => match history.and_then(|history| history.back(*id, *back)) {
            Some((meta, records)) => {
                return BatchMeta { producer: Some(meta), records, ..shape };
            }
            None => (epoch, next),
        },
        Which::Skipping { by } => (epoch, next.saturating_add(*by)),
        Which::NewEpoch { first } => (epoch + 1, *first),
        Which::OldEpoch => ((epoch - 1).max(0), next),
        Which::At { sequence } => (epoch, *sequence),
    };
    BatchMeta { producer: of(*id, epoch, sequence, 1).producer, ..shape }
}
