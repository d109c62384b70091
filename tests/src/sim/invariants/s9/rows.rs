//! Looks at what rows have of partitions that are compacted by key: as was flushed, or what compaction may leave of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use bytes::Bytes;
use siltstone_log::{
    Aborted, CleanedRow, Extent, ExtentPlace, PartitionId, PartitionRow, SegmentId, ShardId, decode_aborted,
};
use siltstone_metadata::keys::aborted_chunk;
use siltstone_store::Snapshot;

use super::{Left, Whole, batch, whole};
use crate::sim::batches::header;
use crate::sim::invariants::s8;
use crate::sim::oracle::Oracle;
use crate::sim::world::World;

/// One look at a partition.
pub(in crate::sim) struct Look<'a> {
    pub(in crate::sim) world: &'a World,
    pub(in crate::sim) oracle: &'a Oracle,
    pub(in crate::sim) snapshot: &'a dyn Snapshot,
    pub(in crate::sim) shard: ShardId,
    pub(in crate::sim) id: PartitionId,
    pub(in crate::sim) row: &'a PartitionRow,
}

/// What is remembered between looks.
#[derive(Debug, Default)]
pub(in crate::sim) struct Rows {
    /// What blocks of merged segments hold: they never change.
    blocks: BTreeMap<(SegmentId, u64, u32), Vec<Left>>,
    tombstones: BTreeMap<PartitionId, Option<i64>>,
    gaps: BTreeMap<PartitionId, Vec<i64>>,
}

impl Rows {
    /// A tombstone that a partition's rows had at the last look.
    pub(in crate::sim) fn tombstone(&self, partition: PartitionId) -> Option<i64> {
        self.tombstones.get(&partition).copied().flatten()
    }

    /// Offsets behind which compaction had left nothing in their extents, at the last look.
    pub(in crate::sim) fn gaps(&self, partition: PartitionId) -> &[i64] {
        self.gaps.get(&partition).map_or(&[], Vec::as_slice)
    }

    /// Checks what there is. `cleaned` is the partition's row of that name, `found` its extents in chunks.
    pub(in crate::sim) fn check(
        &mut self,
        look: &Look<'_>,
        cleaned: Option<Bytes>,
        found: &[Extent],
    ) -> Result<(), String> {
        let Look { world, oracle, id, row, .. } = *look;
        let cleaned = cleaned.map(|bytes| CleanedRow::decode(&bytes)).transpose();
        let cleaned = cleaned.map_err(|error| error.to_string())?.unwrap_or_default();
        world.count(|counts| counts.cleaned += u64::from(cleaned.first_dirty > 0));
        let (batches, aborted) = (self.batches(look, found)?, aborted(look)?);
        let all = Whole { row, cleaned, aborted, batches };
        self.tombstones.insert(id, all.tombstone(oracle, id));
        whole(oracle, id, &all).map_err(|what| format!("S9: {id:?}: {what}"))
    }

    /// What there is from the log start on, in the order of offsets; extents may leave gaps, but not at the end.
    fn batches(&mut self, look: &Look<'_>, found: &[Extent]) -> Result<Vec<Left>, String> {
        let Look { world, oracle, id, row, .. } = *look;
        let log = oracle.log(id);
        let (mut batches, mut gaps) = (Vec::new(), Vec::new());
        let mut next = 0;
        for extent in found.iter().filter(|extent| extent.base < row.next) {
            if extent.base < next {
                return Err(format!("extents of {id:?}: {next} comes next, not {}", extent.base));
            }
            next = extent.end();
            if extent.end() <= row.log_start {
                continue;
            }
            if extent.level() > 0 {
                world.count(|counts| counts.merged += 1);
                let left = self.block(look, extent)?;
                gaps.extend(left.last().map(|last| last.end).filter(|end| *end < extent.end()));
                batches.extend_from_slice(left);
                continue;
            }
            if log.extents.get(&extent.base) != Some(extent) {
                return Err(format!("{id:?} has {extent:?}, not {:?}", log.extents.get(&extent.base)));
            }
            let flushed = log.batches.range(extent.base..extent.end());
            batches.extend(flushed.map(|(_, batch)| Left::all(batch)));
        }
        self.gaps.insert(id, gaps);
        if row.log_start < row.next && next != row.next {
            return Err(format!("extents of {id:?} end at {next}, not {}", row.next));
        }
        Ok(batches)
    }

    /// What is left of batches in a merged extent.
    fn block(&mut self, look: &Look<'_>, extent: &Extent) -> Result<&[Left], String> {
        let ExtentPlace::Stored { segment, block, start, .. } = extent.place else { return Ok(&[]) };
        match self.blocks.entry((segment.id, block.start, start)) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(new) => {
                let whole = look.oracle.segment(look.snapshot, &segment);
                let whole = whole.ok_or_else(|| format!("{segment:?} is not there"))?;
                let from = block.start as usize + start as usize;
                let bytes = whole.get(from..from + extent.length as usize);
                Ok(new.insert(lefts(look, extent, bytes.ok_or("an extent beyond its segment")?)?))
            }
        }
    }
}

/// What a merged extent's bytes hold.
fn lefts(look: &Look<'_>, extent: &Extent, bytes: &[u8]) -> Result<Vec<Left>, String> {
    let (mut rest, mut lefts, mut next) = (bytes, Vec::new(), extent.base);
    while !rest.is_empty() {
        let length = header(rest).and_then(|header| header.total_len());
        let length = length.filter(|length| *length <= rest.len()).ok_or("a batch is cut off")?;
        let left = batch(look.oracle.log(look.id), &rest[..length])?;
        if left.base < next || left.end > extent.end() {
            return Err(format!("{:?}: {extent:?} holds {left:?}, behind {next}", look.id));
        }
        (rest, next) = (&rest[length..], left.end);
        lefts.push(left);
    }
    Ok(lefts)
}

/// The entries that tell readers of aborted transactions.
fn aborted(look: &Look<'_>) -> Result<Vec<Aborted>, String> {
    let chunks = s8::all(look.snapshot, &aborted_chunk::between(look.shard, look.id, 0, i64::MAX));
    let all = chunks.iter().map(|(_, value)| decode_aborted(value)).collect::<Result<Vec<_>, _>>();
    all.map(|all| all.concat()).map_err(|error| error.to_string())
}
