//! S7: folding the same entries gives the same state, on every agent, from any checkpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_log::{
    ChunkRow, Extent, ExtentPlace, PartitionId, PartitionRow, Position, ShardHead, ShardId, decode_extents,
};
use siltstone_metadata::keys::{cleaned, extent_chunk, partition_row, parts, shard_floor, shard_head};
use siltstone_metadata::shard::{PartitionState, ShardState};
use siltstone_store::Snapshot;

use super::{Violation, erased, fail, s8, s9};
use crate::sim::batches::header;
use crate::sim::oracle::{Oracle, ShardHistory, at_once, comparable};
use crate::sim::world::World;

const NAME: &str = "S7";

/// What was compared last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    positions: BTreeMap<(usize, usize), (u64, Position)>,
    floors: BTreeMap<ShardId, Position>,
    rows: BTreeMap<PartitionId, Vec<Bytes>>,
    horizons: BTreeMap<PartitionId, Position>,
    /// Partitions that are compacted by key.
    pub(super) compacted: s9::Rows,
}

/// A floor must trail: whoever looks as often as the oracle never misses an entry.
pub(in crate::sim) fn floor_trails(shard: usize, seen: Position, floor: Position) -> Result<(), Violation> {
    if floor > seen {
        return fail(NAME, format!("the floor of shard {shard} passes entries that are a step old"));
    }
    Ok(())
}

/// An entry can't be read.
pub(in crate::sim) fn unreadable(shard: usize, key: &[u8]) -> Violation {
    Violation { invariant: NAME, what: format!("shard {shard} has an entry that can't be read: {key:?}") }
}

impl Seen {
    /// An engine's shards must be what the oracle has at the same position.
    pub(super) fn same_state(
        &mut self,
        world: &World,
        oracle: &Oracle,
        (place, life): (usize, u64),
        engine: &Arc<Engine>,
    ) -> Result<(), Violation> {
        for (index, shard) in engine.followers().shards().iter().enumerate() {
            let history = &oracle.shards[index];
            let compared = shard.checkpoint_view(|state, _, floor| {
                let now = (life, state.position());
                let last = self.positions.insert((place, index), now);
                if last == Some(now) {
                    return Ok(());
                }
                let jumped = last.is_some_and(|(then, position)| then == life && position < floor);
                world.count(|counts| {
                    counts.states += 1;
                    counts.reloads += u64::from(jumped);
                });
                compare(history, oracle, state)
                    .map_err(|what| format!("agent {place}, shard {index}: {what}"))
            });
            if let Some(Err(what)) = compared {
                return fail(NAME, what);
            }
            if compared.is_none()
                && self.positions.remove(&(place, index)).is_some_and(|(then, _)| then == life)
            {
                world.count(|counts| counts.let_go += 1);
            }
            if compared.is_none()
                && let Err(siltstone_metadata::follow::ShardError::Halted(why)) = shard.read(|_| ())
            {
                return fail(NAME, format!("agent {place}, shard {index} has halted: {why}"));
            }
        }
        Ok(())
    }

    /// Heads, floors and rows in the store must be what the oracle's fold had at their positions.
    pub(super) fn rows(&mut self, world: &World, oracle: &Oracle) -> Result<(), Violation> {
        let snapshot = oracle.store.peek();
        for history in &oracle.shards {
            let result = self.shard_rows(world, oracle, snapshot.as_ref(), history);
            if let Err(what) = result {
                return fail(NAME, format!("rows of shard {}: {what}", history.state.id().0));
            }
        }
        Ok(())
    }

    fn shard_rows(
        &mut self,
        world: &World,
        oracle: &Oracle,
        snapshot: &dyn Snapshot,
        history: &ShardHistory,
    ) -> Result<(), String> {
        let shard = history.state.id();
        let floor = at_once(snapshot.get(&shard_floor::key(shard))).ok().flatten();
        let floor = shard_floor::decode(floor.as_deref()).ok_or("the floor is no position")?;
        let last = self.floors.insert(shard, floor).unwrap_or(Position::ZERO);
        if floor < last {
            return Err(format!("the floor moves back from {last:?} to {floor:?}"));
        }
        if floor > last {
            world.count(|counts| counts.floors += 1);
            let head = at_once(parts::get(snapshot, &shard_head::prefix(shard))).ok().flatten();
            let head = head.and_then(|bytes| ShardHead::decode(&bytes).ok());
            if head.as_ref() != history.head(floor) {
                return Err(format!("the head at {floor:?} is {head:?}, not {:?}", history.head(floor)));
            }
        }
        for id in history.state.partitions().keys() {
            let row = at_once(parts::get(snapshot, &partition_row::prefix(shard, *id))).ok().flatten();
            let horizon = self.row(world, oracle, snapshot, history, *id, row)?;
            let missed = history
                .changes
                .get(id)
                .and_then(|changes| changes.range(horizon..).find(|at| **at > horizon));
            if let Some(missed) = missed.filter(|missed| **missed <= floor) {
                return Err(format!(
                    "{id:?} at {horizon:?} lacks {missed:?}, which is below the floor {floor:?}"
                ));
            }
        }
        Ok(())
    }

