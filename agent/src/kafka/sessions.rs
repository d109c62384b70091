//! Fetch sessions (KIP-227): what a consumer fetches, kept here, so that its requests and answers name only what changes.
//!
//! Bounded in sessions (`max.incremental.fetch.session.cache.slots`) and in partitions over all of them. Over a bound a session that
//! was idle for long makes room, or a smaller one; else the client goes on without a session, as in Kafka.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siltstone_kafka::ErrorCode;
use tokio::time::Instant;

use super::lookup::TopicKey;

/// A session that was idle for so long may be evicted by any other (Kafka's `min.incremental.fetch.session.eviction.ms`).
const IDLE: Duration = Duration::from_secs(120);
/// Partitions of all sessions together, at most: some 200 bytes each.
const PARTITIONS: usize = 500_000;

/// Ids are random; where one is taken, the next ones are tried.
const ID_TRIES: u32 = 64;

/// The epoch with which a session is asked for.
pub(super) const FIRST_EPOCH: i32 = 0;
/// The epoch with which none is wanted, or the old one is given up.
pub(super) const NO_EPOCH: i32 = -1;

/// A partition of a session.
pub(super) type Key = (TopicKey, i32);

/// What is wanted of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) offset: i64,
    pub(super) max_bytes: i32,
    pub(super) current_leader_epoch: i32,
    pub(super) last_fetched_epoch: i32,
}

/// What a client knows of a partition's ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) high_watermark: i64,
    pub(super) log_start: i64,
}

#[derive(Debug)]
struct Member {
    key: Key,
    wanted: Wanted,
    /// `None`: nothing, or an error, so that the next answer must name the partition.
    told: Option<Told>,
}

/// One session: partitions in the order in which they are served.
#[derive(Debug)]
struct Session {
    by_id: bool,
    epoch: i32,
    used: Instant,
    order: BTreeMap<u64, Member>,
    places: BTreeMap<Key, u64>,
    next: u64,
}

impl Session {
    fn new(by_id: bool, partitions: &[(Key, Wanted)], now: Instant) -> Self {
        let mut session =
            Session { by_id, epoch: 1, used: now, order: BTreeMap::new(), places: BTreeMap::new(), next: 0 };
        partitions.iter().for_each(|(key, wanted)| session.put(key, *wanted));
        session
    }

    fn put(&mut self, key: &Key, wanted: Wanted) {
        if let Some(member) = self.places.get(key).and_then(|place| self.order.get_mut(place)) {
            member.wanted = wanted;
            return;
        }
        self.places.insert(key.clone(), self.next);
        self.order.insert(self.next, Member { key: key.clone(), wanted, told: None });
        self.next += 1;
    }

    fn forget(&mut self, key: &Key) {
        if let Some(place) = self.places.remove(key) {
            self.order.remove(&place);
        }
    }

    fn tell(&mut self, key: &Key, told: Option<Told>, to_the_end: bool) {
        let Some(place) = self.places.get_mut(key) else { return };
        if !to_the_end {
            if let Some(member) = self.order.get_mut(place) {
                member.told = told;
            }
        } else if let Some(member) = self.order.remove(place) {
            *place = self.next;
            self.order.insert(self.next, Member { told, ..member });
            self.next += 1;
        }
    }
}

/// What a request wants of the sessions.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) id: i32,
    pub(super) epoch: i32,
    pub(super) by_id: bool,
    pub(super) partitions: Vec<(Key, Wanted)>,
    pub(super) forgotten: Vec<Key>,
}

/// What a request is to fetch.
#[derive(Debug)]
pub(super) struct Granted {
    /// 0: no session.
    pub(super) id: i32,
    /// Only changes are answered.
    pub(super) incremental: bool,
    /// In the order in which they are served, with what the client was told of them.
    pub(super) partitions: Vec<(Key, Wanted, Option<Told>)>,
}

/// All sessions of this agent, whichever connection they are used from.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    cache: Mutex<Cache>,
}

#[derive(Debug, Default)]
struct Cache {
    sessions: BTreeMap<i32, Session>,
    partitions: usize,
}

