//! Erasures: once one is acknowledged no reader is given a record that it takes, through any agent; once it is told completed no segment in the bucket or in
//! the store holds one; and its receipt names whatever held one when the search was over. Everything else stays as it was, at its offsets (S1, S2, S9).

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_agent::engine::Engine;
use siltstone_log::{
    Encoding, ErasureId, ErasureScan, Footer, FooterBlock, PartitionId, SegmentId, TRAILER_BYTES,
};
use siltstone_metadata::erase;
use siltstone_metadata::keys::{erasure, inline_segment, parts, segment_row, segment_trash};
use siltstone_metadata::shard::PartitionState;
use siltstone_store::Snapshot;

use super::s9::{self, Left};
use super::{Violation, fail, s8};
use crate::sim::batches::{header, id_of};
use crate::sim::oracle::{LogBatch, Oracle, PartitionLog, at_once, keys_of};
use crate::sim::world::World;

const NAME: &str = "erasure";

/// Compares a batch that was found with the one that was written there: only what is erased may be missing.
pub(in crate::sim) fn batch(log: &PartitionLog, found: &[u8]) -> Result<Left, String> {
    let left = s9::batch(log, found)?;
    let there: BTreeSet<i64> = left.offsets.iter().copied().collect();
    let missing = |offset: &i64| !there.contains(offset) && !log.gone.contains_key(offset);
    match (left.base..left.end).find(missing) {
        Some(offset) => Err(format!("the record at {offset} is missing, and nobody has erased it")),
        None => Ok(left),
    }
}

/// Erasures that an answer which an agent gives now must go by: those that are acknowledged, and those that the agent itself knows of.
pub(in crate::sim) fn promised(
    world: &World,
    engine: &Engine,
    partition: PartitionId,
) -> BTreeSet<ErasureId> {
    let known = |state: &PartitionState| state.row().erasures.keys().copied().collect();
    let known: BTreeSet<ErasureId> =
        engine.followers().of(partition).partition(partition, known).unwrap_or_default();
    world.oracle.borrow().promises.erased.iter().copied().chain(known).collect()
}

/// A reader was given records at these offsets, of a partition of which these erasures were `promised`.
pub(in crate::sim) fn not_shown(
    oracle: &Oracle,
    partition: PartitionId,
    promised: &BTreeSet<ErasureId>,
    offsets: &[i64],
) -> Result<(), Violation> {
    let log = oracle.log(partition);
    for offset in offsets {
        let by = log.gone.get(offset).and_then(|all| all.iter().find(|id| promised.contains(id)));
        if let Some(id) = by {
            let what = format!("{partition:?}: a reader is given the record at {offset}, which {id} erased");
            return fail(NAME, what);
        }
    }
    Ok(())
}

/// What was looked at of receipts.
#[derive(Debug, Default)]
pub(super) struct Seen {
    searched: BTreeSet<ErasureId>,
    completed: BTreeSet<ErasureId>,
}

impl Seen {
    /// Looks at what has come to an end since the last time.
    pub(super) fn receipts(&mut self, world: &World, oracle: &Oracle) -> Result<(), Violation> {
        if oracle.erasures.is_empty() {
            return Ok(());
        }
        let snapshot = oracle.store.peek();
        let rows = at_once(erase::list(snapshot.as_ref()));
        let rows = rows.map_err(|error| Violation { invariant: NAME, what: error.to_string() })?;
        for (id, row) in rows {
            if row.scan == ErasureScan::Done && self.searched.insert(id) {
                searched(oracle, snapshot.as_ref(), id)?;
            }
            if row.completed.is_some() && self.completed.insert(id) {
                world.count(|counts| counts.erasures_completed += 1);
                completed(oracle, snapshot.as_ref(), id)?;
            }
        }
        Ok(())
    }
}

/// The search is over: whatever is known and holds such a record must be on the list.
fn searched(oracle: &Oracle, snapshot: &dyn Snapshot, id: ErasureId) -> Result<(), Violation> {
    let listed = s8::all(snapshot, &erasure::objects(id));
    let listed: BTreeSet<SegmentId> =
        listed.iter().filter_map(|(key, _)| erasure::parse_object(key)).collect();
    let known = known(snapshot);
    let missed =
        |(segment, _): &(SegmentId, String)| known.contains_key(segment) && !listed.contains(segment);
    match holders(oracle, snapshot, id).into_iter().find(missed) {
        Some((segment, what)) => {
            let when = (oracle.flushed.get(&segment), oracle.erasures.get(&id));
            let what = format!("{segment:?} is not on the list of {id} ({when:?}), and holds {what}");
            fail(NAME, what)
        }
        None => Ok(()),
    }
}

