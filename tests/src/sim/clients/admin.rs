//! An administrator: topics, partitions, trims, the feature level.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use siltstone_log::{Entry, PartitionId, TopicId};
use siltstone_metadata::catalog::CatalogError;
use siltstone_metadata::keys::{shard_log, shard_tick};
use siltstone_metadata::shard::MAX_LEVEL;
use siltstone_store::Commit;
use siltstone_store::memory::Chance;

use super::{PATIENCE, some_agent, think};
use crate::sim::setup::{GROUPED, KEYED, keyed_topic, new_topic, programs};
use crate::sim::world::World;

pub(super) async fn run(world: Rc<World>) {
    let mut chance = world.chance(400);
    // Names of topics that were deleted.
    let mut free = Vec::new();
    while world.storming.get() {
        think(&mut chance).await;
        let agent = some_agent(&world, &mut chance);
        match chance.below(80) {
            0..=2 => create(&world, &mut chance, agent, &mut free).await,
            3 | 4 => add_partition(&world, &mut chance, agent).await,
            5 => free.extend(delete(&world, &mut chance, agent).await),
            6..=9 => raise(&world, agent).await,
            10..=33 => trim(&world, &mut chance, agent).await,
            _ => {}
        }
    }
    // What it asked for it wants to know.
    while !world.deletions(false).is_empty() {
        think(&mut chance).await;
        let agent = some_agent(&world, &mut chance);
        delete(&world, &mut chance, agent).await;
    }
}

/// Creates a topic, often under the name of one that was deleted.
async fn create(world: &World, chance: &mut Chance, agent: usize, free: &mut Vec<String>) {
    if world.partitions().len() > 8 {
        return;
    }
    let again = free.pop().filter(|_| chance.happens(0.7));
    let (name, is_new) = (again.clone(), again.is_none());
    let name = name.unwrap_or_else(|| format!("topic-{}", world.number()));
    let keyed = chance.happens(0.4);
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        let new = if keyed { keyed_topic(world.seed, &name, 2) } else { new_topic(&name, 2) };
        engine.changes().create(new).await
    };
    if let Ok(Ok(topic)) = world.agents[agent].call(PATIENCE, ask).await {
        world.event(format_args!("{name} is {:?}", topic.id));
        world.count(|counts| {
            counts.topics += 1;
            counts.created_again += u64::from(!is_new);
        });
        world.learn(&topic);
    }
}

/// Deletes a topic, or tries again what was asked before. Its name, if it is known to be gone.
async fn delete(world: &Rc<World>, chance: &mut Chance, agent: usize) -> Option<String> {
    let topic = match world.deletions(false).first() {
        Some(topic) => *topic,
        None => some_topic(world, chance)?,
    };
    let name = world.name_of(topic)?;
    world.ask_to_delete(topic);
    let ask = async |engine: std::sync::Arc<siltstone_agent::engine::Engine>| {
        engine.changes().delete(&name, topic).await
    };
    let answer = world.agents[agent].call(PATIENCE, ask).await;
    world.event(format_args!("deletion of {name}, {topic:?}: {answer:?}"));
    // Nobody else deletes it: if it is not there, an earlier try has landed.
    let Ok(Ok(()) | Err(CatalogError::NoTopic)) = answer else { return None };
    world.tell_deleted(topic);
    world.count(|counts| counts.deleted += 1);
    let world = world.clone();
    tokio::task::spawn_local(async move {
        // For a while clients ask for it all the same.
        tokio::time::sleep(Duration::from_millis(700)).await;
        world.forget(topic);
    });
    Some(name)
}

/// One that may be deleted: never the one that groups read, seldom the one that is compacted from the beginning on.
fn some_topic(world: &World, chance: &mut Chance) -> Option<TopicId> {
    let may = |topic: &TopicId| match world.name_of(*topic).as_deref() {
        None | Some(GROUPED) => false,
        Some(KEYED) => world.seed.is_multiple_of(4),
        Some(_) => true,
    };
    let topics: BTreeSet<TopicId> = world.partitions().iter().map(|id| id.topic).filter(may).collect();
    let at = chance.below(topics.len().max(1) as u64) as usize;
    topics.into_iter().nth(at).filter(|topic| !world.may_be_deleted(*topic))
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

/// Raises the level as far as all follow it, or, where all are of the newest program, to its highest without asking.
async fn raise(world: &World, agent: usize) {
    if programs(world.seed) {
        let raised =
            world.agents[agent].call(PATIENCE, async |engine| engine.changes().raise_level_for_all().await);
        if let Ok(Ok(raised)) = raised.await {
            world.event(format_args!("the feature level goes from {} to {}", raised.from, raised.to));
            world.count(|counts| {
                counts.raised += u64::from(raised.from < raised.to);
                counts.held += u64::from(!raised.held_by.is_empty());
            });
        }
        return;
    }
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
    let keyed = world.oracle.borrow().keyed.contains_key(&partition.topic);
    if keyed && chance.happens(0.9) {
        // Else compaction finds little.
        return;
    }
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
