//! A consumer: reads from anywhere through any agent, asks for ends, looks up times.

use std::rc::Rc;
use std::time::Duration;

use siltstone_agent::fetch::{FetchError, FetchPartition, FetchResult, FetchSpec};
use siltstone_log::PartitionId;
use siltstone_store::memory::Chance;

use super::{PATIENCE, some_agent, think};
use crate::sim::invariants::Violation;
use crate::sim::invariants::s1::{self, Brought};
use crate::sim::invariants::s5;
use crate::sim::invariants::s6::{self, Known};
use crate::sim::world::World;

pub(super) async fn run(world: Rc<World>, number: u64) {
    let mut chance = world.chance(300 + number);
    while world.storming.get() {
        think(&mut chance).await;
        let partition = world.some_partition(&mut chance);
        let agent = some_agent(&world, &mut chance);
        match chance.below(8) {
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
    let max_bytes = [1, 1000, 20_000][chance.below(3) as usize];
    let max_wait = Duration::from_millis(chance.below(300));
    let spec = FetchSpec { committed: chance.happens(0.5), ..spec(partition, offset, max_bytes, max_wait) };
    let answer = world.agents[agent].call(PATIENCE, async |engine| engine.reader().fetch(&spec).await).await;
    for result in answer.into_iter().flatten() {
        world.event(format_args!("fetch {agent} {partition:?} from {offset}: {}", shown(&result)));
        world.check(fetched(world, asked, offset, &result, spec.committed).map(drop));
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

/// Judges an answer to a fetch.
pub(in crate::sim) fn fetched(
    world: &World,
    asked: Known,
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
            let read = s1::read(log, partition, offset, pieces)?;
            let bounds = result.bounds;
            let end = if committed { bounds.last_stable } else { bounds.high_watermark };
            if read.batches == 0 && (bounds.log_start..end).contains(&offset) && offset >= log.log_start {
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
                s5::committed(log, partition, offset, read.next, &aborted)?;
            }
            world.count(|counts| counts.read += read.batches);
            Ok(read)
        }
        Err(FetchError::OutOfRange { .. }) => {
            s6::out_of_range(&mut world.oracle.borrow_mut(), partition, asked, offset)?;
            Ok(Brought { batches: 0, next: offset })
        }
        Err(FetchError::NoPartition) => {
            let what = format!("{partition:?} is said not to exist");
            Err(Violation { invariant: "S6", what })
        }
        Err(FetchError::Unavailable(_) | FetchError::Storage(_) | FetchError::Moved(_)) => {
            Ok(Brought { batches: 0, next: offset })
        }
    }
}

async fn ends(world: &World, agent: usize, partition: PartitionId) {
    let asked = Known::now(&world.oracle.borrow(), partition);
    let place = &world.agents[agent];
    let answer = place.call(PATIENCE, async |engine| engine.reader().fresh_bounds(partition).await).await;
    if let Ok(Ok(bounds)) = answer {
        world.event(format_args!("ends {agent} {partition:?}: {bounds:?}"));
        world.count(|counts| counts.ends += 1);
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
        None if latest => log.log_start >= asked.end,
        None => true,
    };
    if !good {
        let what = format!("{partition:?}: looking for a time found {found:?}");
        drop(oracle);
        world.violated(Violation { invariant: "S6", what });
    }
}
