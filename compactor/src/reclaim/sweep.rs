//! Finding segments that nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{Position, SegmentId, SegmentRow, ShardId};
use siltstone_metadata::keys::{
    registration, segment_row, segment_trash, segment_use, shard_counted, shard_floor, shard_log,
};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Pages, RangeLimit, Snapshot};

use super::ReclaimError;
use crate::context::Context;
use crate::plan::reclaim::{Fate, ShardState, fate};
use crate::telemetry;

/// Rows that are looked at together.
const ROWS: usize = 1000;
/// Segments that become trash in one transaction.
const AT_ONCE: usize = 200;

/// Makes trash of what nobody uses. Returns how many segments.
pub(super) async fn sweep(cx: &Context, held: &Held) -> Result<u64, ReclaimError> {
    let mut pages = Pages::of(segment_row::all()).sized(ROWS);
    let mut trashed = 0;
    while let Some((snapshot, page)) = pages.next_seen(cx.store.as_ref()).await? {
        let seen = look(cx.shards, snapshot.as_ref(), &page).await?;
        stamp(cx, snapshot.as_ref(), &seen).await?;
        let dead: Vec<SegmentId> =
            seen.iter().filter(|seen| seen.fate == Fate::Dead).map(|seen| seen.id).collect();
        for some in dead.chunks(AT_ONCE) {
            trashed += condemn(cx, held, some).await?;
        }
    }
    Ok(trashed)
}

/// A segment's row, and what is to become of the segment.
pub(crate) struct Seen {
    pub(crate) id: SegmentId,
    pub(crate) row: SegmentRow,
    pub(crate) fate: Fate,
}

/// What is to become of the segments of a page of rows, as of the snapshot.
pub(crate) async fn look(
    cluster: u16,
    snapshot: &dyn Snapshot,
    page: &[(Bytes, Bytes)],
) -> Result<Vec<Seen>, ReclaimError> {
    let mut rows = BTreeMap::new();
    for (key, value) in page {
        let Some(id) = segment_row::parse(key) else { continue };
        let row = SegmentRow::decode(value);
        let format = |error| ReclaimError::Format { segment: id.to_string(), error };
        rows.insert(id, row.map_err(|error| format(error.to_string()))?);
    }
    let (Some(first), Some(last)) = (rows.keys().next().copied(), rows.keys().next_back().copied()) else {
        return Ok(Vec::new());
    };
    let wanted: BTreeSet<ShardId> =
        rows.values().flat_map(|row| row.shards.iter().collect::<Vec<_>>()).collect();
    let mut shards = BTreeMap::new();
    let mut used = BTreeSet::new();
    for shard in wanted.into_iter().filter(|shard| shard.0 < cluster) {
        let floor = shard_floor::decode(snapshot.get(&shard_floor::key(shard)).await?.as_deref());
        let counted = snapshot.get(&shard_counted::key(shard)).await?.is_some();
        let floor = floor.unwrap_or(Position::ZERO);
        let one = RangeLimit { entries: 1, ..RangeLimit::default() };
        let quiet = snapshot.range(&shard_log::after(shard, floor), one).await?.entries.is_empty();
        shards.insert(shard, ShardState { floor, quiet, counted });
        uses(snapshot, shard, first, last, &mut used).await?;
    }
    let mut seen = Vec::new();
    for (id, row) in rows {
        let writer_lives = row.writing && snapshot.get(&registration::key(id.registration)).await?.is_some();
        let fate = fate(&row, used.contains(&id), writer_lives, &shards);
        seen.push(Seen { id, row, fate });
    }
    Ok(seen)
}

/// Gives those rows a stamp that were written by a program which did not: what they are about was committed before.
async fn stamp(cx: &Context, snapshot: &dyn Snapshot, seen: &[Seen]) -> Result<(), ReclaimError> {
    let unstamped: Vec<_> = seen.iter().filter(|seen| seen.row.stamp.is_none()).collect();
    if unstamped.is_empty() {
        return Ok(());
    }
    let reads = unstamped.iter().map(|seen| KeyRange::key(segment_row::key(seen.id))).collect();
    let mutations = unstamped.iter().map(|seen| segment_row::set(seen.id, &seen.row)).collect();
    let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
    match cx.store.commit(commit).await {
        Ok(_) | Err(CommitError::Conflict) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Adds the segments that a shard uses.
async fn uses(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    first: SegmentId,
    last: SegmentId,
    used: &mut BTreeSet<SegmentId>,
) -> Result<(), ReclaimError> {
    let mut pages = Pages::of(segment_use::between(shard, first, last));
    while let Some(page) = pages.next(snapshot).await? {
        for (key, value) in &page {
            // What is no number counts as a use: nothing is deleted by mistake.
            if segment_use::decode(value) != Some((0, 0)) {
                used.extend(segment_use::parse(key));
            }
        }
    }
    Ok(())
}

/// Makes trash of these, if nothing has changed.
async fn condemn(cx: &Context, held: &Held, dead: &[SegmentId]) -> Result<u64, ReclaimError> {
    let snapshot = cx.store.snapshot().await?;
    if !held.holds(snapshot.as_ref()).await? {
        return Err(ReclaimError::LeaseLost);
    }
    let (mut reads, mut mutations) = (held.reads(), vec![held.beat()]);
    let mut trashed = 0;
    for id in dead {
        let key = segment_row::key(*id);
        let Some(Ok(row)) = snapshot.get(&key).await?.map(|bytes| SegmentRow::decode(&bytes)) else {
            continue;
        };
        let mut unused = true;
        for shard in row.shards.iter() {
            let of = segment_use::key(shard, *id);
            let value = snapshot.get(&of).await?;
            unused &= value.is_none_or(|value| segment_use::decode(&value) == Some((0, 0)));
            reads.push(KeyRange::key(of.clone()));
            mutations.push(Mutation::Clear { key: of });
        }
        if !unused {
            return Ok(0);
        }
        reads.push(KeyRange::key(key.clone()));
        mutations.push(Mutation::Clear { key });
        mutations.push(segment_trash::put(*id, row.inline, row.length));
        trashed += 1;
    }
    let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
    match cx.store.commit(commit).await {
        Ok(_) => {
            telemetry::reclaimed("trashed", trashed);
            Ok(trashed)
        }
        // Looked at again in the next pass.
        Err(CommitError::Conflict) => Ok(0),
        Err(error) => Err(error.into()),
    }
}
