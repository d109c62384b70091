//! Reading a shard from the store: rows, floor and log, all at one version.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};

use futures::stream::{self, StreamExt, TryStreamExt};
use siltstone_log::{Entry, FormatError, PartitionId, PartitionRow, Position, ShardHead, ShardId, TopicId};
use siltstone_store::{Page, RangeLimit, Snapshot, StoreError};

use super::common::Own;
use crate::keys::{partition_row, parts, shard_floor, shard_head, shard_log, shard_voids};
use crate::shard::{Applied, Effect, PartitionState, ShardState};

/// Bytes of log read at a time.
const PAGE_BYTES: usize = 4 << 20;
/// Rows read at a time when a shard is loaded.
const ROWS_AT_ONCE: usize = 16;

/// Why a shard could not be read on.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FollowError {
    /// The store did not answer; try again.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An entry or row can't be read or folded by this program. The shard halts here; an upgrade or an operator must help.
    #[error("shard {shard:?} halts at {position:?}: {reason}")]
    Halted {
        /// The shard.
        shard: ShardId,
        /// The entry that can't be read or folded, or else the position behind which the trouble lies.
        position: Position,
        /// What is wrong.
        reason: String,
    },
}

/// What became of an entry of the own registration.
#[derive(Debug, Clone)]
pub enum OwnOutcome {
    /// The entry with this counter was folded.
    Folded {
        /// Its counter.
        counter: u64,
        /// What it did.
        effect: Effect,
    },
    /// The registration has ended in this shard.
    Ended,
}

/// What folding some entries brought to light.
#[derive(Debug, Default)]
pub(super) struct Folded {
    pub(super) outcomes: Vec<OwnOutcome>,
    /// Partitions with new state.
    pub(super) touched: BTreeSet<PartitionId>,
    /// Partitions whose rows are behind, and the last entry that changed them.
    pub(super) dirty: BTreeMap<PartitionId, Position>,
    pub(super) deleted: BTreeMap<TopicId, Position>,
    /// A load: the own registration's last entry that is not among these, since the floor has passed it.
    pub(super) passed: u64,
}

/// The part of a shard that every page is read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) floor: Position,
    pub(super) voids: BTreeSet<Position>,
}

/// One page of a shard's log.
pub(super) struct LogPage {
    pub(super) entries: Vec<(Position, Entry)>,
    /// The page's last entry, voided or not: the next page begins behind it.
    pub(super) last: Position,
    pub(super) more: bool,
}

fn halted(shard: ShardId, position: Position, reason: impl ToString) -> FollowError {
    FollowError::Halted { shard, position, reason: reason.to_string() }
}

pub(super) async fn frame(snapshot: &dyn Snapshot, shard: ShardId) -> Result<Frame, FollowError> {
    let (floor, voids) = (shard_floor::key(shard), shard_voids::key(shard));
    let (floor, voids) = futures::try_join!(snapshot.get(&floor), snapshot.get(&voids))?;
    let floor = shard_floor::decode(floor.as_deref())
        .ok_or_else(|| halted(shard, Position::ZERO, "the floor's value is not a position"))?;
    let voids = shard_voids::decode(voids.as_deref())
        .ok_or_else(|| halted(shard, floor, "the list of void entries can't be read"))?;
    Ok(Frame { floor, voids })
}

/// What the log holds next behind `from`, as it lies in the store.
pub(super) async fn behind(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    from: Position,
) -> Result<Page, StoreError> {
    let limit = RangeLimit { bytes: PAGE_BYTES, ..RangeLimit::default() };
    snapshot.range(&shard_log::after(shard, from), limit).await
}

/// The entries of what was read behind `from`, without voided ones.
pub(super) fn page(
    page: &Page,
    shard: ShardId,
    from: Position,
    frame: &Frame,
) -> Result<LogPage, FollowError> {
    let mut entries = Vec::with_capacity(page.entries.len());
    let mut last = from;
    for (key, value) in &page.entries {
        let at =
            shard_log::position(key).ok_or_else(|| halted(shard, last, "a key of the log is malformed"))?;
        last = at;
        if frame.voids.contains(&at) {
            continue;
        }
        let entry = Entry::decode(value).map_err(|error| halted(shard, at, error))?;
        entries.push((at, entry));
    }
    Ok(LogPage { entries, last, more: page.more })
}

