//! A consumer: reads from anywhere through any agent, asks for ends, looks up times.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use siltstone_agent::fetch::{FetchError, FetchPartition, FetchResult, FetchSpec};
use siltstone_log::{ErasureId, PartitionId, TopicId, shard_of};
use siltstone_store::memory::Chance;

use super::{PATIENCE, some_agent, think};
use crate::sim::invariants::Violation;
use crate::sim::invariants::erased;
use crate::sim::invariants::s1::{self, Brought};
use crate::sim::invariants::s5;
use crate::sim::invariants::s6::{self, Known};
use crate::sim::invariants::s9;
use crate::sim::oracle::Oracle;
use crate::sim::world::World;

pub(super) async fn run(world: Rc<World>, number: u64) {
    let mut chance = world.chance(300 + number);
    while world.storming.get() {
        think(&mut chance).await;
        let partition = world.some_partition(&mut chance);
        let agent = some_agent(&world, &mut chance);
        match chance.below(9) {
            8 => by_name(&world, agent, partition.topic).await,
            0 | 1 => ends(&world, agent, partition).await,
            2 => times(&world, &mut chance, agent, partition).await,
            _ => fetch(&world, &mut chance, agent, partition).await,
        }
    }
}

async fn fetch(world: &World, chance: &mut Chance, agent: usize, partition: PartitionId) {
    let asked = Known::now(&world.oracle.borrow(), partition);
    // Mostly within what is known; now and then from the very end, or a little off.
    let offset = match chance.below(8) {
        0 => asked.end,
        1 => (asked.start - 1).max(0),
        2 => asked.end + 1,
        _ => asked.start + chance.below((asked.end - asked.start).max(0) as u64 + 1) as i64,
    };
    // As if that was where it had been when compaction came.
    let gap = chance.below(8) as usize;
    let offset = world.seen.borrow().gaps(partition).get(gap).copied().unwrap_or(offset);
    let max_bytes = [1, 1000, 20_000][chance.below(3) as usize];
    let max_wait = Duration::from_millis(chance.below(300));
    let spec = FetchSpec { committed: chance.happens(0.5), ..spec(partition, offset, max_bytes, max_wait) };
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        let results = engine.reader().fetch(&spec).await;
        (results, erased::promised(world, &engine, partition))
    };
    let Ok((results, promised)) = world.agents[agent].call(PATIENCE, ask).await else { return };
    for result in results {
        world.event(format_args!("fetch {agent} {partition:?} from {offset}: {}", shown(&result)));
        world.check(fetched(world, (asked, &promised), offset, &result, spec.committed).map(drop));
    }
}

fn shown(result: &FetchResult) -> String {
    match &result.records {
        Ok(_) => format!("{} bytes, {:?}", result.bytes, result.bounds),
        Err(error) => format!("{error}"),
    }
}

/// A fetch of one partition.
pub(in crate::sim) fn spec(
    partition: PartitionId,
    offset: i64,
    max_bytes: usize,
    max_wait: Duration,
) -> FetchSpec {
    let partitions = vec![FetchPartition { partition, offset, max_bytes }];
    FetchSpec { partitions, committed: false, min_bytes: 1, max_bytes, max_wait }
}

/// Judges an answer to a fetch. `asked`: what was known when it was asked for; `promised`: the erasures
/// that it must go by.
pub(in crate::sim) fn fetched(
    world: &World,
    (asked, promised): (Known, &BTreeSet<ErasureId>),
    offset: i64,
    result: &FetchResult,
    committed: bool,
) -> Result<Brought, Violation> {
    world.count(|counts| counts.fetches += 1);
    let partition = result.partition;
    match &result.records {
        Ok(pieces) => {
            let mut oracle = world.oracle.borrow_mut();
            oracle.catch_up()?;
            let log = oracle.log(partition);
            let read = match oracle.compacted(partition) {
                Some(_) => s1::read_compacted(&oracle, partition, offset, pieces)?,
                None => s1::read(log, partition, offset, pieces)?,
            };
            erased::not_shown(&oracle, partition, promised, &read.offsets)?;
            let bounds = result.bounds;
            let end = if committed { bounds.last_stable } else { bounds.high_watermark };
            let nothing = read.batches.is_empty() && (bounds.log_start..end).contains(&offset);
            let may_be = || may_be_empty(&oracle, partition, offset, end) || withheld(&oracle, result);
            if nothing && offset >= log.log_start && !may_be() {
                let what = format!("{partition:?} read from {offset}: nothing, with {bounds:?}");
                return Err(Violation { invariant: "S1", what });
            }
            if bounds.high_watermark > log.next || bounds.high_watermark < offset {
                let what =
                    format!("{partition:?} read from {offset} is said to end at {}", bounds.high_watermark);
                return Err(Violation { invariant: "S6", what });
            }
            if committed {
                let aborted: Vec<_> = result.aborted.iter().map(|a| (a.producer_id, a.first)).collect();
                s5::committed(log, partition, read.next, &read.batches, &aborted)?;
            }
            world.count(|counts| counts.read += read.batches.len() as u64);
            Ok(read)
        }
        Err(FetchError::OutOfRange { .. }) => {
            s6::out_of_range(&mut world.oracle.borrow_mut(), partition, asked, offset)?;
            Ok(Brought { next: offset, ..Brought::default() })
        }
        Err(FetchError::NoPartition) if world.may_be_deleted(partition.topic) => {
            Ok(Brought { next: offset, ..Brought::default() })
        }
        Err(FetchError::NoPartition) => {
            let what = format!("{partition:?} is said not to exist");
            Err(Violation { invariant: "S6", what })
        }
        Err(FetchError::Unavailable(_) | FetchError::Storage(_) | FetchError::Moved(_)) => {
            Ok(Brought { next: offset, ..Brought::default() })
        }
    }
}

