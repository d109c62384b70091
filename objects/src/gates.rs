//! Holds requests back where a store asks for less, by parts of names: stores throttle by prefix, and one that is throttled must not hold up others.
//!
//! A part that nobody complained about has no gate. Requests pass a gate in the order in which they came to it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::pace::Pace;

/// Gates at once, at most; beyond that the oldest names' are given up. More than names have different beginnings.
const GATES: usize = 1024;

/// The gates of one kind of request.
#[derive(Debug)]
pub(crate) struct Gates {
    gates: Mutex<BTreeMap<String, Arc<Gate>>>,
    most: usize,
    origin: Instant,
}

#[derive(Debug)]
struct Gate {
    places: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pace: Pace,
    /// Places to take away as soon as they are given back.
    owed: usize,
}

/// The right to have one request in flight, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Place(Option<(Arc<Gate>, OwnedSemaphorePermit)>);

impl Place {
    /// There was no gate to pass.
    pub(crate) fn is_free(&self) -> bool {
        self.0.is_none()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some((gate, permit)) = self.0.take() else { return };
        let mut state = gate.lock();
        if state.owed > 0 {
            state.owed -= 1;
            permit.forget();
        }
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of a name that stores are taken to throttle by: its first two steps, which hold the hash of segments' names.
pub(crate) fn part(name: &str) -> &str {
    let end = name.match_indices('/').nth(1).map_or(name.len(), |(at, _)| at);
    &name[..end]
}

impl Gates {
    /// `most`: how many requests may be in flight in any case.
    pub(crate) fn new(most: usize) -> Self {
        Self { gates: Mutex::default(), most, origin: Instant::now() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Gate>>> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn since(&self, at: Instant) -> std::time::Duration {
        at.saturating_duration_since(self.origin)
    }

    /// Whether requests to this part are held back.
    pub(crate) fn narrow(&self, part: &str) -> bool {
        self.lock().contains_key(part)
    }

    /// Complaints of this part in a row.
    pub(crate) fn complaints(&self, part: &str) -> u32 {
        self.lock().get(part).map_or(0, |gate| gate.lock().pace.in_a_row())
    }

    /// Waits for a place.
    pub(crate) async fn enter(&self, part: &str) -> Place {
        let gate = {
            let mut gates = self.lock();
            let Some(gate) = gates.get(part).cloned() else { return Place::default() };
            if gate.lock().pace.is_over(self.since(Instant::now())) {
                gates.remove(part);
                self.open(&gate);
                return Place::default();
            }
            gate
        };
        // Nobody closes it.
        let permit = gate.places.clone().acquire_owned().await.ok();
        Place(permit.map(|permit| (gate, permit)))
    }

    /// Lets everybody through who still waits at a gate that is no more.
    fn open(&self, gate: &Gate) {
        gate.lock().owed = 0;
        // All that wait have other limits to pass: this is as good as none.
        gate.places.add_permits(Semaphore::MAX_PERMITS / 2);
    }

    /// The store asked for less, in answer to a request that began at `begun`, when so many were in flight.
    pub(crate) fn slow_down(&self, part: &str, begun: Instant, in_flight: usize) {
        let now = self.since(Instant::now());
        let mut gates = self.lock();
        if let Some(gate) = gates.get(part) {
            let mut state = gate.lock();
            let fewer = state.pace.slow_down(self.since(begun), now);
            state.owed += fewer - gate.places.forget_permits(fewer);
            return;
        }
        let pace = Pace::new(in_flight, self.most, now);
        let places = Arc::new(Semaphore::new(pace.limit()));
        let gate = Arc::new(Gate { places, state: Mutex::new(State { pace, owed: 0 }) });
        gates.insert(part.to_owned(), gate);
        if gates.len() > GATES
            && let Some((_, gate)) = gates.pop_first()
        {
            self.open(&gate);
        }
    }

    /// A request went well.
    pub(crate) fn went_well(&self, part: &str) {
        let mut gates = self.lock();
        let Some(gate) = gates.get(part).cloned() else { return };
        let mut state = gate.lock();
        if state.pace.went_well() {
            match state.owed.checked_sub(1) {
                Some(owed) => state.owed = owed,
                None => gate.places.add_permits(1),
            }
        }
        let over = state.pace.is_over(self.since(Instant::now()));
        drop(state);
        if over {
            gates.remove(part);
            self.open(&gate);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn parts_hold_the_hash() {
        assert_eq!(part("seg/28/0abc/1f"), "seg/28");
        assert_eq!(part("check/1"), "check/1");
        assert_eq!(part(""), "");
    }

    /// How many of `count` requests get a place at once.
    async fn places(gates: &Gates, part: &str, count: usize) -> Vec<Place> {
        let mut held = Vec::new();
        for _ in 0..count {
            match tokio::time::timeout(Duration::from_millis(1), gates.enter(part)).await {
                Ok(place) => held.push(place),
                Err(_) => break,
            }
        }
        held
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_part_that_complained_is_held_back() {
        let gates = Gates::new(16);
        assert_eq!(places(&gates, "seg/00", 100).await.len(), 100);
        gates.slow_down("seg/00", Instant::now(), 8);
        assert!(gates.narrow("seg/00") && !gates.narrow("seg/01"));
        assert_eq!(places(&gates, "seg/00", 100).await.len(), 4);
        assert_eq!(places(&gates, "seg/01", 100).await.len(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn places_in_use_are_taken_away_when_they_are_given_back() {
        let gates = Gates::new(16);
        gates.slow_down("a", Instant::now(), 8);
        let held = places(&gates, "a", 10).await;
        assert_eq!(held.len(), 4);
        tokio::time::advance(Duration::from_millis(5)).await;
        gates.slow_down("a", Instant::now(), 4);
        drop(held);
        assert_eq!(places(&gates, "a", 10).await.len(), 2);
        gates.went_well("a");
        gates.went_well("a");
        assert_eq!(places(&gates, "a", 10).await.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_gets_through_once_all_is_well() {
        let gates = Arc::new(Gates::new(4));
        gates.slow_down("a", Instant::now(), 1);
        let held = places(&gates, "a", 2).await;
        assert_eq!(held.len(), 1);
        let waiting = tokio::spawn({
            let gates = gates.clone();
            async move { futures::future::join_all((0..50).map(|_| gates.enter("a"))).await.len() }
        });
        tokio::task::yield_now().await;
        for _ in 0..1 + 2 + 3 {
            gates.went_well("a");
        }
        assert!(!gates.narrow("a"));
        assert_eq!(waiting.await.unwrap(), 50);
        drop(held);
    }

    #[tokio::test(start_paused = true)]
    async fn complaints_are_forgotten_and_gates_are_few() {
        let gates = Gates::new(4);
        for n in 0..GATES + 10 {
            gates.slow_down(&format!("{n}"), Instant::now(), 1);
        }
        assert_eq!(gates.lock().len(), GATES);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(places(&gates, "999", 9).await.len(), 9);
        assert!(!gates.narrow("999"));
    }
}