impl Sessions {
    fn lock(&self) -> MutexGuard<'_, Cache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins, goes on with, or ends a session. `new_id` is random; `slots` is how many sessions there may be.
    ///
    /// # Errors
    /// The session does not exist, has another epoch, or names topics the other way; the client begins anew.
    pub(super) fn take(&self, ask: Ask, new_id: u32, slots: usize) -> Result<Granted, ErrorCode> {
        let mut cache = self.lock();
        let now = Instant::now();
        if matches!(ask.epoch, FIRST_EPOCH | NO_EPOCH) {
            cache.remove(ask.id);
            let id = if ask.epoch == FIRST_EPOCH && !ask.partitions.is_empty() {
                cache.begin(&ask, new_id, slots, now)
            } else {
                0
            };
            let partitions = ask.partitions.into_iter().map(|(key, wanted)| (key, wanted, None)).collect();
            return Ok(Granted { id, incremental: false, partitions });
        }
        cache.go_on(&ask, now)
    }

    /// Remembers what a client is being told. Nothing if the session has gone, or on, meanwhile.
    pub(super) fn told(&self, id: i32, told: impl IntoIterator<Item = (Key, Option<Told>, bool)>) {
        let mut cache = self.lock();
        let Some(session) = cache.sessions.get_mut(&id) else { return };
        told.into_iter().for_each(|(key, told, to_the_end)| session.tell(&key, told, to_the_end));
    }
}

impl Cache {
    fn remove(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.order.len();
        }
    }

    fn begin(&mut self, ask: &Ask, new_id: u32, slots: usize, now: Instant) -> i32 {
        let size = ask.partitions.len();
        let fits = |cache: &Cache| cache.sessions.len() < slots && cache.partitions + size <= PARTITIONS;
        if !fits(self)
            && let Some(victim) = self.victim(size, now)
        {
            self.remove(victim);
        }
        let ids = (0..ID_TRIES).map(|n| ((new_id.wrapping_add(n) & 0x7fff_ffff) as i32).max(1));
        let free = ids.into_iter().find(|id| !self.sessions.contains_key(id));
        let Some(id) = free.filter(|_| fits(self)) else { return 0 };
        let session = Session::new(ask.by_id, &ask.partitions, now);
        self.partitions += session.order.len();
        self.sessions.insert(id, session);
        id
    }

    /// Who makes room for a session of so many partitions.
    fn victim(&self, size: usize, now: Instant) -> Option<i32> {
        let (id, oldest) = self.sessions.iter().min_by_key(|(_, session)| session.used)?;
        if now.duration_since(oldest.used) >= IDLE {
            return Some(*id);
        }
        let (id, smallest) = self.sessions.iter().min_by_key(|(_, session)| session.order.len())?;
        (smallest.order.len() < size).then_some(*id)
    }

    fn go_on(&mut self, ask: &Ask, now: Instant) -> Result<Granted, ErrorCode> {
        let room = PARTITIONS.saturating_sub(self.partitions);
        let session = self.sessions.get_mut(&ask.id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != ask.by_id && !(ask.partitions.is_empty() && ask.forgotten.is_empty()) {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.epoch != ask.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        if ask.partitions.len() > room {
            self.remove(ask.id);
            return Err(ErrorCode::FetchSessionIdNotFound);
        }
        let before = session.order.len();
        ask.partitions.iter().for_each(|(key, wanted)| session.put(key, *wanted));
        ask.forgotten.iter().for_each(|key| session.forget(key));
        session.epoch = if session.epoch == i32::MAX { 1 } else { session.epoch + 1 };
        session.used = now;
        let partitions: Vec<_> = session.order.values().map(|m| (m.key.clone(), m.wanted, m.told)).collect();
        self.partitions = self.partitions - before + partitions.len();
        if partitions.is_empty() {
            self.remove(ask.id);
            return Ok(Granted { id: 0, incremental: false, partitions });
        }
        Ok(Granted { id: ask.id, incremental: true, partitions })
    }
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
