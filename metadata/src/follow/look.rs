//! One look at all followed shards, instead of a round for each.
//!
//! ```text
//! look:  one snapshot ── ticks, floors, voids of all followed shards ──▶ each: as it was since the last complete round? confirmed : a round
//! ```
//!
//! Every transaction that appends to a shard adds to its tick, so that a tick which is the same at two versions says that nothing was appended between
//! them. A shard is *quiet* if its tick is the same since a version that its last complete round has reached, and floor and voids are
//! those that the round was made with. Then its state holds everything up to the look's version: it is confirmed as of the look's beginning, and whoever asked
//! for fresh state before has it. That a round comes behind the change of a tick is what matters: a round that failed confirms nothing.
//!
//! Floors and voids are compared as they are, since nobody ticks for them.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use futures::future::try_join_all;
use siltstone_log::{Position, ShardId};
use siltstone_store::{KeyRange, Pages, Snapshot, StoreError, Version};
use tokio::time::Instant;

use super::CONFIRM_EVERY;
use super::load::Frame;
use super::round::evict_idle;
use super::shard::{Inner, Shard};
use crate::bugs::{self, Bug};
use crate::keys::{shard_floor, shard_in, shard_tick, shard_voids};

/// So few shards are read one by one, more in ranges. An agent of a large cluster serves few of its shards.
const SINGLY: usize = 2;

/// What a look saw of a shard.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Mark {
    tick: Option<Bytes>,
    floor: Option<Bytes>,
    voids: Option<Bytes>,
}

/// A shard's tick, and the first version at which a look saw it as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tick {
    value: Option<Bytes>,
    since: Version,
}

/// A look, for all shards the same.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    pub(super) began: Instant,
    pub(super) version: Version,
    /// The own registration stands. What comes after its end is another life's, and no tick of it is believed.
    pub(super) alive: bool,
}

/// What there is to see of these shards, in their order.
pub(super) async fn marks(
    snapshot: &dyn Snapshot,
    shards: &BTreeSet<ShardId>,
) -> Result<BTreeMap<ShardId, Mark>, StoreError> {
    let mut marks: BTreeMap<ShardId, Mark> = shards.iter().map(|shard| (*shard, Mark::default())).collect();
    let (Some(first), Some(last)) = (shards.first(), shards.last()) else { return Ok(marks) };
    if shards.len() <= SINGLY {
        let one = async |shard: ShardId| {
            let (tick, floor, voids) =
                (shard_tick::key(shard), shard_floor::key(shard), shard_voids::key(shard));
            let (tick, floor, voids) =
                futures::try_join!(snapshot.get(&tick), snapshot.get(&floor), snapshot.get(&voids))?;
            Ok::<_, StoreError>((shard, Mark { tick, floor, voids }))
        };
        return Ok(try_join_all(shards.iter().copied().map(one)).await?.into_iter().collect());
    }
    let (ticks, floors, voids) = futures::try_join!(
        all(snapshot, shard_tick::between(*first, *last)),
        all(snapshot, shard_floor::between(*first, *last)),
        all(snapshot, shard_voids::between(*first, *last)),
    )?;
    put(&mut marks, ticks, |mark, value| mark.tick = Some(value));
    put(&mut marks, floors, |mark, value| mark.floor = Some(value));
    put(&mut marks, voids, |mark, value| mark.voids = Some(value));
    Ok(marks)
}

/// A value for each shard of a range.
async fn all(snapshot: &dyn Snapshot, range: KeyRange) -> Result<Vec<(ShardId, Bytes)>, StoreError> {
    let mut found = Vec::new();
    let mut pages = Pages::of(range);
    while let Some(page) = pages.next(snapshot).await? {
        let of_shard = |(key, value): (Bytes, Bytes)| Some((shard_in(&key)?, value));
        found.extend(page.into_iter().filter_map(of_shard));
    }
    Ok(found)
}

fn put(marks: &mut BTreeMap<ShardId, Mark>, found: Vec<(ShardId, Bytes)>, set: impl Fn(&mut Mark, Bytes)) {
    for (shard, value) in found {
        if let Some(mark) = marks.get_mut(&shard) {
            set(mark, value);
        }
    }
}

impl Mark {
    /// Whether a round would read the log with the same floor and voids as the last one did.
    fn has(&self, frame: &Frame) -> bool {
        let floor = shard_floor::decode(self.floor.as_deref()).unwrap_or(Position::ZERO);
        let voids = shard_voids::decode(self.voids.as_deref());
        floor == frame.floor && voids.is_some_and(|voids| voids == frame.voids)
    }
}

impl Inner {
    /// Whether the state holds everything up to the look's version.
    fn is_quiet(&mut self, look: &Look, mark: &Mark) -> bool {
        let Inner { tick, .. } = self;
        if tick.as_ref().is_none_or(|tick| tick.value != mark.tick) {
            *tick = Some(Tick { value: mark.tick.clone(), since: look.version });
        }
        let since = tick.as_ref().map_or(look.version, |tick| tick.since);
        let usable = self.state.is_some() && self.halted.is_none() && self.wanted.is_empty();
        let reached = |version| self.complete.is_some_and(|complete| complete >= version);
        let unchanged = mark.has(&self.frame) && (reached(since) || bugs::on(Bug::TickAlone));
        look.alive && usable && (reached(look.version) || unchanged)
    }
}

impl Shard {
    /// What to wait for in a look that begins now; `None` if the shard isn't followed.
    pub(super) fn begin_look(&self) -> Option<u64> {
        let inner = self.lock();
        inner.need.followed().map(|_| inner.requested)
    }

    /// Takes in what a look saw that began with this ticket: the shard is confirmed, or makes a round; but for one that makes them all the time anyhow.
    pub(super) fn seen(&self, look: &Look, ticket: u64, mark: &Mark) {
        let mut inner = self.lock();
        if inner.is_quiet(look, mark) {
            inner.confirmed = inner.confirmed.max(Some(look.began));
            evict_idle(&mut inner, look.began);
            drop(inner);
            return self.completed.raise(ticket);
        }
        let busy = inner.confirmed.is_some_and(|at| at + CONFIRM_EVERY / 2 > look.began);
        drop(inner);
        if !busy || !look.alive || ticket > self.completed.get() {
            self.poke();
        }
    }

    /// For how long the shard has not been confirmed; `None` if it isn't followed.
    pub(super) fn lag(&self, now: Instant) -> Option<std::time::Duration> {
        let inner = self.lock();
        let since = inner.confirmed.or(inner.need.followed());
        inner.need.followed().and(since).map(|since| now.saturating_duration_since(since))
    }
}
