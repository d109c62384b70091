//! Finding segments that nobody uses.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{Position, SegmentId, SegmentRow, ShardId};
use siltstone_metadata::keys::{
    registration, segment_row, segment_trash, segment_use, shard_counted, shard_floor, shard_log,
};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, RangeLimit, Snapshot};

use super::ReclaimError;
use crate::context::Context;
use crate::telemetry;

/// Rows that are looked at together.
const ROWS: usize = 1000;
/// Segments that become trash in one transaction.
const AT_ONCE: usize = 200;

/// A shard, as far as it matters here.
struct Shard {
    floor: Position,
    /// Its log is empty.
    quiet: bool,
    /// What it uses is counted: only then does a missing count mean anything.
    counted: bool,
}

/// Makes trash of what nobody uses. Returns how many segments.
pub(super) async fn sweep(cx: &Context, held: &Held) -> Result<u64, ReclaimError> {
    let mut range = segment_row::all();
    let mut trashed = 0;
    loop {
        let snapshot = cx.store.snapshot().await?;
        let limit = RangeLimit { entries: ROWS, ..RangeLimit::default() };
        let page = snapshot.range(&range, limit).await?;
        let dead = dead(cx, snapshot.as_ref(), &page.entries).await?;
        for some in dead.chunks(AT_ONCE) {
            trashed += condemn(cx, held, some).await?;
        }
        match page.entries.last() {
            Some((last, _)) if page.more => range.begin = KeyRange::key(last.clone()).end,
            _ => return Ok(trashed),
        }
    }
}

/// Those of a page of rows that nobody uses, as of the snapshot.
async fn dead(
    cx: &Context,
    snapshot: &dyn Snapshot,
    page: &[(Bytes, Bytes)],
) -> Result<Vec<SegmentId>, ReclaimError> {
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
    for shard in wanted.into_iter().filter(|shard| shard.0 < cx.shards) {
        let floor = shard_floor::decode(snapshot.get(&shard_floor::key(shard)).await?.as_deref());
        let counted = snapshot.get(&shard_counted::key(shard)).await?.is_some();
        let floor = floor.unwrap_or(Position::ZERO);
        let one = RangeLimit { entries: 1, ..RangeLimit::default() };
        let quiet = snapshot.range(&shard_log::after(shard, floor), one).await?.entries.is_empty();
        shards.insert(shard, Shard { floor, quiet, counted });
        uses(snapshot, shard, first, last, &mut used).await?;
    }
    stamp(cx, snapshot, &rows).await?;
    let mut dead = Vec::new();
    for (id, row) in &rows {
        if !used.contains(id) && settled(snapshot, *id, row, &shards).await? {
            dead.push(*id);
        }
    }
    Ok(dead)
}

/// Gives those rows a stamp that were written by a program which did not: what they are about was committed before.
async fn stamp(
    cx: &Context,
    snapshot: &dyn Snapshot,
    rows: &BTreeMap<SegmentId, SegmentRow>,
) -> Result<(), ReclaimError> {
    let unstamped: Vec<_> = rows.iter().filter(|(_, row)| row.stamp.is_none()).collect();
    if unstamped.is_empty() {
        return Ok(());
    }
    let reads = unstamped.iter().map(|(id, _)| KeyRange::key(segment_row::key(**id))).collect();
    let mutations = unstamped.iter().map(|(id, row)| segment_row::set(**id, row)).collect();
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
    let mut range = segment_use::between(shard, first, last);
    loop {
        let page = snapshot.range(&range, RangeLimit::default()).await?;
        for (key, value) in &page.entries {
            // What is no number counts as a use: nothing is deleted by mistake.
            if segment_use::decode(value) != Some((0, 0)) {
                used.extend(segment_use::parse(key));
            }
        }
        match page.entries.last() {
            Some((end, _)) if page.more => range.begin = KeyRange::key(end.clone()).end,
            _ => return Ok(()),
        }
    }
}

/// Whether nobody will use a segment who does not use it now.
async fn settled(
    snapshot: &dyn Snapshot,
    id: SegmentId,
    row: &SegmentRow,
    shards: &BTreeMap<ShardId, Shard>,
) -> Result<bool, ReclaimError> {
    let counted = row.shards.iter().all(|shard| shards.get(&shard).is_none_or(|shard| shard.counted));
    if !counted {
        return Ok(false);
    }
    if row.merged {
        return Ok(!row.writing || snapshot.get(&registration::key(id.registration)).await?.is_none());
    }
    let Some(stamp) = row.stamp else { return Ok(false) };
    // Where the log is empty, the floor has passed whatever was there.
    let passed = |shard: &Shard| shard.quiet || shard.floor.0[..10] >= stamp[..];
    Ok(row.shards.iter().all(|shard| shards.get(&shard).is_none_or(passed)))
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
