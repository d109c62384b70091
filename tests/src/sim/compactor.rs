//! Compactors: real workers, that are paused and crash at any step like agents.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use siltstone_compactor::compact::plan;
use siltstone_compactor::settings::{CompactRules, CompactorSettings, MergeRules};
use siltstone_compactor::worker::{Compactor, Worker};
use siltstone_log::RegistrationId;
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::level::Level;
use siltstone_objects::Objects;
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::{Chance, MemoryStore};
use tokio::time::sleep;

use super::ambient::{SimClock, ambient};
use super::gate::{Gate, GatedObjects, GatedStore};
use super::setup;
use super::world::World;

/// What nobody refers to is kept for so long.
pub(super) const GRACE: Duration = Duration::from_millis(2500);

/// A compactor's place.
pub(super) struct Place {
    /// The own handle on the metadata store: its faults are this compactor's.
    pub(super) store: MemoryStore,
    pub(super) gate: Gate,
    clock: Arc<SimClock>,
    /// Bytes of its map of keys.
    key_map_bytes: usize,
    ambient: Ambient,
    bucket: Arc<FaultyStore>,
    seed: u64,
    /// Told `true` when the present life ends by a crash.
    life: RefCell<Arc<Level<bool>>>,
    lives: Cell<u64>,
    down_for: Cell<Duration>,
    registration: Cell<Option<RegistrationId>>,
}

/// Settings under which virtual seconds bring what takes hours elsewhere.
fn settings(key_map_bytes: usize) -> CompactorSettings {
    let ms = Duration::from_millis;
    CompactorSettings {
        interval: ms(300),
        lease: setup::LEASE,
        merge: MergeRules {
            target_bytes: 12 << 10,
            block_bytes: 2 << 10,
            leave_bytes: 4 << 10,
            fan_in: 3,
            wait: ms(600),
            inline_bytes: 3000,
            flushed_segments: 12,
        },
        // Compressing large blocks runs on threads, which no seed steers.
        compression: None,
        grace: GRACE,
        key_map_bytes,
        compact: CompactRules {
            plan: plan::Settings { small_wait_ms: 500, ..plan::Settings::default() },
            piece_bytes: 1500,
            look: ms(200),
        },
        ..CompactorSettings::default()
    }
}

impl Place {
    pub(super) fn new(store: &MemoryStore, bucket: &Arc<FaultyStore>, chance: &mut Chance) -> Self {
        let clock = SimClock::new(chance.below(2000) as i64 - 1000);
        Place {
            store: store.handle(chance.any()),
            gate: Gate::new(),
            ambient: ambient(clock.clone(), chance.any()),
            clock,
            // Room for a few keys, or for all.
            key_map_bytes: [512, 64 << 10][chance.below(2) as usize],
            bucket: bucket.clone(),
            seed: chance.any(),
            life: RefCell::default(),
            lives: Cell::new(0),
            down_for: Cell::new(Duration::ZERO),
            registration: Cell::new(None),
        }
    }

    /// By how many milliseconds its clock is ahead.
    pub(super) fn ahead(&self) -> i64 {
        self.clock.ahead()
    }

    /// The last registration of a worker in this place.
    pub(super) fn registration(&self) -> Option<RegistrationId> {
        self.registration.get()
    }

    /// Ends its life at this moment. It starts again after `down_for`.
    pub(super) fn crash(&self, down_for: Duration) {
        self.down_for.set(down_for);
        self.life.borrow().set(true);
    }

    /// As [`Place::crash`], at its `count`th step from now: a request to a store, or an answer of one.
    pub(super) fn crash_at(&self, count: u64, down_for: Duration) {
        self.down_for.set(down_for);
        self.gate.trap(count, self.life.borrow().clone());
    }

    fn compactor(&self) -> Compactor {
        let store = GatedStore { inner: self.store.clone(), gate: self.gate.clone() };
        let objects = GatedObjects { inner: self.bucket.clone(), gate: self.gate.clone() };
        let seed = self.seed.wrapping_add(self.lives.get());
        Compactor {
            store: Arc::new(store),
            objects: Objects::from_store(Arc::new(objects), "", &setup::requests(), seed),
            ambient: self.ambient.clone(),
            settings: settings(self.key_map_bytes),
        }
    }
}

/// Keeps a worker running in the place `index`.
pub(super) async fn live(world: Rc<World>, index: usize) {
    let place = &world.compactors[index];
    loop {
        let over = Arc::new(Level::new(false));
        place.life.replace(over.clone());
        place.lives.set(place.lives.get() + 1);
        place.gate.disarm();
        tokio::select! {
            biased;
            () = over.wait_for(|over| over) => {}
            () = one_life(&world, index) => {}
        }
        sleep(place.down_for.take()).await;
    }
}

async fn one_life(world: &World, index: usize) {
    match Worker::begin(&world.compactors[index].compactor()).await {
        Ok(mut worker) => {
            world.event(format_args!("compactor {index} starts as {:?}", worker.registration()));
            world.oracle.borrow_mut().compactors.insert(worker.registration());
            world.compactors[index].registration.set(Some(worker.registration()));
            worker.work().await;
            worker.last_word().await;
            world.event(format_args!("compactor {index} finds that {:?} is over", worker.registration()));
        }
        Err(error) => {
            world.event(format_args!("compactor {index} did not start: {error}"));
            sleep(Duration::from_millis(100)).await;
        }
    }
}
