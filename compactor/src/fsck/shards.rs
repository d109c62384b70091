//! A shard's metadata: log, rows, chunks, counts.

use std::collections::{BTreeMap, BTreeSet};

use bytes::BytesMut;
use siltstone_log::{
    Append, CleanedRow, Entry, Extent, FormatError, PartitionId, PartitionRow, Position, SegmentId,
    ShardHead, ShardId, TopicId, decode_aborted, decode_extents, shard_of,
};
use siltstone_metadata::checkpoint::uses;
use siltstone_metadata::keys::{
    aborted_chunk, cleaned, condemned_topic, extent_chunk, partition_row, segment_use, shard_counted,
    shard_floor, shard_head, shard_log, shard_voids,
};
use siltstone_store::Pages;

use super::FsckError;
use super::checks::{self, ChunkChecker, Expected};
use super::finding::{Finding, Kind, Place};
use super::look::{Look, MOST};
use super::read::View;
use super::segment_checks::Claim;

/// What is known of a shard before its chunks are read.
struct Frame {
    shard: ShardId,
    rows: BTreeMap<PartitionId, PartitionRow>,
    /// Topics that are deleted, and not worked off yet.
    condemned: BTreeSet<TopicId>,
    /// Partitions that were ever compacted by key.
    cleaned: BTreeSet<PartitionId>,
}

fn broken(shard: ShardId, what: &str, error: &FormatError) -> Finding {
    let place = Place { shard: Some(shard), ..Place::default() };
    Finding::new(Kind::Undecodable, place, format!("{what}: {error}"))
}