    /// Checks a row if it is new. Returns its horizon.
    fn row(
        &mut self,
        world: &World,
        oracle: &Oracle,
        snapshot: &dyn Snapshot,
        history: &ShardHistory,
        id: PartitionId,
        row: Option<Bytes>,
    ) -> Result<Position, String> {
        let Some(bytes) = row else { return Ok(Position::ZERO) };
        let known = self.horizons.get(&id).copied().unwrap_or(Position::ZERO);
        let shard = history.state.id();
        let chunks = s8::all(snapshot, &extent_chunk::between(shard, id, 0, i64::MAX));
        let mut seen = vec![bytes.clone()];
        seen.extend(chunks.iter().map(|(_, value)| value.clone()));
        let cleaned = at_once(snapshot.get(&cleaned::key(shard, id))).ok().flatten();
        seen.extend(cleaned.clone());
        if self.rows.get(&id) == Some(&seen) {
            return Ok(known);
        }
        world.count(|counts| counts.rows += 1);
        let row = PartitionRow::decode(&bytes).map_err(|error| format!("row of {id:?}: {error}"))?;
        if row.horizon < known {
            return Err(format!("{id:?} moves back from {known:?} to {:?}", row.horizon));
        }
        let truth =
            history.truth(id, row.horizon).ok_or_else(|| format!("{id:?} has a row before it exists"))?;
        if comparable(&row) != **truth {
            return Err(format!("the row of {id:?} is {row:?}, not {truth:?}"));
        }
        let mut extents = Vec::new();
        let mut last = None;
        for (key, value) in &chunks {
            let chunk = decode_extents(value).map_err(|error| error.to_string())?;
            let base = extent_chunk::parse(key).map(|(_, base)| base);
            if base.is_none() || base != chunk.first().map(|first| first.base) {
                return Err(format!("a chunk of {id:?} at {base:?} does not begin there"));
            }
            last = base.map(|base| ChunkRow { base, extents: chunk.len() as u32 });
            extents.extend(chunk);
        }
        if row.last_chunk.is_some() && row.last_chunk != last {
            return Err(format!("the last chunk of {id:?} is {last:?}, not {:?}", row.last_chunk));
        }
        let look = s9::Look { world, oracle, snapshot, shard, id, row: &row };
        match oracle.compacted(id) {
            Some(_) => self.compacted.check(&look, cleaned, &extents)?,
            None => same_extents(world, oracle, snapshot, id, &row, &extents)?,
        }
        self.horizons.insert(id, row.horizon);
        self.rows.insert(id, seen);
        Ok(row.horizon)
    }
}

/// The chunks must hold every offset from the row's log start to its end once, as it was flushed, or merged with all that is in the log.
fn same_extents(
    world: &World,
    oracle: &Oracle,
    snapshot: &dyn Snapshot,
    id: PartitionId,
    row: &PartitionRow,
    found: &[Extent],
) -> Result<(), String> {
    let log = oracle.log(id);
    let mut next = None;
    for extent in found.iter().filter(|extent| extent.base < row.next) {
        // What was trimmed before a checkpoint came was never written.
        let trimmed = extent.base <= row.log_start;
        if next.is_some_and(|next| next > extent.base || next < extent.base && !trimmed) {
            return Err(format!("extents of {id:?}: {next:?} comes next, not {}", extent.base));
        }
        next = Some(extent.end());
        if extent.level() == 0 {
            if extent.end() > row.log_start && log.extents.get(&extent.base) != Some(extent) {
                return Err(format!("{id:?} has {extent:?}, not {:?}", log.extents.get(&extent.base)));
            }
        } else {
            world.count(|counts| counts.merged += 1);
            same_bytes(oracle, snapshot, id, row.log_start, extent)?;
        }
    }
    let first = found.first().map_or(row.next, |first| first.base);
    if row.log_start < row.next && (first > row.log_start || next != Some(row.next)) {
        return Err(format!("extents of {id:?} are {first}..{next:?}, not {}..{}", row.log_start, row.next));
    }
    Ok(())
}

