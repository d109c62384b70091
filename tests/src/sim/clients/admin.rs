//! An administrator: topics, partitions, trims, the feature level.

use std::rc::Rc;

use siltstone_log::{Entry, PartitionId};
use siltstone_metadata::catalog::CatalogError;
use siltstone_metadata::keys::{shard_log, shard_tick};
use siltstone_metadata::shard::MAX_LEVEL;
use siltstone_store::Commit;
use siltstone_store::memory::Chance;

use super::{PATIENCE, some_agent, think};
use crate::sim::setup::new_topic;
use crate::sim::world::World;

pub(super) async fn run(world: Rc<World>) {
    let mut chance = world.chance(400);
    while world.storming.get() {
        think(&mut chance).await;
        let agent = some_agent(&world, &mut chance);
        match chance.below(40) {
            0 => create(&world, agent).await,
            1 => add_partition(&world, &mut chance, agent).await,
            2 | 3 => raise(&world, agent).await,
            4..=15 => trim(&world, &mut chance, agent).await,
            _ => {}
        }
    }
}

async fn create(world: &World, agent: usize) {
    if world.partitions().len() > 8 {
        return;
    }
    let name = format!("topic-{}", world.number());
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        engine.changes().create(new_topic(&name, 2)).await
    };
    if let Ok(Ok(topic)) = world.agents[agent].call(PATIENCE, ask).await {
        world.event(format_args!("{name} is {:?}", topic.id));
        world.count(|counts| counts.topics += 1);
        world.learn(&topic);
    }
}

async fn add_partition(world: &World, chance: &mut Chance, agent: usize) {
    let topic = world.some_partition(chance).topic;
    let count = world.partitions().iter().filter(|id| id.topic == topic).count() as u32;
    if count > 4 {
        return;
    }
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        let row =
            engine.catalog().fresh().await.map_err(|error| CatalogError::Unavailable(error.to_string()))?;
        let name = row.by_id(topic).map(|row| row.name.clone()).ok_or(CatalogError::NoTopic)?;
        engine.changes().add_partitions(&name, count, count + 1).await
    };
    if let Ok(Ok(row)) = world.agents[agent].call(PATIENCE, ask).await {
        world.event(format_args!("{topic:?} has {} partitions", row.partitions));
        world.count(|counts| counts.topics += 1);
        world.learn(&row);
    }
}

async fn raise(world: &World, agent: usize) {
    let raised =
        world.agents[agent].call(PATIENCE, async |engine| engine.changes().raise_level(MAX_LEVEL).await);
    if let Ok(Ok(level)) = raised.await {
        world.event(format_args!("the feature level is {level}"));
    }
}

/// Raises a log start, blind, as DeleteRecords does: sending it twice does no harm.
async fn trim(world: &World, chance: &mut Chance, agent: usize) {
    let partition: PartitionId = world.some_partition(chance);
    let (start, end) = {
        let oracle = world.oracle.borrow();
        (oracle.promises.start(partition), oracle.promises.end(partition))
    };
    let keep = chance.below(60) as i64;
    let offset = end - keep;
    if offset <= start {
        return;
    }
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        let shard = engine.followers().of(partition).id();
        let entry = Entry::Trim { partition, offset };
        let mutations = vec![shard_log::append(shard, 0, entry.encode()), shard_tick::tick(shard)];
        engine.store().commit(Commit { mutations, ..Commit::default() }).await
    };
    if let Ok(Ok(_)) = world.agents[agent].call(PATIENCE, ask).await {
        world.event(format_args!("{partition:?} begins at {offset}"));
        world.count(|counts| counts.trims += 1);
        world.oracle.borrow_mut().promises.tell_start(partition, offset);
    }
}
