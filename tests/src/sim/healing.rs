//! The healing: faults end, and then all must be well.

mod left;

use std::time::Duration;

use siltstone_agent::fetch::{FetchError, FetchSpec};
use siltstone_agent::produce::WriteError;
use siltstone_log::PartitionId;
use siltstone_metadata::shard::{MAX_LEVEL, Verdict};
use siltstone_store::memory::Chance;
use tokio::time::sleep;

use super::clients::members::Group;
use super::clients::{fetched, new_batch, send, spec};
use super::invariants::s6::{self, Known};
use super::invariants::{Violation, after_step, erased, fail, groups, levels, s1};
use super::nemesis;
use super::setup;
use super::world::World;

const NAME: &str = "healing";
/// Everything must have come to its end after so long without faults.
pub(super) const PATIENCE: Duration = Duration::from_secs(40);
/// One answer.
const ANSWER: Duration = Duration::from_secs(8);
const TRIES: usize = 20;

/// Ends the storm. In half of the runs all agents start anew; in the others those that run must have come through.
pub(super) fn begin(world: &World) {
    world.event(format_args!("healing begins"));
    world.storming.set(false);
    nemesis::heal(world);
    // The last ones get the newest program, too.
    for agent in world.agents.iter().filter(|agent| !agent.is_newest()) {
        agent.upgrade();
        agent.crash(Duration::ZERO);
    }
    if world.seed.is_multiple_of(2) {
        world.agents.iter().for_each(|agent| agent.crash(Duration::ZERO));
    }
    if world.seed % 4 < 2 {
        world.compactors.iter().for_each(|place| place.crash(Duration::ZERO));
    }
}

/// Nothing is owed to any client, and every record can be read through every agent.
pub(super) async fn all_must_be_well(world: &World) {
    let result = well(world).await;
    world.check(result);
    if world.violation().is_none() {
        after_step(world);
    }
}

async fn well(world: &World) -> Result<(), Violation> {
    if let Some(violation) = world.violation() {
        return Err(violation);
    }
    if world.clients_at_work.get() > 0 {
        return fail(NAME, format!("{} clients still wait", world.clients_at_work.get()));
    }
    world.deletions(true).into_iter().for_each(|topic| world.forget(topic));
    write_keyed(world).await?;
    raise(world).await?;
    left::wait(world).await?;
    // Faults that were to end later may have been put back to calm twice: that does no harm.
    nemesis::heal(world);
    for agent in 0..world.agents.len() {
        write_one(world, agent).await?;
    }
    for agent in 0..world.agents.len() {
        for partition in world.partitions() {
            for committed in [false, true] {
                read_all(world, agent, partition, committed).await?;
            }
        }
        for group in world.plan_of_groups() {
            read_offsets(world, agent, group).await?;
        }
        for topic in world.deletions(true) {
            read_deleted(world, agent, PartitionId { topic, index: 0 }).await?;
        }
    }
    Ok(())
}

/// Where programs were of different age and all are new now, the level can be raised to the highest: once those that were killed count as dead.
async fn raise(world: &World) -> Result<(), Violation> {
    let begun = world.elapsed();
    while setup::programs(world.seed) {
        let raised = ask(world, 0, async |engine| engine.changes().raise_level_for_all().await).await?;
        let level = levels::of_cluster(&world.oracle.borrow());
        if level == Some(MAX_LEVEL) {
            break;
        }
        if world.elapsed() > begun + PATIENCE {
            return fail(NAME, format!("the feature level stays at {level:?}: {raised:?}"));
        }
        sleep(Duration::from_millis(300)).await;
    }
    Ok(())
}

/// Writes a batch through an agent. Whoever finds out by this that its registration is over may say so, and start anew.
async fn write_one(world: &World, agent: usize) -> Result<(), Violation> {
    let mut chance = world.chance(500 + agent as u64);
    let partition = world.some_partition(&mut chance);
    write_to(world, &mut chance, agent, partition).await
}

/// Writes something to each partition that is compacted by key: a round that failed is looked at again once something has come in.
async fn write_keyed(world: &World) -> Result<(), Violation> {
    let mut chance = world.chance(550);
    let keyed = |id: &PartitionId| world.oracle.borrow().keyed.contains_key(&id.topic);
    let partitions: Vec<PartitionId> = world.partitions().into_iter().filter(keyed).collect();
    for (index, partition) in partitions.into_iter().enumerate() {
        write_to(world, &mut chance, index % world.agents.len(), partition).await?;
    }
    Ok(())
}

