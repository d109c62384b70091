//! One agent: started, used, paused, crashed and started again.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use siltstone_agent::engine::{Engine, EngineSettings, Foundations, HighestLevel, StartError};
use siltstone_log::mix64;
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::lease::RegisterError;
use siltstone_metadata::level::Level;
use siltstone_metadata::shard::{MAX_LEVEL, MIN_LEVEL};
use siltstone_objects::Objects;
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::{Chance, MemoryStore};
use tokio::time::{sleep, timeout};

use super::ambient::{SimClock, ambient};
use super::gate::{Gate, GatedObjects, GatedStore};
use super::setup;
use super::world::World;

/// An agent's place. Engines come and go in it.
pub(super) struct Agent {
    /// The own handle on the metadata store: its faults are this agent's.
    pub(super) store: MemoryStore,
    pub(super) gate: Gate,
    pub(super) clock: Arc<SimClock>,
    pub(super) ambient: Ambient,
    bucket: Arc<FaultyStore>,
    seed: u64,
    settings: EngineSettings,
    /// The highest feature level that the program follows which is in place now.
    program: Cell<u32>,
    programs: RefCell<Chance>,
    engine: RefCell<Option<Arc<Engine>>>,
    /// Told `true` when the present life ends by a crash.
    life: RefCell<Arc<Level<bool>>>,
    lives: Cell<u64>,
    down_for: Cell<Duration>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nobody listens: nothing was asked.
    Down,
    /// The connection broke. What was asked may be done or not.
    Crashed,
    /// Not in time. What was asked may be done or not.
    Late,
}

impl Agent {
    pub(super) fn new(
        index: usize,
        (shards, seed): (u16, u64),
        store: &MemoryStore,
        bucket: &Arc<FaultyStore>,
        chance: &mut Chance,
    ) -> Self {
        let clock = SimClock::new(chance.below(2000) as i64 - 1000);
        Agent {
            store: store.handle(chance.any()),
            gate: Gate::new(),
            ambient: ambient(clock.clone(), chance.any()),
            clock,
            bucket: bucket.clone(),
            seed: chance.any(),
            settings: setup::settings(index as u32, shards, seed),
            program: Cell::new(MAX_LEVEL),
            programs: RefCell::new(Chance::new(mix64(seed ^ mix64(600 + index as u64)))),
            engine: RefCell::default(),
            life: RefCell::default(),
            lives: Cell::new(0),
            down_for: Cell::new(Duration::ZERO),
        }
    }

    /// The engine that runs, if any.
    pub(super) fn engine(&self) -> Option<Arc<Engine>> {
        self.engine.borrow().clone()
    }

    /// Which engine in this place it is.
    pub(super) fn lives(&self) -> u64 {
        self.lives.get()
    }

    /// Puts the newest program in place.
    pub(super) fn upgrade(&self) {
        self.program.set(MAX_LEVEL);
    }

    pub(super) fn is_newest(&self) -> bool {
        self.program.get() == MAX_LEVEL
    }

    /// Before a life begins: another program may have been put in place, a newer one or, by whoever was too hasty, an older one.
    fn replace_program(&self) {
        let mut chance = self.programs.borrow_mut();
        if self.lives.get() == 1 || chance.happens(0.5) {
            self.program.set(MAX_LEVEL - chance.below(u64::from(MAX_LEVEL - MIN_LEVEL)) as u32);
        }
    }

    fn foundations(&self) -> Foundations {
        let store = GatedStore { inner: self.store.clone(), gate: self.gate.clone() };
        let objects = GatedObjects { inner: self.bucket.clone(), gate: self.gate.clone() };
        let seed = self.seed.wrapping_add(self.lives.get());
        Foundations {
            store: Arc::new(store),
            objects: Objects::from_store(Arc::new(objects), "", &setup::requests(), seed),
            ambient: self.ambient.clone(),
        }
    }

    /// Ends its life at this moment: whatever it was doing, it does no more. It starts again after `down_for`.
    pub(super) fn crash(&self, down_for: Duration) {
        self.down_for.set(down_for);
        self.kill();
    }

    /// As [`Agent::crash`], at its `count`th step from now: a request to a store, or an answer of one.
    pub(super) fn crash_at(&self, count: u64, down_for: Duration) {
        self.down_for.set(down_for);
        self.gate.trap(count, self.life.borrow().clone());
    }

    pub(super) fn kill(&self) {
        self.life.borrow().set(true);
        self.engine.take();
    }

    /// Ends its life in good order, then as [`Agent::crash`].
    pub(super) async fn stop(&self, down_for: Duration) {
        let Some(engine) = self.engine.take() else { return };
        let life = self.lives();
        let over = self.life.borrow().clone();
        tokio::select! {
            biased;
            () = over.wait_for(|over| over) => {}
            () = engine.stop(Duration::from_secs(2)) => {
                if self.lives() == life {
                    self.crash(down_for);
                }
            }
        }
    }

    /// Asks the agent for something, as a client does over a connection.
    pub(super) async fn call<T>(
        &self,
        limit: Duration,
        ask: impl AsyncFnOnce(Arc<Engine>) -> T,
    ) -> Result<T, NoAnswer> {
        let Some(engine) = self.engine() else { return Err(NoAnswer::Down) };
        let over = self.life.borrow().clone();
        let work = async {
            self.gate.pass().await;
            let answer = ask(engine).await;
            self.gate.pass().await;
            answer
        };
        tokio::select! {
            biased;
            () = over.wait_for(|over| over) => Err(NoAnswer::Crashed),
            answer = timeout(limit, work) => answer.map_err(|_| NoAnswer::Late),
        }
    }
}

/// Keeps an engine running in the place `index`.
pub(super) async fn live(world: Rc<World>, index: usize) {
    let agent = &world.agents[index];
    loop {
        // Connections of a life that ended by itself stay until all is answered.
        let over = Arc::new(Level::new(false));
        agent.life.replace(over.clone());
        agent.lives.set(agent.lives.get() + 1);
        agent.gate.disarm();
        if setup::programs(world.seed) && world.storming.get() {
            agent.replace_program();
        }
        tokio::select! {
            biased;
            () = over.wait_for(|over| over) => {}
            () = one_life(&world, index) => {}
        }
        agent.engine.take();
        sleep(agent.down_for.take()).await;
    }
}

async fn one_life(world: &World, index: usize) {
    let agent = &world.agents[index];
    let mut settings = agent.settings.clone();
    settings.presence.highest = HighestLevel(agent.program.get());
    let engine = match Engine::start(agent.foundations(), settings).await {
        Ok(engine) => engine,
        Err(error) => {
            if let StartError::Register(RegisterError::Level(_)) = error {
                agent.upgrade();
                world.count(|counts| counts.unfit += 1);
            }
            world.event(format_args!("agent {index} did not start: {error}"));
            return sleep(Duration::from_millis(100)).await;
        }
    };
    let id = engine.registration().id;
    world.event(format_args!("agent {index} starts as {id:?}, up to feature level {}", agent.program.get()));
    world.count(|counts| {
        counts.starts += 1;
        counts.older += u64::from(!agent.is_newest());
    });
    agent.engine.replace(Some(engine.clone()));
    let config = world.group_config.clone();
    let config = move || Some(config.clone());
    let groups = engine.groups().clone();
    tokio::select! {
        biased;
        () = engine.ended() => {}
        () = groups.clone().run(config.clone()) => {}
        () = groups.expire(config) => {}
    }
    engine.stop(Duration::ZERO).await;
    world.event(format_args!("agent {index} finds that {id:?} is over"));
    world.count(|counts| counts.ended += 1);
}
