//! One fetch per page however many readers want it.
//!
//! A fetch runs in a task of its own, so that a reader that goes away takes nothing from the others. Its result, good or bad, goes
//! to everybody who waits; only a good one is kept. Between the fetch and the cache there is no moment in which a page is in
//! neither, since both change under one lock.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::lent::Lent;
use super::lru::{Key, Lru, Part, Pieces};
use super::promise::{Promise, Promised, promise};
use crate::error::ReadError;
use crate::telemetry;

/// Fetches are bounded in units of this many bytes.
const UNIT: u64 = 1024;
/// Pages that are only lent may fill this part of the cache.
const LENT_PART: u64 = 3;

pub(super) type Outcome = Result<Pieces, ReadError>;

/// Pages in the cache and on their way to it.
pub(super) struct Shared {
    state: Mutex<State>,
    /// Bytes that fetches may occupy together: the cache's whole limit, in units.
    fetching: Arc<Semaphore>,
    units: u32,
    /// Of those, what fetches may occupy that wait for another agent, which may wait for this one: what comes from the bucket must always have room.
    asking: Arc<Semaphore>,
    asking_units: u32,
}

pub(super) struct State {
    pub lru: Lru,
    flights: BTreeMap<Key, Flight>,
    next_id: u64,
    /// Read-ahead under way: how many, and their bytes.
    pub ahead: (usize, u64),
    lent: Lent,
}

struct Flight {
    id: u64,
    outcome: Promised<Outcome>,
    /// Some reader waits or waited for it; else it is read-ahead.
    wanted: bool,
    /// What it brings is another agent's page.
    lent: bool,
}

/// Where a page or block comes from.
pub(super) enum Wait {
    Ready(Pieces),
    Coming(Promised<Outcome>),
}

/// How a flight occupies memory while it is under way.
#[derive(Clone, Copy)]
pub(super) enum Charge {
    /// A fetch of this many bytes: waits until there is room for them.
    Fetch(u64),
    /// The same, but nobody waits for it.
    Ahead(u64),
    /// A fetch from another agent.
    Ask(u64),
    /// The same, but nobody waits for it.
    AheadAsk(u64),
    /// A block that is being made by its reader, who may have to fetch for it: holding room meanwhile could block that fetch.
    Reader,
}

impl Charge {
    /// Bytes of read-ahead.
    fn ahead(self) -> Option<u64> {
        match self {
            Charge::Ahead(bytes) | Charge::AheadAsk(bytes) => Some(bytes),
            _ => None,
        }
    }
}

/// The room that a flight has.
type Boarded = [Option<OwnedSemaphorePermit>; 2];

impl Shared {
    pub(super) fn new(limit: u64) -> Self {
        let units = u32::try_from(limit / UNIT).unwrap_or(u32::MAX).max(1);
        let (lru, lent) = (Lru::new(limit), Lent::new(limit / LENT_PART));
        let state = State { lru, flights: BTreeMap::new(), next_id: 0, ahead: (0, 0), lent };
        let asking_units = (units / 2).max(1);
        let [fetching, asking] = [units, asking_units].map(|units| Arc::new(Semaphore::new(units as usize)));
        Self { state: Mutex::new(state), fetching, units, asking, asking_units }
    }

    /// Runs `change` on the state, then tells the metrics what became of it.
    pub(super) fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.lock();
        let result = change(&mut state);
        let (total, evicted) = (state.lru.total(), state.lru.take_evicted());
        drop(state);
        telemetry::cache_bytes(total);
        if evicted > 0 {
            telemetry::cache_evicted(evicted);
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds an entry, joins a flight, or starts one with what `make` answers.
    pub(super) fn obtain<F>(self: &Arc<Self>, key: Key, charge: Charge, make: impl FnOnce() -> F) -> Wait
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let part = label(key);
        let mut state = self.lock();
        if let Some(pieces) = state.lru.get(&key) {
            drop(state);
            telemetry::cache_hit(part);
            return Wait::Ready(pieces);
        }
        if let Some(flight) = state.flights.get_mut(&key) {
            flight.wanted = true;
            let outcome = flight.outcome.clone();
            drop(state);
            telemetry::cache_joined(part);
            return Wait::Coming(outcome);
        }
        let outcome = self.launch(&mut state, key, charge, make());
        drop(state);
        telemetry::cache_miss(part);
        Wait::Coming(outcome)
    }

    /// Finds an entry or joins a flight, if there is one.
    pub(super) fn held(&self, key: Key) -> Option<Wait> {
        let mut state = self.lock();
        if let Some(pieces) = state.lru.get(&key) {
            return Some(Wait::Ready(pieces));
        }
        let flight = state.flights.get_mut(&key)?;
        flight.wanted = true;
        Some(Wait::Coming(flight.outcome.clone()))
    }

    /// Keeps what came with another key's flight, unread; not if that flight is no longer to be kept itself.
    pub(super) fn keep_with(&self, flight: Key, key: Key, pieces: Pieces) {
        self.with(|state| {
            if state.is_coming(&flight) && !state.lru.contains(&key) {
                state.lru.insert(key, pieces, true);
            }
        });
    }

