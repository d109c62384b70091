//! A transactional producer: batches of several partitions and its group's offset, committed or aborted together, or left open.
//!
//! Client 0 is of transaction version 2: it just writes, and gets a new epoch with each end. Client 1 is of version 1: it adds what it is going to
//! write to, and keeps its epoch; after anything that went wrong it takes its transactional id over anew, as Kafka's clients do.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use siltstone_agent::group::{NewOffset, OffsetCommitter, OffsetTransaction};
use siltstone_agent::produce::{BatchTransaction, WriteError, WriteOutcome};
use siltstone_agent::transaction::TransactionError;
use siltstone_configs::BrokerConfig;
use siltstone_log::{OffsetRow, PartitionId, ProducerMeta};
use siltstone_metadata::shard::Verdict;
use siltstone_metadata::transaction::{Claim, EndRequest, InitRequest};
use siltstone_store::memory::Chance;

use super::{PATIENCE, new_batch, send, some_agent, think};
use crate::sim::agent::NoAnswer;
use crate::sim::batches::Made;
use crate::sim::invariants::{Violation, fail, s1};
use crate::sim::setup;
use crate::sim::world::World;

/// Tries of one step before the client gives its transaction up.
const TRIES: u32 = 6;
/// Longer than most transactions take, shorter than a storm: those that are left open are ended by the sweeper, if not by their own client.
const TIMEOUT_MS: i32 = 4_000;

struct Client {
    world: Rc<World>,
    number: u64,
    chance: Chance,
    config: BrokerConfig,
    id: String,
    group: String,
    /// Of transaction version 2.
    implicit: bool,
    producer: Option<(i64, i16)>,
    /// What comes next in each partition, in this epoch.
    sequences: BTreeMap<PartitionId, i32>,
    agent: usize,
    connection: u64,
}

pub(super) async fn run(world: Rc<World>, number: u64) {
    let mut chance = world.chance(600 + number);
    let agent = some_agent(&world, &mut chance);
    let connection = world.number();
    let group = format!("of-transactions-{number}");
    let partition = world.grouped_partitions()[0];
    world.oracle.borrow_mut().transactions.commits_offsets(number, &group, partition);
    let mut client = Client {
        id: format!("transactional-{number}"),
        group,
        implicit: number == 0,
        producer: None,
        sequences: BTreeMap::new(),
        config: BrokerConfig::default(),
        world,
        number,
        chance,
        agent,
        connection,
    };
    while client.world.storming.get() {
        think(&mut client.chance).await;
        match client.producer {
            None => drop(client.init().await),
            Some(producer) => client.transaction(producer, partition).await,
        }
    }
    // Whatever was left open is aborted by taking the id over.
    client.producer = None;
    while client.producer.is_none() {
        think(&mut client.chance).await;
        if let Err(TransactionError::Unsupported) = client.init().await {
            // The feature level was never raised: there was no transaction, either.
            return;
        }
    }
}

impl Client {
    fn event(&self, what: &str) {
        self.world.event(format_args!("transactional {} at {:?}: {what}", self.number, self.producer));
    }

    fn move_to_another(&mut self) {
        self.agent = some_agent(&self.world, &mut self.chance);
        self.connection = self.world.number();
    }

    fn some_partition(&mut self) -> PartitionId {
        let Client { world, chance, .. } = self;
        let keyed = setup::aborts(world.seed) && chance.happens(0.7);
        let keyed = if keyed { world.some_keyed_partition(chance) } else { None };
        keyed.unwrap_or_else(|| world.some_partition(chance))
    }