impl Look<'_> {
    /// Checks a shard.
    pub(super) async fn shard(&mut self, shard: ShardId) -> Result<(), FsckError> {
        let cx = self.cx;
        let mut view = View::new(cx.store.as_ref()).await?;
        let mut frame =
            Frame { shard, rows: BTreeMap::new(), condemned: BTreeSet::new(), cleaned: BTreeSet::new() };
        let mut pages = Pages::of(condemned_topic::of_shard(shard));
        while let Some(page) = view.page(&mut pages).await? {
            frame.condemned.extend(page.iter().filter_map(|(key, _)| condemned_topic::parse(key)));
        }
        let head = view.parts(&shard_head::prefix(shard)).await?;
        if let Some(Err(error)) = head.map(|bytes| ShardHead::decode(&bytes)) {
            self.tell(broken(shard, "the shard's head", &error));
        }
        self.log(&mut view, &mut frame).await?;
        self.rows(&mut view, &mut frame).await?;
        self.cleaned(&mut view, &mut frame).await?;
        let mut sums = self.chunks(&mut view, &frame).await?;
        self.aborted(&mut view, &frame).await?;
        if view.get(&shard_counted::key(shard)).await?.is_some() {
            self.counts(&mut view, shard, &mut sums).await?;
        }
        Ok(())
    }

    /// Entries behind the floor: what they name must be there, too.
    async fn log(&mut self, view: &mut View<'_>, frame: &mut Frame) -> Result<(), FsckError> {
        let shard = frame.shard;
        let mut found = Vec::new();
        for (segment, claims, topics) in log(view, shard, &mut found).await? {
            frame.condemned.extend(topics);
            if let Some(segment) = segment {
                self.need(shard, &segment, claims);
            }
            self.checked.entries += 1;
        }
        self.tell_all(found);
        Ok(())
    }

    async fn rows(&mut self, view: &mut View<'_>, frame: &mut Frame) -> Result<(), FsckError> {
        let shard = frame.shard;
        let mut whole: BTreeMap<PartitionId, BytesMut> = BTreeMap::new();
        let mut pages = Pages::of(partition_row::of_shard(shard));
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(id) = partition_row::parse(&key) else { continue };
                whole.entry(id).or_default().extend_from_slice(&value);
            }
            // All but the last are whole by now.
            let open = whole.pop_last();
            self.take_rows(frame, std::mem::take(&mut whole));
            whole.extend(open);
        }
        self.take_rows(frame, whole);
        Ok(())
    }

    fn take_rows(&mut self, frame: &mut Frame, rows: BTreeMap<PartitionId, BytesMut>) {
        let shard = frame.shard;
        for (id, bytes) in rows {
            self.checked.partitions += 1;
            let place = Place::partition(shard, id);
            if shard_of(id, self.cx.shards) != shard {
                let what = format!("it belongs into shard {}", shard_of(id, self.cx.shards).0);
                self.tell(Finding::new(Kind::Misplaced, place.clone(), what));
            } else if self.catalog.by_id(id.topic).is_some_and(|topic| id.index >= topic.partitions) {
                let what = "its topic has not so many partitions";
                self.tell(Finding::new(Kind::Misplaced, place.clone(), what));
            }
            match PartitionRow::decode(&bytes) {
                // Producers are many, and nothing here asks for them.
                Ok(row) => drop(frame.rows.insert(id, PartitionRow { producers: BTreeMap::new(), ..row })),
                Err(error) => self.tell(Finding::new(Kind::Undecodable, place, format!("its row: {error}"))),
            }
        }
    }

    async fn cleaned(&mut self, view: &mut View<'_>, frame: &mut Frame) -> Result<(), FsckError> {
        let mut pages = Pages::of(cleaned::of_shard(frame.shard));
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(id) = cleaned::parse(&key) else { continue };
                frame.cleaned.insert(id);
                if let Err(error) = CleanedRow::decode(&value) {
                    let what = format!("how far it is compacted: {error}");
                    self.tell(Finding::new(Kind::Undecodable, Place::partition(frame.shard, id), what));
                }
            }
        }
        Ok(())
    }

    fn expected(&self, frame: &Frame, id: PartitionId) -> Expected {
        Expected {
            row: frame.rows.get(&id).cloned(),
            exists: self.catalog.by_id(id.topic).is_some(),
            compacted: frame.cleaned.contains(&id),
            condemned: frame.condemned.contains(&id.topic),
        }
    }

    /// Chunks, and rows that should have some. Returns what they use.
    async fn chunks(
        &mut self,
        view: &mut View<'_>,
        frame: &Frame,
    ) -> Result<BTreeMap<SegmentId, u64>, FsckError> {
        let shard = frame.shard;
        let mut sums: BTreeMap<SegmentId, u64> = BTreeMap::new();
        let mut open: Option<(PartitionId, ChunkChecker)> = None;
        let mut without: BTreeSet<PartitionId> = frame.rows.keys().copied().collect();
        let mut pages = Pages::of(extent_chunk::of_shard(shard));
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some((id, base)) = extent_chunk::parse(&key) else { continue };
                without.remove(&id);
                if open.as_ref().is_none_or(|(of, _)| *of != id) {
                    let checker = ChunkChecker::new(shard, id, self.expected(frame, id));
                    let done = open.replace((id, checker));
                    self.tell_all(done.map(|(_, checker)| checker.finish()).unwrap_or_default());
                }
                match decode_extents(&value) {
                    Ok(extents) => {
                        self.take_extents(shard, &extents, &mut sums);
                        open.iter_mut().for_each(|(_, checker)| checker.chunk(base, &extents));
                    }
                    Err(error) => {
                        let place = Place::partition(shard, id).at(base, base);
                        self.tell(Finding::new(Kind::Undecodable, place, format!("its extents: {error}")));
                    }
                }
            }
        }
        self.tell_all(open.map(|(_, checker)| checker.finish()).unwrap_or_default());
        for id in without {
            self.tell_all(ChunkChecker::new(shard, id, self.expected(frame, id)).finish());
        }
        Ok(sums)
    }

    fn take_extents(&mut self, shard: ShardId, extents: &[Extent], sums: &mut BTreeMap<SegmentId, u64>) {
        for (segment, sum) in uses(extents.iter()) {
            let all = sums.entry(segment).or_default();
            *all = all.wrapping_add(sum);
        }
        for extent in extents {
            self.checked.extents += 1;
            if let Some(segment) = extent.segment() {
                self.need(shard, &segment, 1);
            }
        }
    }

    async fn aborted(&mut self, view: &mut View<'_>, frame: &Frame) -> Result<(), FsckError> {
        let shard = frame.shard;
        for (id, row) in frame.rows.iter().filter(|(_, row)| row.aborted.is_some()) {
            let mut chunks = Vec::new();
            let mut pages = Pages::of(aborted_chunk::between(shard, *id, 0, i64::MAX));
            while let Some(page) = view.page(&mut pages).await? {
                for (key, value) in page {
                    let base = key.last_chunk::<8>().map_or(0, |base| i64::from_be_bytes(*base));
                    match decode_aborted(&value) {
                        Ok(chunk) => chunks.push((base, chunk)),
                        Err(error) => {
                            let what = format!("its aborted transactions: {error}");
                            let place = Place::partition(shard, *id).at(base, base);
                            self.tell(Finding::new(Kind::Undecodable, place, what));
                        }
                    }
                }
            }
            self.tell_all(checks::aborted(shard, *id, row, &chunks, frame.cleaned.contains(id)));
        }
        Ok(())
    }

    async fn counts(
        &mut self,
        view: &mut View<'_>,
        shard: ShardId,
        sums: &mut BTreeMap<SegmentId, u64>,
    ) -> Result<(), FsckError> {
        let mut counted = Vec::new();
        let mut pages = Pages::of(segment_use::of_shard(shard));
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(segment) = segment_use::parse(&key) else { continue };
                let number = value.as_ref().try_into().map_or(u64::MAX, u64::from_le_bytes);
                counted.push((segment, number));
            }
        }
        let found = checks::counts(shard, sums, counted.into_iter());
        self.checked.torn |= view.torn();
        self.tell_all(found);
        Ok(())
    }

    /// Says where the extents are whose segments are bad.
    pub(super) async fn locate(&mut self) -> Result<(), FsckError> {
        let bad = std::mem::take(&mut self.bad);
        let mut left: BTreeSet<SegmentId> = bad.keys().copied().collect();
        let mut found: Vec<Finding> = Vec::new();
        let of: BTreeSet<ShardId> =
            left.iter().filter_map(|id| self.needs.get(id)).flat_map(|need| need.shards.clone()).collect();
        for shard in of {
            let mut runs = BTreeMap::new();
            each_extent(self.cx, shard, |partition, extent| {
                if let Some(segment) = extent.segment().filter(|segment| bad.contains_key(&segment.id)) {
                    left.remove(&segment.id);
                    run(&mut runs, partition, segment.id, extent);
                }
            })
            .await?;
            for ((partition, segment, from), to) in runs.into_iter().take(MOST) {
                let Some((kind, what)) = bad.get(&segment) else { continue };
                let place = Place { segment: Some(segment), ..Place::partition(shard, partition) };
                found.push(Finding::new(*kind, place.at(from, to), what.clone()));
            }
        }
        // Only entries of a log name these; or nothing does any more.
        let of: BTreeSet<ShardId> =
            left.iter().filter_map(|id| self.needs.get(id)).flat_map(|need| need.shards.clone()).collect();
        for shard in of {
            let mut view = View::new(self.cx.store.as_ref()).await?;
            each_entry(&mut view, shard, &mut Vec::new(), |entry| {
                let Entry::Append(Append { segment, blocks, .. }) = entry else { return };
                let Some((kind, what)) = bad.get(&segment.id).filter(|_| left.contains(&segment.id)) else {
                    return;
                };
                for block in blocks {
                    let place = Place::partition(shard, block.partition);
                    let place = Place { segment: Some(segment.id), ..place };
                    found.push(Finding::new(*kind, place, format!("{what}; its offsets are in no row yet")));
                }
            })
            .await?;
        }
        self.bad = bad;
        self.tell_all(found);
        Ok(())
    }
}

