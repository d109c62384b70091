//! S8: no segment is missing that an extent refers to, and what uses segments is counted rightly.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::{Extent, Position, SegmentId, ShardId, decode_extents};
use siltstone_metadata::checkpoint::uses;
use siltstone_metadata::keys::{
    extent_chunk, inline_segment, parts, segment_row, segment_trash, segment_use, shard_counted, shard_floor,
};
use siltstone_store::{KeyRange, RangeLimit, Snapshot};

use super::{Violation, fail};
use crate::sim::oracle::{Oracle, ShardHistory, at_once};
use crate::sim::world::World;

const NAME: &str = "S8";

/// All of a range.
pub(in crate::sim) fn all(snapshot: &dyn Snapshot, range: &KeyRange) -> Vec<(bytes::Bytes, bytes::Bytes)> {
    let limit = RangeLimit { entries: usize::MAX, bytes: usize::MAX, reverse: false };
    at_once(snapshot.range(range, limit)).map(|page| page.entries).unwrap_or_default()
}

/// Every segment is there that the chunks of a live topic refer to, or an entry that the floor has not passed.
pub(in crate::sim) fn kept(world: &World, oracle: &Oracle) -> Result<(), Violation> {
    let snapshot = oracle.store.peek();
    let names: BTreeSet<String> = oracle.bucket.names().into_iter().collect();
    for history in &oracle.shards {
        let shard = history.state.id();
        let mut extents = held(snapshot.as_ref(), history);
        let mut counts: BTreeMap<SegmentId, u64> = BTreeMap::new();
        for (key, value) in all(snapshot.as_ref(), &extent_chunk::of_shard(shard)) {
            let (Some((id, _)), Ok(chunk)) = (extent_chunk::parse(&key), decode_extents(&value)) else {
                return fail(NAME, format!("a chunk of shard {} can't be read", shard.0));
            };
            for (segment, some) in uses(chunk.iter()) {
                let sum = counts.entry(segment).or_default();
                *sum = sum.wrapping_add(some);
            }
            let log_start = oracle.log(id).log_start;
            extents.extend(chunk.into_iter().filter(|extent| extent.end() > log_start));
        }
        for extent in &extents {
            there(snapshot.as_ref(), &names, extent)?;
        }
        counted(snapshot.as_ref(), shard, counts)?;
    }
    let trash = all(snapshot.as_ref(), &segment_trash::all()).len() as u64;
    world.count(|counts| counts.trashed = counts.trashed.max(trash));
    Ok(())
}

/// Extents that followers may still hold: those of entries that the floor has not passed.
pub(in crate::sim) fn held(snapshot: &dyn Snapshot, history: &ShardHistory) -> Vec<Extent> {
    let floor = at_once(snapshot.get(&shard_floor::key(history.state.id()))).ok().flatten();
    let floor = shard_floor::decode(floor.as_deref()).unwrap_or(Position::ZERO);
    let partitions = history.state.partitions().values();
    let live = partitions.flat_map(|state| state.extents().iter().filter(move |held| held.position > floor));
    live.map(|held| held.extent).collect()
}

fn there(snapshot: &dyn Snapshot, names: &BTreeSet<String>, extent: &Extent) -> Result<(), Violation> {
    let Some(segment) = extent.segment() else { return Ok(()) };
    let found = if segment.inline {
        at_once(parts::get(snapshot, &inline_segment::prefix(segment.id))).ok().flatten().is_some()
    } else {
        names.contains(&segment.id.object_name())
    };
    if found { Ok(()) } else { fail(NAME, format!("{segment:?} is gone, and {extent:?} refers to it")) }
}

fn counted(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    expected: BTreeMap<SegmentId, u64>,
) -> Result<(), Violation> {
    if at_once(snapshot.get(&shard_counted::key(shard))).ok().flatten().is_none() {
        return Ok(());
    }
    let stored = all(snapshot, &segment_use::of_shard(shard)).into_iter().filter_map(|(key, value)| {
        let count = u64::from_le_bytes(value.as_ref().try_into().ok()?);
        Some((segment_use::parse(&key)?, count)).filter(|(_, count)| *count != 0)
    });
    let stored: BTreeMap<_, _> = stored.collect();
    if stored == expected {
        return Ok(());
    }
    let wrong = expected.iter().find(|(id, count)| stored.get(id) != Some(*count));
    let wrong = wrong.or_else(|| stored.iter().find(|(id, count)| expected.get(id) != Some(*count)));
    let counts = wrong.map(|(id, _)| (id, expected.get(id), stored.get(id)));
    fail(NAME, format!("uses in shard {} are counted wrongly, chunks and counts: {counts:?}", shard.0))
}

/// Objects that nothing explains: neither a row nor the trash, nor a writer that lives.
pub(in crate::sim) fn left_over(oracle: &Oracle) -> Vec<String> {
    let snapshot = oracle.store.peek();
    let rows = all(snapshot.as_ref(), &segment_row::all());
    let trash = all(snapshot.as_ref(), &segment_trash::all());
    let known = rows.iter().filter_map(|(key, _)| segment_row::parse(key));
    let known = known.chain(trash.iter().filter_map(|(key, _)| Some(segment_trash::parse(key)?.1)));
    let known: BTreeSet<String> = known.map(|id| id.object_name()).collect();
    let alive = all(snapshot.as_ref(), &siltstone_metadata::keys::registration::all());
    let alive: Vec<String> = alive
        .iter()
        .filter_map(|(_, value)| siltstone_log::RegistrationRow::decode(value).ok())
        .map(|row| row.id.object_prefix())
        .collect();
    let names = oracle.bucket.names().into_iter();
    names
        .filter(|name| !known.contains(name) && !alive.iter().any(|prefix| name.starts_with(prefix)))
        .collect()
}