    async fn init(&mut self) -> Result<(), TransactionError> {
        let request = InitRequest { held: None, timeout_ms: TIMEOUT_MS };
        let (config, id) = (&self.config, &self.id);
        let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            engine.transactions().init(config, id, request).await
        };
        let answer = self.world.agents[self.agent].call(PATIENCE, ask).await;
        self.event(&format!("init: {answer:?}"));
        match answer {
            Ok(Ok(producer)) => {
                self.producer = Some(producer);
                self.sequences.clear();
                return Ok(());
            }
            Ok(Err(error)) => {
                self.move_to_another();
                return Err(error);
            }
            Err(_) => self.move_to_another(),
        }
        Ok(())
    }

    /// One transaction, from its beginning to its end, or given up on the way.
    async fn transaction(&mut self, producer: (i64, i16), source: PartitionId) {
        let number = self.world.number();
        self.world.oracle.borrow_mut().transactions.begins(self.number, number);
        let mut partitions: Vec<PartitionId> =
            (0..1 + self.chance.below(3)).map(|_| self.some_partition()).collect();
        partitions.sort_unstable();
        partitions.dedup();
        let mut good = self.implicit || self.add(producer, &partitions).await;
        for partition in partitions {
            good = good && self.write(producer, number, partition).await;
        }
        good = good && (self.chance.happens(0.3) || self.offsets(producer, number, source).await);
        if self.chance.happens(0.1) {
            self.event(&format!("{number} is left open"));
            if self.chance.happens(0.5) {
                // The sweeper may come first.
                tokio::time::sleep(Duration::from_millis(TIMEOUT_MS as u64)).await;
            }
            self.producer = None;
            return;
        }
        let commit = good && self.chance.happens(if setup::aborts(self.world.seed) { 0.3 } else { 0.7 });
        self.end(producer, number, commit).await;
        if !good && !self.implicit {
            self.producer = None;
        }
    }

    async fn add(&mut self, producer: (i64, i16), partitions: &[PartitionId]) -> bool {
        for _ in 0..TRIES {
            let id = &self.id;
            let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
                engine.transactions().add_partitions(id, producer, partitions).await
            };
            let answer = self.world.agents[self.agent].call(PATIENCE, ask).await;
            self.event(&format!("add: {answer:?}"));
            match answer {
                Ok(Ok(())) => return true,
                _ => self.move_to_another(),
            }
        }
        false
    }

    /// Writes a few batches to a partition. Whether all of them are in the log.
    async fn write(&mut self, (id, epoch): (i64, i16), number: u64, partition: PartitionId) -> bool {
        let transaction = BatchTransaction { id: self.id.as_str().into(), implicit: self.implicit };
        let mut batches = Vec::new();
        let next = self.sequences.entry(partition).or_insert(0);
        for _ in 0..1 + self.chance.below(3) {
            let meta = ProducerMeta { id, epoch, first_sequence: *next };
            let named = Some(transaction.clone());
            let made = new_batch(&self.world, &mut self.chance, self.agent, partition, Some(meta), named);
            *next += made.meta.records as i32;
            batches.push(made);
        }
        for tries in 1..=TRIES {
            {
                let mut oracle = self.world.oracle.borrow_mut();
                for made in &batches {
                    oracle.promises.sent(made);
                    oracle.promises.transaction_of.insert(made.id, number);
                }
            }
            let (connection, sent) = (self.connection, batches.clone());
            // Now and then it loses its patience, and ends the transaction while what it wrote is on its way.
            let hasty = self.chance.happens(0.15);
            let limit = if hasty { Duration::from_millis(self.chance.below(40)) } else { PATIENCE };
            let place = &self.world.agents[self.agent];
            let answer = place.call(limit, async |engine| send(engine, connection, sent).await).await;
            match answer {
                Err(NoAnswer::Late) if hasty => {
                    self.event("does not wait");
                    return false;
                }
                Ok(Ok(outcomes)) => {
                    self.event(&format!("{number} in {partition:?}: {outcomes:?}"));
                    let judged = judge(&self.world, &batches, &outcomes, tries);
                    let done = judged.as_ref().is_ok_and(|all| *all);
                    let hopeless = outcomes.iter().any(|outcome| {
                        matches!(
                            outcome,
                            Err(WriteError::Transaction(_))
                                | Ok(Verdict::Fenced { .. } | Verdict::NoPartition)
                        )
                    });
                    self.world.check(judged.map(drop));
                    if done || hopeless {
                        return done;
                    }
                }
                Ok(Err(why)) => self.event(&format!("sent away: {why}")),
                Err(why) => {
                    self.event(&format!("no answer: {why:?}"));
                    self.world.count(|counts| counts.unknown += u64::from(why != NoAnswer::Down));
                    if why == NoAnswer::Late
                        && let Some(engine) = place.engine()
                    {
                        engine.writer().close_connection(connection);
                    }
                }
            }
            self.move_to_another();
        }
        false
    }

    /// Hands the transaction's number to it as the group's offset.
    async fn offsets(
        &mut self,
        (producer_id, epoch): (i64, i16),
        number: u64,
        partition: PartitionId,
    ) -> bool {
        let claim = Claim { producer_id, epoch, implicit: self.implicit };
        for _ in 0..TRIES {
            let (id, group, config, implicit) = (&self.id, &self.group, &self.config, self.implicit);
            let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
                if !implicit {
                    let added = engine.transactions().add_group(id, (producer_id, epoch), group).await;
                    added.map_err(|error| error.to_string())?;
                }
                let who = OffsetCommitter { generation: -1, version: 9, ..OffsetCommitter::default() };
                let transaction = OffsetTransaction { id: id.to_string(), claim };
                let committed = engine.ambient().clock.now();
                let row =
                    OffsetRow { offset: number as i64, leader_epoch: -1, committed, ..OffsetRow::default() };
                let offsets = vec![NewOffset { partition, row }];
                let taken = engine.groups().commit_with(config, group, who, transaction, offsets).await;
                taken.map_err(|error| error.to_string())
            };
            let answer = self.world.agents[self.agent].call(PATIENCE, ask).await;
            self.event(&format!("offset of {number}: {answer:?}"));
            match answer {
                Ok(Ok(())) => {
                    self.world.oracle.borrow_mut().transactions.took_offsets(number);
                    return true;
                }
                _ => self.move_to_another(),
            }
        }
        false
    }

    async fn end(&mut self, (producer_id, epoch): (i64, i16), number: u64, commit: bool) {
        let request = EndRequest { producer_id, epoch, commit, raises: self.implicit };
        for _ in 0..TRIES {
            let id = &self.id;
            let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
                engine.transactions().end(id, request).await
            };
            let answer = self.world.agents[self.agent].call(PATIENCE, ask).await;
            self.event(&format!("end of {number}, commit {commit}: {answer:?}"));
            if let Ok(Ok(producer)) = answer {
                let mut oracle = self.world.oracle.borrow_mut();
                let told = oracle.catch_up().and_then(|()| oracle.transactions.told(number, commit));
                drop(oracle);
                self.world.check(told);
                self.world.count(|counts| {
                    counts.committed += u64::from(commit);
                    counts.aborted += u64::from(!commit);
                });
                if self.producer.replace(producer) != Some(producer) {
                    self.sequences.clear();
                }
                return;
            }
            self.move_to_another();
        }
        self.producer = None;
    }
}

/// What the outcomes promise. Whether all batches are in the log.
fn judge(world: &World, made: &[Made], outcomes: &[WriteOutcome], tries: u32) -> Result<bool, Violation> {
    let mut all = true;
    for (made, outcome) in made.iter().zip(outcomes) {
        match outcome {
            Ok(Verdict::Appended { base_offset } | Verdict::Duplicate { base_offset }) => {
                world.count(|counts| counts.acks += 1);
                s1::acknowledged(&mut world.oracle.borrow_mut(), made, *base_offset)?;
                continue;
            }
            // Behind one that is not in the log, or of a client whose id was taken over.
            Ok(Verdict::OutOfOrder { .. } | Verdict::Fenced { .. }) => {}
            Ok(Verdict::NoPartition) if world.may_be_deleted(made.partition.topic) => {}
            Ok(other) => {
                fail("S3", format!("{:?} is judged {other:?}", made.meta.producer))?;
            }
            Err(WriteError::Lost) => world.count(|counts| counts.unknown += 1),
            Err(error) => {
                world.count(|counts| counts.refused += 1);
                if tries == 1 {
                    s1::refused(&mut world.oracle.borrow_mut(), made, &error.to_string())?;
                }
            }
        }
        all = false;
    }
    Ok(all)
}