    /// Starts a flight for a key that has neither entry nor flight.
    pub(super) fn launch<F>(
        self: &Arc<Self>,
        state: &mut State,
        key: Key,
        charge: Charge,
        work: F,
    ) -> Promised<Outcome>
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let (sender, outcome) = promise();
        state.next_id += 1;
        let id = state.next_id;
        let wanted = charge.ahead().is_none();
        state.flights.insert(key, Flight { id, outcome: outcome.clone(), wanted, lent: false });
        if let Some(bytes) = charge.ahead() {
            state.ahead = (state.ahead.0 + 1, state.ahead.1 + bytes);
        }
        let landing = Landing { shared: Arc::clone(self), key, id, charge, reserved: 0 };
        tokio::spawn(fly(landing, sender, work));
        outcome
    }
}

impl State {
    pub(super) fn is_coming(&self, key: &Key) -> bool {
        self.flights.contains_key(key)
    }

    /// What comes under this key is another agent's page: it is kept for a short time only.
    pub(super) fn lend(&mut self, key: &Key) {
        self.flights.get_mut(key).into_iter().for_each(|flight| flight.lent = true);
    }

    fn keep_lent(&mut self, key: Key, pieces: &Pieces) {
        self.lent.add(key, pieces);
        while let Some((key, pieces)) = self.lent.surplus() {
            self.lru.remove_same(&key, &pieces);
        }
    }

    /// Lets flights of a segment end without being kept.
    pub(super) fn forget_flights(&mut self, segment: siltstone_log::SegmentId) {
        let keys: Vec<Key> = self.flights.range(Key::of(segment)).map(|(key, _)| *key).collect();
        keys.iter().for_each(|key| _ = self.flights.remove(key));
    }

    /// Takes the flight out of the list, if it is still the one.
    fn end(&mut self, key: Key, id: u64) -> Option<Flight> {
        let ours = self.flights.get(&key).is_some_and(|flight| flight.id == id);
        if ours { self.flights.remove(&key) } else { None }
    }
}

impl Wait {
    /// The pieces, once they are there.
    pub(super) async fn done(self, name: impl Fn() -> String) -> Outcome {
        let coming = match self {
            Self::Ready(pieces) => return Ok(pieces),
            Self::Coming(coming) => coming,
        };
        coming.value().await.unwrap_or_else(|| Err(lost(name())))
    }
}

/// The task ended without an outcome: it panicked, or the runtime is shutting down.
fn lost(name: String) -> ReadError {
    ReadError::Unavailable { name, reason: "the fetch was lost".into() }
}

async fn fly(
    mut landing: Landing,
    sender: Promise<Outcome>,
    work: impl Future<Output = Outcome> + Send + 'static,
) {
    let Some(permit) = landing.board(&sender).await else { return };
    let outcome = work.await;
    landing.land(&outcome);
    drop(permit);
    sender.keep(outcome);
}

/// A flight's end: whatever happens to its task, what it occupied is given back.
struct Landing {
    shared: Arc<Shared>,
    key: Key,
    id: u64,
    charge: Charge,
    reserved: u64,
}

impl Landing {
    /// Waits for room. None if all who wanted it have gone by then: then nothing is fetched.
    async fn board(&mut self, sender: &Promise<Outcome>) -> Option<Boarded> {
        let (bytes, asks) = match self.charge {
            Charge::Fetch(bytes) | Charge::Ahead(bytes) => (bytes, false),
            Charge::Ask(bytes) | Charge::AheadAsk(bytes) => (bytes, true),
            Charge::Reader => return Some([None, None]),
        };
        let units = u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX);
        let asking = if asks {
            let units = units.min(self.shared.asking_units);
            Some(Arc::clone(&self.shared.asking).acquire_many_owned(units).await.ok()?)
        } else {
            None
        };
        let units = units.min(self.shared.units);
        let permit = Arc::clone(&self.shared.fetching).acquire_many_owned(units).await.ok()?;
        let (key, id) = (self.key, self.id);
        self.reserved = self.shared.with(|state| {
            let listed = state.flights.get(&key).is_some_and(|flight| flight.id == id);
            // The list itself holds one.
            let waiting = sender.promised_to() > usize::from(listed);
            let ahead = state.flights.get(&key).is_some_and(|flight| flight.id == id && !flight.wanted);
            if !waiting && !ahead {
                state.end(key, id);
                return None;
            }
            Some(state.lru.reserve(bytes))
        })?;
        Some([Some(permit), asking])
    }

    fn land(&mut self, outcome: &Outcome) {
        let (key, id, reserved) = (self.key, self.id, std::mem::take(&mut self.reserved));
        self.shared.with(|state| {
            state.lru.release(reserved);
            if let (Some(flight), Ok(pieces)) = (state.end(key, id), outcome) {
                state.lru.insert(key, Arc::clone(pieces), !flight.wanted);
                if flight.lent {
                    state.keep_lent(key, pieces);
                }
            }
        });
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let (key, id, reserved) = (self.key, self.id, self.reserved);
        self.shared.with(|state| {
            state.lru.release(reserved);
            state.end(key, id);
            if let Some(bytes) = self.charge.ahead() {
                state.ahead = (state.ahead.0.saturating_sub(1), state.ahead.1.saturating_sub(bytes));
            }
        });
    }
}

fn label(key: Key) -> &'static str {
    match key.part {
        Part::Page(_) => "page",
        Part::Block(_) => "block",
    }
}
