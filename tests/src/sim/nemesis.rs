//! What breaks things: faults of both stores, crashes, pauses, cuts, clocks that jump.

mod rewriting;

use std::rc::Rc;
use std::time::Duration;

use siltstone_objects::testing;
use siltstone_store::memory::{Chance, Faults, MemoryStore};
use tokio::time::sleep;

use super::setup::{FLOOR_LAG, LEASE};
use super::world::World;

/// Breaks things until the storm is over.
pub(super) async fn run(world: Rc<World>) {
    let mut chance = world.chance(1);
    handles(&world).for_each(|store| store.set_faults(calm()));
    world.bucket.set(calm_bucket());
    // Some runs are rough, some are quiet for long.
    let pace = 150 + chance.below(1500);
    loop {
        sleep(Duration::from_millis(chance.below(pace))).await;
        if !world.storming.get() {
            return;
        }
        strike(&world, &mut chance);
        if chance.happens(0.5) {
            strike_compactor(&world, &mut chance);
        }
    }
}

fn strike(world: &Rc<World>, chance: &mut Chance) {
    let index = chance.below(world.agents.len() as u64) as usize;
    let lasting = Duration::from_millis(50 + chance.below(3000));
    match chance.below(19) {
        0..=2 => store(world, index, storm(chance), lasting),
        3 => store(world, index, Faults::cut(), lasting),
        4..=6 => bucket(world, chance, lasting),
        7 => {
            let (step, down_for) = (1 + chance.below(300), Duration::from_millis(chance.below(2500)));
            world.event(format_args!("agent {index} crashes at step {step} from now, for {down_for:?}"));
            world.count(|counts| counts.crashes += 1);
            world.agents[index].crash_at(step, down_for);
        }
        8 => {
            let down_for = Duration::from_millis(chance.below(2500));
            world.event(format_args!("agent {index} crashes, for {down_for:?}"));
            world.count(|counts| counts.crashes += 1);
            world.agents[index].crash(down_for);
        }
        9 => stop(world, index, Duration::from_millis(chance.below(500))),
        10 => pause(world, index, Duration::from_millis(chance.below(1000))),
        // Longer than a lease, and now and then so long that the floor moves on meanwhile.
        11 => pause(world, index, LEASE + Duration::from_millis(chance.below(2000))),
        12 => pause(world, index, LEASE + FLOOR_LAG * 2 + Duration::from_millis(chance.below(3000))),
        // Commits whose result is unknown, and then silence.
        13..=16 => {
            store(world, index, unknown_commits(), Duration::from_millis(400));
            let lasting = LEASE + FLOOR_LAG * 2 + Duration::from_millis(chance.below(4000));
            let world = world.clone();
            let after = Duration::from_millis(chance.below(400));
            tokio::task::spawn_local(async move {
                sleep(after).await;
                pause(&world, index, lasting);
            });
        }
        17 => hiccups(world, index, lasting),
        _ => {
            // Clocks that differ by more than producers are remembered for would make the fold forget active ones: that is how
            // `Expire` is meant.
            let ahead = chance.below(80_000) as i64 - 40_000;
            world.event(format_args!("the clock of agent {index} is {ahead} ms ahead"));
            world.agents[index].clock.jump(ahead);
        }
    }
}

fn handles(world: &World) -> impl Iterator<Item = &MemoryStore> {
    let agents = world.agents.iter().map(|agent| &agent.store);
    agents.chain(world.compactors.iter().map(|place| &place.store))
}

fn strike_compactor(world: &Rc<World>, chance: &mut Chance) {
    let index = chance.below(world.compactors.len() as u64) as usize;
    let lasting = Duration::from_millis(50 + chance.below(3000));
    let faults = match chance.below(14) {
        0..=2 => {
            let (step, down_for) = (1 + chance.below(200), Duration::from_millis(chance.below(1500)));
            world.event(format_args!("compactor {index} crashes at step {step} from now, for {down_for:?}"));
            world.count(|counts| counts.compactor_crashes += 1);
            return world.compactors[index].crash_at(step, down_for);
        }
        3 | 4 => {
            let down_for = Duration::from_millis(chance.below(1500));
            world.event(format_args!("compactor {index} crashes, for {down_for:?}"));
            world.count(|counts| counts.compactor_crashes += 1);
            return world.compactors[index].crash(down_for);
        }
        5 | 6 => storm(chance),
        7 => Faults::cut(),
        8 | 9 => unknown_commits(),
        // So that publishing takes longer than the grace, and others go on meanwhile.
        10 => return slow_compactor(world, index, Duration::from_millis(2000 + chance.below(6000))),
        11 => return rewriting::strike(world, chance, index),
        _ => {
            // Often longer than its leases.
            let lasting = Duration::from_millis(chance.below(3 * LEASE.as_millis() as u64));
            world.event(format_args!("compactor {index} pauses, for {lasting:?}"));
            world.compactors[index].gate.close();
            return later(world, lasting, move |world| world.compactors[index].gate.open());
        }
    };
    world.event(format_args!("the store of compactor {index} has faults, for {lasting:?}"));
    world.compactors[index].store.set_faults(faults);
    later(world, lasting, move |world| world.compactors[index].store.set_faults(calm()));
}