/// A merged extent must hold what the log has at its offsets, from the log start on; before it, nothing else.
fn same_bytes(
    oracle: &Oracle,
    snapshot: &dyn Snapshot,
    id: PartitionId,
    log_start: i64,
    extent: &Extent,
) -> Result<(), String> {
    let ExtentPlace::Stored { segment, block, start, .. } = extent.place else { return Ok(()) };
    // Where nobody may read it may be gone.
    if extent.end() <= log_start {
        return Ok(());
    }
    let whole = oracle.segment(snapshot, &segment).ok_or_else(|| format!("{segment:?} is not there"))?;
    let from = block.start as usize + start as usize;
    let bytes = whole.get(from..from + extent.length as usize).ok_or("an extent beyond its segment")?;
    let mut rest = bytes;
    for (_, batch) in oracle.log(id).batches.range(extent.base..extent.end()) {
        let mut wanted = batch.base.to_be_bytes().to_vec();
        wanted.extend_from_slice(&batch.bytes[8..12]);
        wanted.extend_from_slice(&[0; 4]);
        wanted.extend_from_slice(&batch.bytes[16..]);
        match rest.strip_prefix(&wanted[..]) {
            Some(more) => rest = more,
            // Trimmed before a checkpoint came.
            None if batch.end() <= log_start && !begins(rest, batch.base) => {}
            None if oracle.log(id).erased_in(batch.base, batch.end()) => {
                rest = without_erased(oracle, id, batch.base, rest)?;
            }
            None => return Err(format!("{id:?}: {extent:?} does not hold the batch at {}", batch.base)),
        }
    }
    if rest.is_empty() { Ok(()) } else { Err(format!("{id:?}: {extent:?} holds what is not in the log")) }
}

fn begins(bytes: &[u8], base: i64) -> bool {
    header(bytes).is_some_and(|header| header.base_offset == base)
}

/// What follows a batch of which records are erased.
fn without_erased<'a>(
    oracle: &Oracle,
    id: PartitionId,
    base: i64,
    bytes: &'a [u8],
) -> Result<&'a [u8], String> {
    let length = header(bytes).and_then(|header| header.total_len()).filter(|length| *length <= bytes.len());
    let (batch, rest) = bytes.split_at(length.ok_or("a batch is cut off")?);
    let left = erased::batch(oracle.log(id), batch)?;
    if left.base == base { Ok(rest) } else { Err(format!("{id:?}: {base} comes next, not {}", left.base)) }
}

fn compare(history: &ShardHistory, oracle: &Oracle, state: &ShardState) -> Result<(), String> {
    let at = state.position();
    if at > history.state.position() {
        return Err(format!("at {at:?}, which no log has"));
    }
    if Some(state.head()) != history.head(at) {
        return Err(format!("the head is {:?}, not {:?}", state.head(), history.head(at)));
    }
    state.partitions().iter().try_for_each(|(id, partition)| {
        if history.deleted.get(&id.topic).is_some_and(|deleted| *deleted <= at) {
            return Err(format!("{id:?} is still there, and its topic was deleted"));
        }
        let truth = history.truth(*id, at).ok_or_else(|| format!("{id:?} does not exist at {at:?}"))?;
        if comparable(partition.row()) != **truth {
            return Err(format!("{id:?} at {at:?} is {:?}, not {truth:?}", partition.row()));
        }
        compare_extents(oracle, *id, partition)
    })
}

fn compare_extents(oracle: &Oracle, id: PartitionId, partition: &PartitionState) -> Result<(), String> {
    let log = oracle.log(id);
    let mut next = partition.first_held();
    for held in partition.extents() {
        let extent = held.extent;
        if extent.base != next || log.extents.get(&extent.base) != Some(&extent) {
            return Err(format!("{id:?} holds {extent:?}, not {:?}", log.extents.get(&next)));
        }
        next = extent.end();
    }
    if next == partition.next() { Ok(()) } else { Err(format!("{id:?} holds nothing from {next} on")) }
}
