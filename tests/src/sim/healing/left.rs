//! What must not be left once compactors have had their time: objects that nobody published, anything of deleted topics, segments that nobody uses, and of
//! topics that are compacted by key older records of a key, and tombstones.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::{
    CleanedRow, PartitionId, SegmentId, SegmentRow, ShardId, TopicId, decode_extents, shard_of,
};
use siltstone_metadata::erase;
use siltstone_metadata::keys::{
    aborted_chunk, cleaned, condemned_topic, extent_chunk, partition_row, registration, segment_row,
    segment_trash, topic_id,
};
use siltstone_metadata::shard::{LEVEL_COMPACTION, PartitionState};
use siltstone_store::{KeyRange, Snapshot};
use tokio::time::sleep;

use super::{NAME, PATIENCE};
use crate::sim::invariants::{Violation, fail, s8};
use crate::sim::oracle::{Oracle, at_once};
use crate::sim::setup;
use crate::sim::world::World;

/// Waits until nothing is left that should not be. Halfway compactors start anew: what looked damaged to one, as faults made it seem, it leaves alone for
/// ten minutes.
pub(super) async fn wait(world: &World) -> Result<(), Violation> {
    let begun = world.elapsed();
    let mut anew = false;
    loop {
        let Some(what) = left(world) else { return Ok(()) };
        if world.violation().is_some() {
            return Ok(());
        }
        if world.elapsed() > begun + PATIENCE && !anew {
            anew = true;
            world.event(format_args!("compactors start anew: {what}"));
            world.compactors.iter().for_each(|place| place.crash(Duration::ZERO));
        }
        if world.elapsed() > begun + 2 * PATIENCE {
            return fail(NAME, what);
        }
        sleep(Duration::from_millis(300)).await;
    }
}

fn left(world: &World) -> Option<String> {
    let oracle = world.oracle.borrow();
    let snapshot = oracle.store.peek();
    let deleted = world.deletions(true);
    if let Some(what) = deleted.iter().find_map(|topic| of_deleted(&oracle, snapshot.as_ref(), *topic)) {
        return Some(what);
    }
    if oracle.shards[0].state.head().level < LEVEL_COMPACTION {
        return None;
    }
    let objects = s8::left_over(&oracle);
    if let Some(first) = objects.first() {
        return Some(format!("{} objects are left over, such as {first}", objects.len()));
    }
    if let Some(segment) = unused(&oracle, snapshot.as_ref()) {
        return Some(format!("nobody uses {segment}, and it is there"));
    }
    if let Some(what) = unerased(&oracle, snapshot.as_ref()) {
        return Some(what);
    }
    let live = world.partitions();
    let mut keyed = live.into_iter().filter(|id| oracle.keyed.contains_key(&id.topic));
    keyed.find_map(|id| to_compact(world, &oracle, snapshot.as_ref(), id))
}

fn of_deleted(oracle: &Oracle, snapshot: &dyn Snapshot, topic: TopicId) -> Option<String> {
    let families = [
        ("rows", partition_row::of_topic as fn(ShardId, TopicId) -> KeyRange),
        ("extents", extent_chunk::of_topic),
        ("aborted transactions", aborted_chunk::of_topic),
        ("cleaned rows", cleaned::of_topic),
    ];
    for shard in oracle.shards.iter().map(|history| history.state.id()) {
        if let Some((what, _)) =
            families.iter().find(|(_, of)| !s8::all(snapshot, &of(shard, topic)).is_empty())
        {
            return Some(format!("{what} of {topic:?} are left in shard {}, and it was deleted", shard.0));
        }
        if get(snapshot, &condemned_topic::key(shard, topic)).is_some() {
            return Some(format!("shard {} still has to clear away {topic:?}", shard.0));
        }
    }
    get(snapshot, &topic_id::key(topic)).map(|_| format!("{topic:?} was deleted, and its id is still known"))
}

/// An erasure that has not come to its end, or of which digests are left.
fn unerased(oracle: &Oracle, snapshot: &dyn Snapshot) -> Option<String> {
    let rows = at_once(erase::list(snapshot)).unwrap_or_default();
    let row = rows.into_iter().find(|(_, row)| row.completed.is_none());
    let states = oracle.shards.iter().flat_map(|history| history.state.partitions());
    let hides = |(id, state): (&PartitionId, &PartitionState)| {
        let erased = state.row().erasures.keys().next().copied();
        erased.map(|erasure| format!("{erasure} is still hidden in {id:?}"))
    };
    row.map(|(_, row)| format!("not completed: {row:?}")).or_else(|| states.into_iter().find_map(hides))
}

fn get(snapshot: &dyn Snapshot, key: &[u8]) -> Option<Bytes> {
    at_once(snapshot.get(key)).ok().flatten()
}

/// A segment that no extent refers to, and that nobody who lives is publishing.
fn unused(oracle: &Oracle, snapshot: &dyn Snapshot) -> Option<String> {
    let mut used: BTreeSet<SegmentId> = BTreeSet::new();
    for history in &oracle.shards {
        let chunks = s8::all(snapshot, &extent_chunk::of_shard(history.state.id()));
        let extents = chunks.iter().filter_map(|(_, value)| decode_extents(value).ok()).flatten();
        let extents = extents.chain(s8::held(snapshot, history));
        used.extend(extents.filter_map(|extent| Some(extent.segment()?.id)));
    }
    let rows = s8::all(snapshot, &segment_row::all()).into_iter().filter_map(|(key, value)| {
        let (id, row) = (segment_row::parse(&key)?, SegmentRow::decode(&value).ok()?);
        let published = row.writing && get(snapshot, &registration::key(id.registration)).is_some();
        (!published).then(|| (id, format!("{row:?}")))
    });
    let trash = s8::all(snapshot, &segment_trash::all());
    let trash = trash.iter().filter_map(|(key, _)| Some((segment_trash::parse(key)?.1, "trash".to_owned())));
    rows.chain(trash).find(|(id, _)| !used.contains(id)).map(|(id, what)| format!("{id:?} ({what})"))
}

/// What compaction by key still has to do in a partition.
fn to_compact(world: &World, oracle: &Oracle, snapshot: &dyn Snapshot, id: PartitionId) -> Option<String> {
    let (config, _) = oracle.compacted(id)?;
    // Clocks that jump make records that are long in the future; and who waits for much to do may leave a little.
    if setup::lazily(world.seed) || config.min_compaction_lag_ms > 0 {
        return None;
    }
    let row = get(snapshot, &cleaned::key(shard_of(id, world.shards), id));
    let row = row.and_then(|bytes| CleanedRow::decode(&bytes).ok()).unwrap_or_default();
    let end = oracle.log(id).next;
    if row.first_dirty < end || row.round.is_some() {
        return Some(format!("{id:?} is compacted up to {}, not {end}: {:?}", row.first_dirty, row.round));
    }
    let seen = world.seen.borrow();
    seen.tombstones(id).map(|offset| format!("{id:?} still has a tombstone at {offset}"))
}