/// Adds an extent to the run of its segment that it follows.
fn run(
    runs: &mut BTreeMap<(PartitionId, SegmentId, i64), i64>,
    partition: PartitionId,
    segment: SegmentId,
    extent: &Extent,
) {
    let before =
        runs.range_mut((partition, segment, i64::MIN)..=(partition, segment, extent.base)).next_back();
    match before {
        Some((_, end)) if *end == extent.base => *end = extent.end(),
        _ => drop(runs.insert((partition, segment, extent.base), extent.end())),
    }
}

/// What an entry names: its segment, how many claims, deleted topics.
type Named = (Option<siltstone_log::SegmentPlace>, u64, Option<TopicId>);

/// Reads a shard's log behind its floor.
async fn log(view: &mut View<'_>, shard: ShardId, found: &mut Vec<Finding>) -> Result<Vec<Named>, FsckError> {
    let mut named = Vec::new();
    each_entry(view, shard, found, |entry| match entry {
        Entry::Append(append) => {
            let claims = append.blocks.iter().map(|block| block.batches.len() as u64).sum();
            named.push((Some(append.segment), claims, None));
        }
        Entry::Deleted { topic } => named.push((None, 0, Some(*topic))),
        _ => named.push((None, 0, None)),
    })
    .await?;
    Ok(named)
}