/// Whether an answer may have been taken back, since more is erased by now than it was filtered by.
fn withheld(oracle: &Oracle, result: &FetchResult) -> bool {
    let shard = shard_of(result.partition, oracle.shards.len() as u16);
    let state = oracle.shards[usize::from(shard.0)].state.partition(result.partition);
    state.is_some_and(|state| match &result.hidden {
        Some(hidden) => !hidden.is_all_of(state.row()),
        None => !state.row().erasures.is_empty(),
    })
}

/// Whether compaction by key may have left nothing of offsets `from..to`: never of the last one.
fn may_be_empty(oracle: &Oracle, partition: PartitionId, from: i64, to: i64) -> bool {
    oracle.compacted(partition).is_some()
        && to < oracle.log(partition).next
        && s9::none_missing(oracle, partition, (from, to), &BTreeSet::new()).is_ok()
}

/// Asks which topic has a name: never one that was deleted before, and always one that is there.
async fn by_name(world: &World, agent: usize, topic: TopicId) {
    let (Some(name), was_deleted) = (world.name_of(topic), world.is_deleted(topic)) else { return };
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        let catalog = engine.catalog().fresh().await;
        catalog.map(|catalog| catalog.topic(&name).map(|row| row.id))
    };
    let Ok(Ok(found)) = world.agents[agent].call(PATIENCE, ask).await else { return };
    world.event(format_args!("{name} is {found:?}"));
    let there = found == Some(topic);
    if there && was_deleted || !there && !world.may_be_deleted(topic) {
        let what = format!("{topic:?} is said to be {found:?}; deleted before: {was_deleted}");
        world.violated(Violation { invariant: "S6", what });
    }
}

async fn ends(world: &World, agent: usize, partition: PartitionId) {
    let asked = Known::now(&world.oracle.borrow(), partition);
    let was_deleted = world.is_deleted(partition.topic);
    let place = &world.agents[agent];
    let answer = place.call(PATIENCE, async |engine| engine.reader().fresh_bounds(partition).await).await;
    if let Ok(Ok(bounds)) = answer {
        world.event(format_args!("ends {agent} {partition:?}: {bounds:?}"));
        world.count(|counts| counts.ends += 1);
        if was_deleted {
            let what = format!("{partition:?} was deleted, and is said to end at {bounds:?}");
            return world.violated(Violation { invariant: "S6", what });
        }
        let result = s6::ends(&mut world.oracle.borrow_mut(), partition, asked, bounds);
        world.check(result);
    }
}

/// Looks up a time; what is found must be a record that is there.
async fn times(world: &World, chance: &mut Chance, agent: usize, partition: PartitionId) {
    let asked = Known::now(&world.oracle.borrow(), partition);
    let latest = chance.happens(0.5);
    let since = world.agents[agent].ambient.clock.now() - chance.below(20_000) as i64;
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| match latest {
        true => engine.reader().max_timestamp(partition).await,
        false => engine.reader().first_since(partition, since).await,
    };
    let Ok(Ok(found)) = world.agents[agent].call(PATIENCE, ask).await else { return };
    world.event(format_args!("time {agent} {partition:?}: {found:?}"));
    world.count(|counts| counts.ends += 1);
    let mut oracle = world.oracle.borrow_mut();
    world.check(oracle.catch_up());
    let log = oracle.log(partition);
    let good = match found {
        Some(found) => {
            let there = log.holding(found.offset).is_some();
            there && found.offset >= asked.start && (latest || found.timestamp >= since)
        }
        // Nothing: then there was nothing to be found among what was known.
        None if latest => {
            let end = asked.end.min(log.next - 1);
            log.log_start >= asked.end
                || !log.gone.is_empty()
                || may_be_empty(&oracle, partition, log.log_start, end)
        }
        None => true,
    };
    if !good {
        let what = format!("{partition:?}: looking for a time found {found:?}");
        drop(oracle);
        world.violated(Violation { invariant: "S6", what });
    }
}