/// It is told completed: nothing that the metadata know of may hold such a record.
///
/// Not asked for, since it is not so yet: that of objects which a compactor stored and never announced, as after an upload whose result was unknown, or a crash. They
/// are nobody's, the search does not see them, and they go with the orphans of that compactor's registration, which may be after the receipt.
fn completed(oracle: &Oracle, snapshot: &dyn Snapshot, id: ErasureId) -> Result<(), Violation> {
    let known = known(snapshot);
    match holders(oracle, snapshot, id).into_iter().find(|(segment, _)| known.contains_key(segment)) {
        Some((segment, what)) => fail(NAME, format!("{id} is completed, and {segment:?} holds {what}")),
        None => Ok(()),
    }
}

/// Segments that have a row, or are trash; and whether they are inline.
fn known(snapshot: &dyn Snapshot) -> BTreeMap<SegmentId, bool> {
    let rows = s8::all(snapshot, &segment_row::all()).into_iter().filter_map(|(key, value)| {
        let row = siltstone_log::SegmentRow::decode(&value).ok()?;
        Some((segment_row::parse(&key)?, row.inline))
    });
    let trash = s8::all(snapshot, &segment_trash::all())
        .into_iter()
        .filter_map(|(key, value)| Some((segment_trash::parse(&key)?.1, segment_trash::decode(&value)?.0)));
    rows.chain(trash).collect()
}

/// Segments that hold a record which an erasure takes, in the bucket and in the store, whoever refers to them; and which record.
fn holders(oracle: &Oracle, snapshot: &dyn Snapshot, id: ErasureId) -> Vec<(SegmentId, String)> {
    let objects = oracle.bucket.names().into_iter().filter_map(|name| oracle.bucket.content(&name));
    let inline = known(snapshot).into_iter().filter(|(_, inline)| *inline).filter_map(|(segment, _)| {
        at_once(parts::get(snapshot, &inline_segment::prefix(segment))).ok().flatten()
    });
    let mut found = Vec::new();
    for whole in objects.chain(inline) {
        let Some(footer) = footer(&whole) else { continue };
        let mut held = footer.blocks.iter().filter_map(|block| holds(oracle, &whole, footer.id, block, id));
        found.extend(held.next().map(|what| (footer.id, what)));
    }
    found
}

fn footer(whole: &Bytes) -> Option<Footer> {
    let trailer = whole.len().checked_sub(TRAILER_BYTES)?;
    let length = Footer::length(&whole[trailer..]).ok()?;
    Footer::decode(&whole[whole.len().checked_sub(length)?..]).ok()
}

/// A record in a block that an erasure takes.
fn holds(
    oracle: &Oracle,
    whole: &Bytes,
    segment: SegmentId,
    block: &FooterBlock,
    id: ErasureId,
) -> Option<String> {
    let log = oracle.log(block.partition);
    if block.place.encoding != Encoding::Plain || !log.gone.values().any(|by| by.contains(&id)) {
        return None;
    }
    let from = block.place.start as usize;
    let mut rest = whole.get(from..from + block.place.length as usize)?;
    while let Some(length) = header(rest).and_then(|header| header.total_len()).filter(|n| *n <= rest.len()) {
        let bytes = Bytes::copy_from_slice(&rest[..length]);
        rest = &rest[length..];
        let Some(base) = base(oracle, log, segment, &bytes, id) else { continue };
        let records = log.batches.get(&base).map_or(0, |batch| batch.records);
        let found = keys_of(&LogBatch { id: id_of(&bytes).unwrap_or_default(), base, records, bytes });
        let taken = |offset: &i64| log.gone.get(offset).is_some_and(|by| by.contains(&id));
        if let Some((offset, _)) = found.into_iter().find(|(offset, _)| taken(offset)) {
            return Some(format!("{:?} at {offset}", block.partition));
        }
    }
    None
}

/// Where in the log a batch stands that was found in a segment; `None` if this copy of it was not there when the erasure was asked for: what agents flush
/// has offsets in the log alone, and copies that were committed later, as duplicates, or never, have none. Compactors write offsets into headers.
fn base(
    oracle: &Oracle,
    log: &PartitionLog,
    segment: SegmentId,
    bytes: &Bytes,
    id: ErasureId,
) -> Option<i64> {
    let (asked, in_header) = (oracle.erasures.get(&id)?, header(bytes)?.base_offset);
    match oracle.flushed.get(&segment) {
        Some(flushed) => log.by_id.get(&id_of(bytes)?).copied().filter(|_| flushed < asked),
        None => Some(in_header).filter(|_| oracle.compactors.contains(&segment.registration)),
    }
}