async fn each_entry(
    view: &mut View<'_>,
    shard: ShardId,
    found: &mut Vec<Finding>,
    mut with: impl FnMut(&Entry),
) -> Result<(), FsckError> {
    let floor = shard_floor::decode(view.get(&shard_floor::key(shard)).await?.as_deref());
    let voids = shard_voids::decode(view.get(&shard_voids::key(shard)).await?.as_deref());
    if floor.is_none() || voids.is_none() {
        let place = Place { shard: Some(shard), ..Place::default() };
        found.push(Finding::new(Kind::Undecodable, place, "the shard's floor, or its list of void entries"));
    }
    let (floor, voids) = (floor.unwrap_or(Position::ZERO), voids.unwrap_or_default());
    let mut pages = Pages::of(shard_log::after(shard, floor));
    while let Some(page) = view.page(&mut pages).await? {
        for (key, value) in page {
            if shard_log::position(&key).is_some_and(|at| voids.contains(&at)) {
                continue;
            }
            match Entry::decode(&value) {
                Ok(entry) => with(&entry),
                Err(error) => {
                    let at = shard_log::position(&key).unwrap_or(Position::ZERO);
                    found.push(broken(shard, &format!("the entry at {at:?}"), &error));
                }
            }
        }
    }
    Ok(())
}

/// Calls `with` for every extent in a shard's chunks; passes over what can't be read.
pub(super) async fn each_extent(
    cx: &crate::context::Context,
    shard: ShardId,
    mut with: impl FnMut(PartitionId, &Extent),
) -> Result<(), FsckError> {
    let mut view = View::new(cx.store.as_ref()).await?;
    let mut pages = Pages::of(extent_chunk::of_shard(shard));
    while let Some(page) = view.page(&mut pages).await? {
        for (key, value) in page {
            let Some((partition, _)) = extent_chunk::parse(&key) else { continue };
            decode_extents(&value).iter().flatten().for_each(|extent| with(partition, extent));
        }
    }
    Ok(())
}

/// Calls `with` for all that a shard claims of segments, in chunks and in its log.
pub(super) async fn each_claim(
    cx: &crate::context::Context,
    shard: ShardId,
    mut with: impl FnMut(SegmentId, Claim),
) -> Result<(), FsckError> {
    each_extent(cx, shard, |partition, extent| {
        if let Some((segment, claim)) = Claim::of_extent(shard, partition, extent) {
            with(segment, claim);
        }
    })
    .await?;
    let mut view = View::new(cx.store.as_ref()).await?;
    each_entry(&mut view, shard, &mut Vec::new(), |entry| {
        if let Entry::Append(append) = entry {
            let append: &Append = append;
            Claim::of_entry(shard, append).into_iter().for_each(|claim| with(append.segment.id, claim));
        }
    })
    .await
}
