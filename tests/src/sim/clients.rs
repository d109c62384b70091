//! Clients: what they ask for, what they remember of the answers, and what they then believe.

mod admin;
mod consumer;
mod eraser;
mod idempotent;
pub(super) mod members;
mod plain;
mod transactional;

use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::Engine;
use siltstone_agent::produce::{BatchTransaction, Placement, WriteOutcome};
use siltstone_log::{PartitionId, ProducerMeta};
use siltstone_records::Compression;
use siltstone_store::memory::Chance;
use tokio::task::JoinSet;

use super::batches::{Keyed, Made, Wanted, make};
use super::world::World;
pub(super) use consumer::{fetched, spec};

/// A client gives up on an answer after so long.
const PATIENCE: Duration = Duration::from_secs(4);

/// Starts all clients.
pub(super) fn spawn(world: &Rc<World>, tasks: &mut JoinSet<()>) {
    for number in 0..2 {
        at_work(world, tasks, idempotent::run(world.clone(), number));
        at_work(world, tasks, plain::run(world.clone(), number));
        at_work(world, tasks, consumer::run(world.clone(), number));
        at_work(world, tasks, transactional::run(world.clone(), number));
        at_work(world, tasks, eraser::run(world.clone(), number));
    }
    at_work(world, tasks, admin::run(world.clone()));
    members::spawn(world, tasks);
}

/// Runs a client that ends by itself once the storm is over and all that it asked for is answered.
fn at_work(world: &Rc<World>, tasks: &mut JoinSet<()>, client: impl Future<Output = ()> + 'static) {
    world.clients_at_work.set(world.clients_at_work.get() + 1);
    let world = world.clone();
    tasks.spawn_local(async move {
        client.await;
        world.clients_at_work.set(world.clients_at_work.get() - 1);
    });
}

/// Thinks for a while; longer once there is nothing new to do.
async fn think(chance: &mut Chance) {
    tokio::time::sleep(Duration::from_millis(5 + chance.below(60))).await;
}

fn some_agent(world: &World, chance: &mut Chance) -> usize {
    chance.below(world.agents.len() as u64) as usize
}

/// A batch that nobody has sent before.
pub(super) fn new_batch(
    world: &World,
    chance: &mut Chance,
    agent: usize,
    partition: PartitionId,
    producer: Option<ProducerMeta>,
    transaction: Option<BatchTransaction>,
) -> Made {
    let placement = match chance.below(6) {
        0 => Placement::Object,
        1 => Placement::Inline,
        _ => Placement::Auto,
    };
    let records = 1 + chance.below(4) as u32;
    let (keyed, compression) = keys(world, chance, partition, records);
    let made = make(&Wanted {
        number: world.number(),
        partition,
        records,
        keyed,
        compression,
        value_bytes: [10, 100, 700][chance.below(3) as usize],
        timestamp: world.agents[agent].ambient.clock.now(),
        producer,
        placement,
        transactional: transaction.is_some(),
    });
    Made { transaction, ..made }
}

/// Keys for a batch, some of them rare, if they matter in this partition; and how to compress it.
fn keys(
    world: &World,
    chance: &mut Chance,
    partition: PartitionId,
    records: u32,
) -> (Vec<Keyed>, Compression) {
    if !world.oracle.borrow().keyed.contains_key(&partition.topic) {
        return (Vec::new(), Compression::None);
    }
    let mut key = || {
        let of = if chance.happens(0.8) { 8 } else { 100 };
        Keyed { key: chance.below(of), tombstone: chance.happens(0.2) }
    };
    let keyed = (0..records).map(|_| key()).collect();
    let codecs = [Compression::Lz4, Compression::Zstd, Compression::None, Compression::None];
    (keyed, codecs[chance.below(4) as usize])
}

/// What a produce request needs before its batches may be appended.
async fn prepare(engine: &Engine, partition: PartitionId) -> Result<(), String> {
    engine.followers().load(&[partition]).await.map_err(|error| error.to_string())?;
    let exists = engine.followers().of(partition).partition(partition, |_| ());
    exists.map_err(|error| error.to_string())
}

/// Sends batches one by one over one connection, without waiting in between, and waits for all outcomes.
pub(super) async fn send(
    engine: Arc<Engine>,
    connection: u64,
    batches: Vec<Made>,
) -> Result<Vec<WriteOutcome>, String> {
    let Some(first) = batches.first() else { return Ok(Vec::new()) };
    prepare(&engine, first.partition).await?;
    let mut tickets = Vec::new();
    for made in batches {
        let room = engine.writer().budget().reserve(made.bytes.len()).await;
        tickets.push(engine.writer().append(connection, vec![made.batch()], Some(room), true));
    }
    let mut outcomes = Vec::new();
    for ticket in tickets {
        outcomes.extend(ticket.outcomes().await);
    }
    Ok(outcomes)
}
