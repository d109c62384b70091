//! What is to become of a segment: whether somebody uses it, or will.

use std::collections::BTreeMap;

use siltstone_log::{Position, SegmentRow, ShardId};
use siltstone_metadata::bugs::{self, Bug};

/// A shard, as far as it matters to reclaim.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShardState {
    /// Entries up to here are in rows.
    pub floor: Position,
    /// Its log is empty.
    pub quiet: bool,
    /// What it uses is counted: only then does a missing count mean anything.
    pub counted: bool,
}

/// What is to become of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fate {
    /// It stays: extents refer to it.
    Used,
    /// It stays until this shard has counted what it uses.
    Uncounted(ShardId),
    /// It stays while its writer, who lives, publishes extents in it.
    BeingPublished,
    /// It stays until its row has a stamp, which the next pass gives it.
    Unstamped,
    /// It stays until the floor of this shard has passed the entry that names it.
    Unfolded(ShardId),
    /// It becomes trash.
    Dead,
}

/// The fate of a segment. `used`: a count says so, or is no number. `writer_lives` matters only while it is being published. Shards that are not
/// given are not of this cluster.
pub fn fate(
    row: &SegmentRow,
    used: bool,
    writer_lives: bool,
    shards: &BTreeMap<ShardId, ShardState>,
) -> Fate {
    if used {
        return Fate::Used;
    }
    let known = |shard: &ShardId| shards.get(shard).copied();
    if let Some(shard) = row.shards.iter().find(|shard| known(shard).is_some_and(|state| !state.counted)) {
        return Fate::Uncounted(shard);
    }
    if row.merged {
        if bugs::on(Bug::PublishUnguarded) {
            return Fate::Dead;
        }
        return if row.writing && writer_lives { Fate::BeingPublished } else { Fate::Dead };
    }
    let Some(stamp) = row.stamp else { return Fate::Unstamped };
    // Where the log is empty, the floor has passed whatever was there.
    let behind = |state: ShardState| {
        !bugs::on(Bug::SweepBeforeFloor) && !state.quiet && state.floor.0[..10] < stamp[..]
    };
    match row.shards.iter().find(|shard| known(shard).is_some_and(behind)) {
        Some(shard) => Fate::Unfolded(shard),
        None => Fate::Dead,
    }
}

#[cfg(test)]
mod tests {
    use siltstone_log::ShardSet;

    use super::*;

    fn row(merged: bool, writing: bool, stamp: Option<[u8; 10]>) -> SegmentRow {
        let shards = ShardSet::of([ShardId(1), ShardId(2)], 4);
        SegmentRow { inline: false, writing, merged, length: 9, stamp, shards }
    }

    fn shards(counted: bool, quiet: bool, floor: u8) -> BTreeMap<ShardId, ShardState> {
        let state = |floor| ShardState { floor: Position([floor; 12]), quiet, counted };
        BTreeMap::from([(ShardId(1), state(9)), (ShardId(2), ShardState { counted, ..state(floor) })])
    }

    #[test]
    fn a_segment_goes_when_nobody_uses_it_or_will() {
        let flushed = row(false, false, Some([5; 10]));
        assert_eq!(fate(&flushed, true, false, &shards(true, true, 9)), Fate::Used);
        assert_eq!(fate(&flushed, false, false, &shards(false, true, 9)), Fate::Uncounted(ShardId(1)));
        assert_eq!(fate(&flushed, false, false, &shards(true, false, 4)), Fate::Unfolded(ShardId(2)));
        assert_eq!(fate(&flushed, false, false, &shards(true, true, 4)), Fate::Dead, "the log is empty");
        assert_eq!(fate(&flushed, false, false, &shards(true, false, 5)), Fate::Dead);
        assert_eq!(fate(&row(false, false, None), false, false, &shards(true, true, 9)), Fate::Unstamped);
    }

    #[test]
    fn a_merged_one_waits_for_its_writer_only() {
        let writing = row(true, true, Some([5; 10]));
        assert_eq!(fate(&writing, false, true, &shards(true, false, 0)), Fate::BeingPublished);
        assert_eq!(fate(&writing, false, false, &shards(true, false, 0)), Fate::Dead);
        assert_eq!(fate(&row(true, false, Some([5; 10])), false, true, &shards(true, false, 0)), Fate::Dead);
    }
}
