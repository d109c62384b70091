//! An idempotent producer: up to five batches of a partition in flight, sent again with their sequences, to any agent, until acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use siltstone_agent::produce::{WriteError, WriteOutcome};
use siltstone_log::{PartitionId, ProducerMeta};
use siltstone_metadata::shard::Verdict;
use siltstone_store::memory::Chance;

use super::{PATIENCE, new_batch, send, some_agent, think};
use crate::sim::agent::NoAnswer;
use crate::sim::batches::Made;
use crate::sim::invariants::{Violation, s1};
use crate::sim::world::World;

/// As many as Kafka's clients have in flight, and as the fold remembers.
const IN_FLIGHT: usize = 5;

#[derive(Debug)]
struct Waiting {
    made: Made,
    tries: u32,
}

#[derive(Debug, Default)]
struct Queue {
    next_sequence: i32,
    waiting: VecDeque<Waiting>,
    /// The first batch is acknowledged: more than one may be in flight.
    known: bool,
}

struct Producer {
    world: Rc<World>,
    number: u64,
    chance: Chance,
    id: i64,
    epoch: i16,
    queues: BTreeMap<PartitionId, Queue>,
    agent: usize,
    connection: u64,
}

pub(super) async fn run(world: Rc<World>, number: u64) {
    let mut chance = world.chance(100 + number);
    let id = loop {
        let agent = some_agent(&world, &mut chance);
        let asked = world.agents[agent].call(PATIENCE, async |engine| engine.producer_id().await).await;
        if let Ok(Ok(id)) = asked {
            break id;
        }
        think(&mut chance).await;
    };
    world.event(format_args!("producer {number} has id {id}"));
    let agent = some_agent(&world, &mut chance);
    let connection = world.number();
    let queues = BTreeMap::new();
    let mut producer = Producer { world, number, chance, id, epoch: 0, queues, agent, connection };
    while producer.world.storming.get() || producer.owes() {
        producer.round().await;
        think(&mut producer.chance).await;
    }
}

impl Producer {
    fn owes(&self) -> bool {
        self.queues.values().any(|queue| !queue.waiting.is_empty())
    }

    async fn round(&mut self) {
        if self.world.storming.get() && self.chance.happens(0.02) && !self.owes() {
            // A new epoch begins at sequence 0 everywhere.
            self.epoch += 1;
            self.queues.clear();
        }
        let Some(partition) = self.choose() else { return };
        if self.chance.happens(0.15) {
            self.move_to_another();
        }
        self.fill(partition);
        let batches = self.all_waiting(partition);
        let (agent, connection) = (self.agent, self.connection);
        let place = &self.world.agents[agent];
        let answer = place.call(PATIENCE, async |engine| send(engine, connection, batches).await).await;
        match answer {
            Ok(Ok(outcomes)) => self.take(partition, outcomes),
            Ok(Err(why)) => {
                self.world.event(format_args!("producer {} is sent away: {why}", self.number));
                if self.world.oracle.borrow().deleted.contains(&partition.topic) {
                    self.queues.remove(&partition);
                }
                self.move_to_another();
            }
            Err(why) => {
                self.world.event(format_args!("producer {} has no answer: {why:?}", self.number));
                self.world.count(|counts| counts.unknown += u64::from(why != NoAnswer::Down));
                if why == NoAnswer::Late
                    && let Some(engine) = place.engine()
                {
                    engine.writer().close_connection(connection);
                }
                self.move_to_another();
            }
        }
    }

    fn choose(&mut self) -> Option<PartitionId> {
        if self.world.storming.get() {
            return Some(self.world.some_partition(&mut self.chance));
        }
        self.queues.iter().find(|(_, queue)| !queue.waiting.is_empty()).map(|(id, _)| *id)
    }

    fn move_to_another(&mut self) {
        self.agent = some_agent(&self.world, &mut self.chance);
        self.connection = self.world.number();
    }

    /// Makes new batches, while that is allowed.
    fn fill(&mut self, partition: PartitionId) {
        let Producer { world, chance, queues, id, epoch, agent, .. } = self;
        let queue = queues.entry(partition).or_default();
        let most = if queue.known { 1 + chance.below(IN_FLIGHT as u64) as usize } else { 1 };
        while world.storming.get() && queue.waiting.len() < most {
            let meta = ProducerMeta { id: *id, epoch: *epoch, first_sequence: queue.next_sequence };
            let made = new_batch(world, chance, *agent, partition, Some(meta), None);
            queue.next_sequence += made.meta.records as i32;
            queue.waiting.push_back(Waiting { made, tries: 0 });
        }
    }

    fn all_waiting(&mut self, partition: PartitionId) -> Vec<Made> {
        let Some(queue) = self.queues.get_mut(&partition) else { return Vec::new() };
        let mut oracle = self.world.oracle.borrow_mut();
        let all = queue.waiting.iter_mut().map(|waiting| {
            waiting.tries += 1;
            oracle.promises.sent(&waiting.made);
            waiting.made.clone()
        });
        all.collect()
    }

    /// Takes the outcomes of all batches that wait, in order.
    fn take(&mut self, partition: PartitionId, outcomes: Vec<WriteOutcome>) {
        let Some(queue) = self.queues.get_mut(&partition) else { return };
        let sent: Vec<Waiting> = queue.waiting.drain(..).collect();
        let (mut before_are_in, mut deleted) = (true, false);
        for (waiting, outcome) in sent.into_iter().zip(outcomes) {
            let (number, sequence) =
                (self.number, waiting.made.meta.producer.map(|meta| meta.first_sequence));
            self.world.event(format_args!("producer {number}: {sequence:?} of {partition:?}: {outcome:?}"));
            let result = judge(&self.world, &waiting, &outcome, before_are_in);
            self.world.check(result);
            deleted |= outcome == Ok(Verdict::NoPartition);
            if matches!(outcome, Ok(Verdict::Appended { .. } | Verdict::Duplicate { .. })) {
                queue.known = true;
            } else {
                before_are_in = false;
                queue.waiting.push_back(waiting);
            }
        }
        if deleted {
            self.queues.remove(&partition);
        }
    }
}

/// What an outcome promises.
fn judge(
    world: &World,
    waiting: &Waiting,
    outcome: &WriteOutcome,
    before_are_in: bool,
) -> Result<(), Violation> {
    let made = &waiting.made;
    match outcome {
        Ok(Verdict::Appended { base_offset }) => {
            world.count(|counts| counts.acks += 1);
            s1::acknowledged(&mut world.oracle.borrow_mut(), made, *base_offset)
        }
        Ok(Verdict::Duplicate { base_offset }) => {
            world.count(|counts| {
                counts.acks += 1;
                counts.duplicates += 1;
            });
            s1::acknowledged(&mut world.oracle.borrow_mut(), made, *base_offset)
        }
        Ok(Verdict::NoPartition) if world.may_be_deleted(made.partition.topic) => Ok(()),
        // All that comes before it is in the log, and it is among the last five: it must have its place.
        Ok(Verdict::OutOfOrder { .. }) if !before_are_in => Ok(()),
        Ok(other) => {
            let what =
                format!("{:?} is judged {other:?}, though all before it is in the log", made.meta.producer);
            Err(Violation { invariant: "S3", what })
        }
        Err(WriteError::Lost) => {
            world.count(|counts| counts.unknown += 1);
            Ok(())
        }
        // The others say that this try is not in the log; an earlier one may be.
        Err(error) => {
            world.count(|counts| counts.refused += 1);
            if waiting.tries > 1 {
                return Ok(());
            }
            s1::refused(&mut world.oracle.borrow_mut(), made, &error.to_string())
        }
    }
}
