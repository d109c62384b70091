//! Somebody who has records of keys erased for good, as the law asks for.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_agent::erasure;
use siltstone_log::PartitionId;
use siltstone_store::memory::Chance;
use tokio::time::sleep;

use super::some_agent;
use crate::sim::oracle::keys_of;
use crate::sim::setup;
use crate::sim::world::World;

/// It takes as long as an agent may serve what it knows, and some more.
const PATIENCE: Duration = Duration::from_secs(8);

pub(super) async fn run(world: Rc<World>, number: u64) {
    if !setup::erases(world.seed) {
        return;
    }
    let mut chance = world.chance(700 + number);
    loop {
        let due = world.elapsed() + Duration::from_millis(400 + chance.below(5000));
        // Now and then just while something is being rewritten.
        while world.elapsed() < due && !world.rewriting.take() {
            sleep(Duration::from_millis(20)).await;
        }
        if !world.storming.get() {
            return;
        }
        let partition = world.some_partition(&mut chance);
        erase(&world, &mut chance, partition).await;
    }
}

/// Asks for the erasure of a few keys, of one partition, perhaps of others of the same topic, too.
async fn erase(world: &World, chance: &mut Chance, partition: PartitionId) {
    let keys: Vec<Bytes> = some_keys(world, chance, partition).into_iter().collect();
    let Some(name) = world.name_of(partition.topic).filter(|_| !keys.is_empty()) else { return };
    let agent = some_agent(world, chance);
    world.event(format_args!("{} keys of {name} are to be erased, through {agent}", keys.len()));
    let ask = async |engine: Arc<Engine>| erasure::erase(&engine, &name, &keys).await;
    let answer = world.agents[agent].call(PATIENCE, ask).await;
    if let Ok(Ok((id, row, _))) = &answer {
        world.event(format_args!("{id}: {} keys of {name} are erased", row.named));
        world.count(|counts| counts.erasures += 1);
        world.oracle.borrow_mut().promises.erased.push(*id);
    } else {
        world.event(format_args!("keys of {name} are perhaps erased: {answer:?}"));
    }
}

/// Of the newest records more often than of others.
fn some_keys(world: &World, chance: &mut Chance, partition: PartitionId) -> BTreeSet<Bytes> {
    let oracle = world.oracle.borrow();
    let log = oracle.log(partition);
    let from = if chance.happens(0.5) { log.next - 30 } else { log.log_start };
    let batches: Vec<_> =
        log.batches.range(from..).filter(|(base, _)| !log.markers.contains_key(base)).collect();
    let mut keys = BTreeSet::new();
    for _ in 0..1 + chance.below(4) {
        let at = chance.below(batches.len().max(1) as u64) as usize;
        let Some((_, batch)) = batches.get(at) else { continue };
        let of_batch = keys_of(batch);
        let at = chance.below(of_batch.len().max(1) as u64) as usize;
        keys.extend(of_batch.into_iter().nth(at).map(|(_, key)| Bytes::from(key)));
    }
    keys
}