fn slow_compactor(world: &Rc<World>, index: usize, lasting: Duration) {
    world.event(format_args!("the store of compactor {index} is slow, for {lasting:?}"));
    world.compactors[index].store.set_faults(slow());
    later(world, lasting, move |world| world.compactors[index].store.set_faults(calm()));
}

/// Runs `undo` after a while, whether or not the storm still goes on.
fn later(world: &Rc<World>, after: Duration, undo: impl FnOnce(&World) + 'static) {
    world.faults_on.set(world.faults_on.get() + 1);
    let world = world.clone();
    tokio::task::spawn_local(async move {
        sleep(after).await;
        world.faults_on.set(world.faults_on.get() - 1);
        undo(&world);
    });
}

fn store(world: &Rc<World>, index: usize, faults: Faults, lasting: Duration) {
    world.event(format_args!("the store of agent {index} has faults (cut: {}), for {lasting:?}", faults.cut));
    world.agents[index].store.set_faults(faults);
    later(world, lasting, move |world| world.agents[index].store.set_faults(calm()));
}

/// For a while an agent's commits are often unknown, and land when it has gone on.
pub(super) fn late_commits(world: &Rc<World>, index: usize, lasting: Duration) {
    let late = Duration::ZERO..=Duration::from_millis(1000);
    let delay = Duration::ZERO..=Duration::from_millis(40);
    store(world, index, Faults { unknown_late: 0.4, late, delay, ..calm() }, lasting);
}

fn bucket(world: &Rc<World>, chance: &mut Chance, lasting: Duration) {
    let mut maybe = |probability: f64| if chance.happens(0.4) { probability } else { 0.0 };
    let faults = testing::Faults {
        slow: maybe(0.4),
        slow_for: Duration::from_millis(900),
        fail_before: maybe(0.5),
        fail_after: maybe(0.5),
        hang: maybe(0.3),
        missing: maybe(0.1),
        truncate: maybe(0.1),
        ..calm_bucket()
    };
    world.event(format_args!("the bucket has faults, for {lasting:?}"));
    world.bucket.set(faults);
    later(world, lasting, |world| world.bucket.set(calm_bucket()));
}

fn pause(world: &Rc<World>, index: usize, lasting: Duration) {
    if !world.storming.get() {
        return;
    }
    world.event(format_args!("agent {index} pauses, for {lasting:?}"));
    world.count(|counts| counts.pauses += 1);
    world.agents[index].gate.close();
    later(world, lasting, move |world| world.agents[index].gate.open());
}

fn stop(world: &Rc<World>, index: usize, down_for: Duration) {
    world.event(format_args!("agent {index} stops"));
    world.count(|counts| counts.stops += 1);
    let world = world.clone();
    tokio::task::spawn_local(async move { world.agents[index].stop(down_for).await });
}

/// Now and then a request to the store is stuck, while those after it pass.
fn hiccups(world: &Rc<World>, index: usize, lasting: Duration) {
    world.event(format_args!("the store of agent {index} has hiccups, for {lasting:?}"));
    let end = world.elapsed() + lasting;
    let world = world.clone();
    tokio::task::spawn_local(async move {
        while world.storming.get() && world.elapsed() < end {
            world.agents[index].store.set_faults(slow());
            sleep(Duration::from_millis(4)).await;
            world.agents[index].store.set_faults(calm());
            sleep(Duration::from_millis(16)).await;
        }
    });
}

/// Ends all faults that are on.
pub(super) fn heal(world: &World) {
    for agent in &world.agents {
        agent.store.set_faults(calm());
        agent.gate.disarm();
        agent.gate.open();
    }
    for place in &world.compactors {
        place.store.set_faults(calm());
        place.gate.disarm();
        place.gate.open();
    }
    world.bucket.set(calm_bucket());
}

fn calm() -> Faults {
    Faults { version_jump: 1000, ..Faults::calm() }
}

fn calm_bucket() -> testing::Faults {
    let ms = Duration::from_millis;
    testing::Faults { delay: ms(3)..ms(40), ..testing::Faults::default() }
}

fn unknown_commits() -> Faults {
    Faults {
        unknown_never: 0.3,
        unknown_applied: 0.5,
        unknown_late: 0.3,
        late: Duration::ZERO..=LEASE,
        ..calm()
    }
}

fn slow() -> Faults {
    Faults { delay: Duration::ZERO..=Duration::from_millis(1200), ..calm() }
}

/// A storm, more or less of it.
fn storm(chance: &mut Chance) -> Faults {
    let much = [0.3, 1.0, 3.0][chance.below(3) as usize];
    let storm = Faults::storm();
    Faults {
        conflict: storm.conflict * much,
        commit_too_old: storm.commit_too_old * much,
        commit_unavailable: storm.commit_unavailable * much,
        unknown_never: storm.unknown_never * much,
        unknown_applied: storm.unknown_applied * much,
        unknown_late: storm.unknown_late * much,
        late: Duration::ZERO..=Duration::from_secs(4),
        read_unavailable: storm.read_unavailable * much / 2.0,
        read_too_old: storm.read_too_old * much / 2.0,
        ..storm
    }
}