async fn write_to(
    world: &World,
    chance: &mut Chance,
    agent: usize,
    partition: PartitionId,
) -> Result<(), Violation> {
    for _ in 0..TRIES {
        let made = new_batch(world, chance, agent, partition, None, None);
        world.oracle.borrow_mut().promises.sent(&made);
        let (connection, batch) = (world.number(), made.clone());
        let outcomes =
            ask(world, agent, async |engine| send(engine, connection, vec![batch.clone()]).await).await?;
        world.event(format_args!("agent {agent}, last write: {outcomes:?}"));
        match outcomes.as_deref() {
            Ok([Ok(Verdict::Appended { base_offset })]) => {
                return s1::acknowledged(&mut world.oracle.borrow_mut(), &made, *base_offset);
            }
            Ok([Err(WriteError::Ended | WriteError::Lost)]) | Err(_) => {
                sleep(Duration::from_millis(200)).await
            }
            other => return fail(NAME, format!("agent {agent} answers a write with {other:?}")),
        }
    }
    fail(NAME, format!("agent {agent} takes no writes"))
}

/// Reads a partition from its beginning to its end.
async fn read_all(
    world: &World,
    agent: usize,
    partition: PartitionId,
    committed: bool,
) -> Result<(), Violation> {
    let asked = Known::now(&world.oracle.borrow(), partition);
    let bounds = ask(world, agent, async |engine| engine.reader().fresh_bounds(partition).await).await?;
    let bounds = bounds.map_err(|error| broken(agent, partition, &error))?;
    s6::ends(&mut world.oracle.borrow_mut(), partition, asked, bounds)?;
    let mut offset = bounds.log_start;
    if bounds.last_stable != bounds.high_watermark {
        return fail(NAME, format!("agent {agent}: {partition:?} still has open transactions: {bounds:?}"));
    }
    while offset < bounds.high_watermark {
        let spec = FetchSpec { committed, ..spec(partition, offset, 30_000, Duration::ZERO) };
        let question = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
            let results = engine.reader().fetch(&spec).await;
            (results, erased::promised(world, &engine, partition))
        };
        let (results, promised) = ask(world, agent, question).await?;
        let Some(result) = results.into_iter().next() else { return fail(NAME, "a fetch without an answer") };
        if let Err(FetchError::OutOfRange { log_start, .. }) = &result.records
            && *log_start > offset
        {
            // A trim whose result was unknown has landed.
            fetched(world, (asked, &promised), offset, &result, committed)?;
            offset = *log_start;
            continue;
        }
        if let Err(error) = &result.records {
            return Err(broken(agent, partition, error));
        }
        let read = fetched(world, (asked, &promised), offset, &result, committed)?;
        if read.batches.is_empty() {
            return fail(NAME, format!("agent {agent}: nothing of {partition:?} comes from {offset}"));
        }
        offset = read.next;
    }
    Ok(())
}

/// Of a deleted topic there is nothing to be had.
async fn read_deleted(world: &World, agent: usize, partition: PartitionId) -> Result<(), Violation> {
    let bounds = ask(world, agent, async |engine| engine.reader().fresh_bounds(partition).await).await?;
    let spec = spec(partition, 0, 30_000, Duration::ZERO);
    let results = ask(world, agent, async |engine| engine.reader().fetch(&spec).await).await?;
    let found = results.into_iter().next().map(|result| result.records.map(|pieces| pieces.len()));
    match (&bounds, &found) {
        (Err(FetchError::NoPartition), Some(Err(FetchError::NoPartition))) => Ok(()),
        _ => fail(NAME, format!("agent {agent}: {partition:?} was deleted, and gives {bounds:?}, {found:?}")),
    }
}

/// All that a group has committed is known to every agent.
async fn read_offsets(world: &World, agent: usize, group: Group) -> Result<(), Violation> {
    let partitions = world.grouped_partitions();
    let ask_for = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        engine.groups().committed(group.name, &partitions, false).await
    };
    let found = ask(world, agent, ask_for).await?;
    let found = found.map_err(|error| Violation { invariant: NAME, what: error.to_string() })?;
    for offset in found {
        let known = world.groups.borrow();
        let least = known.get(group.name).map_or(0, |known| known.promised(offset.partition));
        groups::found(offset.partition, least, offset.row.map_or(0, |row| row.offset))?;
    }
    Ok(())
}

fn broken(agent: usize, partition: PartitionId, error: &dyn std::fmt::Display) -> Violation {
    Violation { invariant: NAME, what: format!("agent {agent}: {partition:?}: {error}") }
}

/// Asks until an agent is there to answer.
async fn ask<T>(
    world: &World,
    agent: usize,
    question: impl AsyncFn(std::sync::Arc<siltstone_agent::engine::Engine>) -> T,
) -> Result<T, Violation> {
    for _ in 0..200 {
        match world.agents[agent].call(ANSWER, &question).await {
            Ok(answer) => return Ok(answer),
            Err(super::agent::NoAnswer::Late) => {
                return fail(NAME, format!("agent {agent} does not answer")).map(|()| unreachable!());
            }
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
    fail(NAME, format!("agent {agent} does not start")).map(|()| unreachable!())
}
