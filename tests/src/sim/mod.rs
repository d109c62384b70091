//! The simulation: a cluster of agents in one thread and in virtual time, everything from one seed (design, section 9; style, rule 15).
//!
//! ```text
//! clients ─▶ agents (real engines), compactors ─▶ gates ─▶ one metadata store, one bucket, both with faults
//!    │            ▲                                   │
//!    │         nemesis: crashes, pauses, cuts, storms │ read past all faults, after every step
//!    └─ what they were promised ─▶ oracle ◀───────────┘ ─▶ invariants: one file each
//! ```
//!
//! A run is a storm, in which clients work while the nemesis breaks things, and then a healing: faults end, and everything that was asked
//! for must come to an end, every record be readable through every agent. The invariants are checked after every step of
//! virtual time and at every answer. A write that failed or was not answered is *unknown*; one that was answered "not in the log"
//! must never be in it.
//!
//! The same seed gives the same run: one thread, tokio's paused clock, no other clock and no other chance. What breaks that is a defect
//! (the trace's hash shows it).
//!
//! Some topics are compacted by key. Of those the oracle knows each record, and judges what is missing at every look at the rows and at every fetch: whether
//! compaction may have taken it by then (`invariants/s9`). Topics are deleted in the middle of everything, and created again under their names.
//!
//! In some runs records of keys are erased: what is acknowledged as erased nobody may read, what is told completed nothing in the bucket may hold
//! (`invariants/erased`). In some an operator has shards counted anew all the time, in some most transactions are aborted.
//!
//! A crash comes at a moment, or at the n-th request or answer from now on, so that a life ends between any two steps.
//!
//! A pause holds back all that an agent asks of the outside and all that is asked of it, in both directions, for a while. Its timers go on,
//! so that a pause is also a network that lets nothing through and loses nothing.
//!
//! In some runs agents are of older and newer programs, one after the other in a place: an older one is this program that follows a lower feature level only.
//! The level is raised as far as all who are registered follow it (`invariants/levels`).
//!
//! Not simulated yet: blocks compressed at flush (that work runs on threads), bytes that rot in the bucket, clocks further apart than producers are
//! remembered for, the Kafka protocol above the engine, static members of groups, expiry of offsets, configs that change while compaction goes on,
//! deletion of the topic that groups read.

mod agent;
mod ambient;
mod batches;
mod clients;
mod compactor;
mod gate;
mod healing;
mod invariants;
mod nemesis;
mod operator;
mod oracle;
mod setup;
mod trace;
mod world;

use std::rc::Rc;
use std::time::Duration;

use siltstone_metadata::bugs::{self, Bug};
use tokio::task::LocalSet;

pub use invariants::Violation;
pub use trace::Counts;
use world::World;

/// The invariants are checked this often.
const STEP: Duration = Duration::from_millis(20);

/// What a run shall be.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Everything comes from it.
    pub seed: u64,
    /// A defect to put back.
    pub bug: Option<Bug>,
    /// How long the storm lasts, in virtual time.
    pub storm: Duration,
    /// Print events as they happen.
    pub loud: bool,
}

impl Plan {
    /// A run of the usual length.
    pub fn new(seed: u64) -> Self {
        Plan { seed, bug: None, storm: Duration::from_secs(15), loud: false }
    }
}

/// What came of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The seed.
    pub seed: u64,
    /// The first violation of an invariant.
    pub violation: Option<Violation>,
    /// A hash over all events and when they happened.
    pub trace: u64,
    /// What happened, in numbers.
    pub counts: Counts,
}

impl Report {
    /// How to run it again, with its events printed.
    pub fn replay(&self) -> String {
        format!(
            "SILTSTONE_SIM_SEED={} cargo test -p siltstone-tests --test simulation -- replay --nocapture",
            self.seed
        )
    }
}

/// Runs one simulation, on this thread.
pub fn run(plan: Plan) -> Report {
    assert!(bugs::plant(plan.bug), "this build has no defects to put back");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let Ok(runtime) = runtime else { unreachable!("a runtime without I/O needs nothing") };
    let local = LocalSet::new();
    let report = local.block_on(&runtime, simulate(plan));
    drop(local);
    drop(runtime);
    bugs::plant(None);
    report
}

async fn simulate(plan: Plan) -> Report {
    let world = World::new(&plan);
    setup::cluster(&world).await;
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..world.agents.len() {
        tasks.spawn_local(agent::live(world.clone(), index));
    }
    for index in 0..world.compactors.len() {
        tasks.spawn_local(compactor::live(world.clone(), index));
    }
    clients::spawn(&world, &mut tasks);
    tasks.spawn_local(nemesis::run(world.clone()));
    tasks.spawn_local(operator::run(world.clone()));
    steps(&world, |world| world.elapsed() >= plan.storm).await;
    if world.violation().is_none() {
        healing::begin(&world);
        let deadline = world.elapsed() + healing::PATIENCE;
        steps(&world, |world| world.clients_at_work.get() == 0 || world.elapsed() > deadline).await;
        tokio::select! {
            biased;
            () = healing::all_must_be_well(&world) => {}
            () = steps(&world, |_| false) => {}
        }
    }
    tasks.abort_all();
    let report = world.report(plan.seed);
    world.end();
    report
}

/// Lets time pass, checking after every step, until `over` or a violation.
async fn steps(world: &Rc<World>, over: impl Fn(&World) -> bool) {
    while world.violation().is_none() && !over(world) {
        tokio::time::sleep(STEP).await;
        invariants::after_step(world);
    }
}