/// Folds entries into `state`.
///
/// # Errors
/// [`FollowError::Halted`] if the shard's feature level goes beyond this program's, or the fold panics; `state` is not to be used any more then.
pub(super) fn fold(
    state: &mut ShardState,
    entries: &[(Position, Entry)],
    own: Own,
    folded: &mut Folded,
) -> Result<(), FollowError> {
    let (shard, from) = (state.id(), state.position());
    // A panic halts this shard, never the process (design, section 3). What was half changed is loaded anew, or never used.
    let all = AssertUnwindSafe(|| fold_all(state, entries, own, folded));
    catch_unwind(all).unwrap_or_else(|_| Err(halted(shard, from, "the fold panicked behind this position")))
}

fn fold_all(
    state: &mut ShardState,
    entries: &[(Position, Entry)],
    own: Own,
    folded: &mut Folded,
) -> Result<(), FollowError> {
    for (position, entry) in entries {
        let Applied { effect, touched } = state.apply(*position, entry);
        check_level(state, own)?;
        match entry {
            Entry::Append(append) if append.registration == own.registration => {
                folded.outcomes.push(OwnOutcome::Folded { counter: append.counter, effect });
            }
            Entry::Ended { registration } if *registration == own.registration => {
                folded.outcomes.push(OwnOutcome::Ended)
            }
            Entry::Deleted { topic } => {
                folded.deleted.insert(*topic, *position);
                folded.dirty.retain(|partition, _| partition.topic != *topic);
            }
            _ => {}
        }
        if changes_rows(entry) {
            folded.dirty.extend(touched.iter().map(|partition| (*partition, *position)));
        }
        folded.touched.extend(touched);
    }
    Ok(())
}

/// Whether the rows of partitions that an entry touches are behind with it.
fn changes_rows(entry: &Entry) -> bool {
    match entry {
        Entry::Append(_) | Entry::Trim { .. } | Entry::TxnEnd(_) => true,
        Entry::Erase { .. } | Entry::Erased { .. } => true,
        Entry::Created { .. } | Entry::Deleted { .. } => false,
        Entry::Expire { .. } | Entry::Ended { .. } | Entry::Feature { .. } => false,
    }
}

fn check_level(state: &ShardState, own: Own) -> Result<(), FollowError> {
    let (level, highest) = (state.head().level, own.highest_level);
    if level <= highest {
        return Ok(());
    }
    let reason = format!("feature level {level} is beyond this program's {highest}");
    Err(halted(state.id(), state.position(), reason))
}

/// Loads a shard with these partitions as of the snapshot: head and rows as of the floor, then the whole log behind it.
pub(super) async fn load(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    shards: u16,
    partitions: &BTreeSet<PartitionId>,
    own: Own,
) -> Result<(ShardState, Frame, Folded), FollowError> {
    let head = shard_head::prefix(shard);
    let rows =
        stream::iter(partitions.iter().copied())
            .map(|partition| async move {
                Ok((partition, row(snapshot, shard, partition, Position::ZERO).await?))
            })
            .buffered(ROWS_AT_ONCE)
            .try_collect::<Vec<_>>();
    let head = async { Ok::<_, FollowError>(parts::get(snapshot, &head).await?) };
    let (frame, head, rows) = futures::try_join!(frame(snapshot, shard), head, rows)?;
    let head = match head {
        Some(bytes) => ShardHead::decode(&bytes).map_err(|error| halted(shard, frame.floor, error))?,
        None => ShardHead { level: crate::shard::MIN_LEVEL, ..ShardHead::default() },
    };
    let mut state = ShardState::new(shard, shards, frame.floor, head);
    check_level(&state, own)?;
    for (partition, row) in rows {
        let expired = state.head().expired;
        state.insert(partition, PartitionState::from_row(row, frame.floor, expired.as_ref()));
    }
    let passed = state.head().counters.get(&own.registration).copied().unwrap_or(0);
    let mut folded = Folded { passed, ..Folded::default() };
    let mut from = frame.floor;
    loop {
        let page = page(&behind(snapshot, shard, from).await?, shard, from, &frame)?;
        fold(&mut state, &page.entries, own, &mut folded)?;
        if !page.more {
            break;
        }
        from = page.last;
    }
    let gone: Vec<_> =
        state.partitions().keys().filter(|partition| !state.exists(**partition)).copied().collect();
    gone.into_iter().for_each(|partition| state.evict(partition));
    Ok((state, frame, folded))
}

/// The row of a partition; none if nothing was written for it yet.
pub(crate) async fn row(
    snapshot: &dyn Snapshot,
    shard: ShardId,
    partition: PartitionId,
    floor: Position,
) -> Result<Option<PartitionRow>, FollowError> {
    let Some(bytes) = parts::get(snapshot, &partition_row::prefix(shard, partition)).await? else {
        return Ok(None);
    };
    let row = PartitionRow::decode(&bytes);
    row.map(Some).map_err(|error: FormatError| halted(shard, floor, format!("row of {partition:?}: {error}")))
}
