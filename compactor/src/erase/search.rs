//! The search for segments that hold records of an erasure's keys: by their footers, so that what nobody refers to any more is found too.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use siltstone_log::{
    ErasedObject, ErasureId, ErasureRow, ErasureScan, FooterBlock, KeyDigest, PartitionId, PartitionRow,
    Position, RegistrationId, SegmentId, SegmentRow, ShardSet, TopicId,
};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::erase;
use siltstone_metadata::keys::{
    erasure, inline_segment, partition_row, parts, segment_row, shard_floor, topic_id,
};
use siltstone_metadata::lease::Held;
use siltstone_objects::ReadError;
use siltstone_records::{MAX_DECOMPRESSED, Scratch, batches};
use siltstone_store::{Commit, KeyRange, Mutation, Pages, RangeLimit, read_all};
use tokio::time::Instant;

use super::EraseJobError;
use crate::context::Context;
use crate::reclaim::trash;
use crate::source::{Source, decoded};

/// Segments that one step looks at, at most.
const PAGE: usize = 100;
/// Segments that are looked at side by side: one after the other the search would take as many answers of the object store as there are segments, and reclaim
/// waits for it. Each has one block in memory.
const AT_ONCE: usize = 8;
/// What was found is written down after so long: a worker that dies loses no more.
const KEPT: Duration = Duration::from_secs(10);
/// Bytes of what is known of all partitions: some 30 each.
const PARTITIONS_BYTES: usize = 64 << 20;
/// Partitions whose ends one transaction notes.
const PER_COMMIT: usize = 1_000;
/// Less than this is looked through on the spot.
const LARGE: usize = 256 << 10;

/// Before all segments: writers count theirs from 1.
const FIRST: SegmentId = SegmentId { registration: RegistrationId(0), number: 0 };

/// A segment to be looked at.
#[derive(Debug, Clone)]
struct Candidate {
    id: SegmentId,
    inline: bool,
    /// By the compactor: its batches' headers hold offsets.
    merged: bool,
    length: u64,
    shards: ShardSet,
}

/// What is meant, as the search needs it.
struct Meant {
    topic: TopicId,
    keys: BTreeSet<KeyDigest>,
    /// Where the erasure ends in each partition; `None`: everywhere, since the topic is gone.
    uptos: Option<BTreeMap<u32, i64>>,
}

impl Meant {
    fn upto(&self, partition: PartitionId) -> i64 {
        match &self.uptos {
            _ if partition.topic != self.topic => 0,
            None => i64::MAX,
            Some(uptos) => uptos.get(&partition.index).copied().unwrap_or(0),
        }
    }
}

impl Context {
    /// One step of the search. The row as it is then; `None` if it has to wait.
    ///
    /// # Errors
    /// See [`EraseJobError`].
    pub async fn search(
        &self,
        held: &Held,
        id: ErasureId,
        row: &ErasureRow,
    ) -> Result<Option<ErasureRow>, EraseJobError> {
        match row.scan {
            ErasureScan::Waits if !self.is_known(row).await? => Ok(None),
            ErasureScan::Waits => {
                let topic_deleted = self.note_ends(held, id, row).await?;
                let scan = ErasureScan::Under { trash: false, last: FIRST };
                self.keep(held, id, ErasureRow { scan, topic_deleted, ..row.clone() }, Vec::new())
                    .await
                    .map(Some)
            }
            ErasureScan::Under { trash, last } => self.look_on(held, id, row, trash, last).await.map(Some),
            ErasureScan::Done => Ok(None),
        }
    }

    /// Looks at the next segments.
    async fn look_on(
        &self,
        held: &Held,
        id: ErasureId,
        row: &ErasureRow,
        trash: bool,
        last: SegmentId,
    ) -> Result<ErasureRow, EraseJobError> {
        let (found, mut last, mut done) = match trash {
            false => self.candidates(row, last).await?,
            true => self.trash(last).await?,
        };
        let meant = self.meant(id, row).await?;
        let (begun, mut mutations) = (Instant::now(), Vec::new());
        let mut left = found.len();
        let looks: Vec<_> = found.into_iter().map(|candidate| self.look_at(candidate, &meant)).collect();
        let mut looks = futures::stream::iter(looks).buffered(AT_ONCE);
        while let Some((candidate, records)) = looks.next().await {
            let records = records?;
            left -= 1;
            let Candidate { id: segment, inline, length, shards, .. } = candidate;
            if let Some(records) = records {
                let (found, deleted) = (self.ambient.clock.now(), None);
                let object = ErasedObject { inline, length, records, found, deleted, shards };
                let (key, value) = (erasure::object(id, segment), object.encode().into());
                mutations.push(Mutation::Set { key, value });
            }
            if begun.elapsed() >= KEPT && left > 0 {
                (last, done) = (segment, false);
                break;
            }
        }
        let (scan, scanned) = match (trash, done) {
            (_, false) => (ErasureScan::Under { trash, last }, None),
            (false, true) if !bugs::on(Bug::TrashUnsearched) => {
                (ErasureScan::Under { trash: true, last: FIRST }, None)
            }
            (_, true) => (ErasureScan::Done, Some(self.ambient.clock.now())),
        };
        self.keep(held, id, ErasureRow { scan, scanned, ..row.clone() }, mutations).await
    }

    /// Whether the rows of all partitions are newer than the request.
    async fn is_known(&self, row: &ErasureRow) -> Result<bool, EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        let asked = Position::new(row.stamp.unwrap_or_default(), 0);
        for shard in erase::shards_of(row.topic, row.partitions, self.shards) {
            let floor = snapshot.get(&shard_floor::key(shard)).await?;
            if shard_floor::decode(floor.as_deref()).is_none_or(|floor| floor < asked) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Notes where the erasure ends in each partition. Whether the topic is gone.
    async fn note_ends(&self, held: &Held, id: ErasureId, row: &ErasureRow) -> Result<bool, EraseJobError> {
        let mut ends = Vec::new();
        for shard in erase::shards_of(row.topic, row.partitions, self.shards) {
            let mut pages = Pages::of(partition_row::of_topic(shard, row.topic));
            while let Some((snapshot, page)) = pages.next_seen(self.store.as_ref()).await? {
                let partitions: BTreeSet<PartitionId> =
                    page.iter().filter_map(|(key, _)| partition_row::parse(key)).collect();
                for partition in partitions {
                    let prefix = partition_row::prefix(shard, partition);
                    let Some(bytes) = parts::get(snapshot.as_ref(), &prefix).await? else { continue };
                    let erased = PartitionRow::decode(&bytes)?.erasures.remove(&id);
                    ends.extend(erased.map(|erased| erasure::set_upto(id, partition.index, erased.upto)));
                }
            }
        }
        for some in ends.chunks(PER_COMMIT) {
            self.send(held, id, some.to_vec()).await?;
        }
        // Behind the rows: if it is there still, they were all there.
        let snapshot = self.store.snapshot().await?;
        Ok(snapshot.get(&topic_id::key(row.topic)).await?.is_none())
    }

    /// Segments in use behind `last` that may hold records of the topic from before the request; the last one that was looked at, and whether there are no more.
    ///
    /// The stamp in the row of what an agent flushed says nothing of that: a commit whose result was unknown is sent again, and writes the row anew, with a later
    /// stamp than the entry which counts. So what was flushed since is searched as well, and goes if it holds such keys: its records are kept where they stand.
    async fn candidates(
        &self,
        row: &ErasureRow,
        last: SegmentId,
    ) -> Result<(Vec<Candidate>, SegmentId, bool), EraseJobError> {
        let concerned = erase::shards_of(row.topic, row.partitions, self.shards);
        let range =
            KeyRange { begin: KeyRange::key(segment_row::key(last)).end, end: segment_row::all().end };
        let limit = RangeLimit { entries: PAGE, ..RangeLimit::default() };
        let page = self.store.snapshot().await?.range(&range, limit).await?;
        let (mut found, mut last) = (Vec::new(), last);
        for (key, value) in &page.entries {
            let Some(id) = segment_row::parse(key) else { continue };
            last = id;
            let SegmentRow { inline, merged, length, stamp, shards, .. } = SegmentRow::decode(value)?;
            let newer = bugs::on(Bug::LastStampCounts) && stamp > row.stamp;
            let passed_over = !merged && (newer || bugs::on(Bug::FlushedUnsearched));
            if !passed_over && concerned.iter().any(|shard| shards.contains(*shard)) {
                found.push(Candidate { id, inline, merged, length, shards });
            }
        }
        Ok((found, last, !page.more))
    }

    /// As [`Context::candidates`], of trash, in the order of the segments.
    async fn trash(&self, last: SegmentId) -> Result<(Vec<Candidate>, SegmentId, bool), EraseJobError> {
        let all = trash::all(self.store.as_ref()).await?;
        let candidate = |(id, value): (SegmentId, Option<(bool, u64)>)| {
            let (inline, length) = value.filter(|_| id > last)?;
            // Who wrote it is not known any more; nobody refers to it, so no offset counts: its records are dead.
            let (merged, shards) = (false, ShardSet::default());
            Some(Candidate { id, inline, merged, length, shards })
        };
        let mut rest = all.into_iter().filter_map(candidate).peekable();
        let found: Vec<Candidate> = rest.by_ref().take(PAGE).collect();
        let last = found.last().map_or(last, |candidate| candidate.id);
        Ok((found, last, rest.peek().is_none()))
    }

    async fn meant(&self, id: ErasureId, row: &ErasureRow) -> Result<Meant, EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        let uptos = match row.topic_deleted {
            true => None,
            false => {
                let all = read_all(snapshot.as_ref(), &erasure::uptos(id), PARTITIONS_BYTES).await?;
                Some(all.iter().filter_map(|(key, value)| erasure::parse_upto(key, value)).collect())
            }
        };
        Ok(Meant { topic: row.topic, keys: row.keys.clone(), uptos })
    }

    async fn look_at(
        &self,
        candidate: Candidate,
        meant: &Meant,
    ) -> (Candidate, Result<Option<u64>, EraseJobError>) {
        let records = self.records_in(&candidate, meant).await;
        (candidate, records)
    }

    /// How many such records a segment holds; `None`: none. What can't be read counts as one that may hold some.
    async fn records_in(&self, candidate: &Candidate, meant: &Meant) -> Result<Option<u64>, EraseJobError> {
        match self.counted(candidate, meant).await {
            Ok(Ok(0)) => Ok(None),
            Ok(Ok(records)) => Ok(Some(records)),
            Err(EraseJobError::Read(ReadError::NotFound { .. })) => self.not_found(candidate.id).await,
            Ok(Err(what)) | Err(EraseJobError::Read(ReadError::Corrupt { reason: what, .. })) => {
                tracing::error!(segment = %candidate.id, %what, "a segment can't be searched: it counts as one to be erased");
                Ok(Some(0))
            }
            Err(error) => Err(error),
        }
    }

    /// An object is said not to be there. If it was deleted meanwhile the metadata don't know of it any more; else it may be there all the same.
    async fn not_found(&self, id: SegmentId) -> Result<Option<u64>, EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        let gone = self.gone(snapshot.as_ref(), std::iter::once(id)).await?;
        if bugs::on(Bug::MissingIsGone) || gone.contains(&id) {
            return Ok(None);
        }
        tracing::error!(segment = %id, "a segment can't be found: it counts as one to be erased");
        Ok(Some(0))
    }

    async fn counted(
        &self,
        candidate: &Candidate,
        meant: &Meant,
    ) -> Result<Result<u64, String>, EraseJobError> {
        let Candidate { id, inline, length, merged, .. } = *candidate;
        let mut whole = None;
        if inline {
            let snapshot = self.store.snapshot().await?;
            whole = parts::get(snapshot.as_ref(), &inline_segment::prefix(id)).await?;
            if whole.is_none() {
                return Ok(Ok(0));
            }
        }
        let source = Source { cx: self, id, length, whole };
        let footer = match source.footer().await? {
            Ok(footer) => footer,
            Err(what) => return Ok(Err(what)),
        };
        let mut records = 0;
        for block in footer.blocks {
            let upto = meant.upto(block.partition);
            if upto == 0 {
                continue;
            }
            let upto = if merged { upto } else { i64::MAX };
            let stored = source.read(block.place.stored()).await?;
            match look(stored, block, meant, upto).await? {
                Ok(some) => records += some,
                Err(what) => return Ok(Err(what)),
            }
        }
        Ok(Ok(records))
    }

    /// Writes the row as it is by now, and what was found.
    async fn keep(
        &self,
        held: &Held,
        id: ErasureId,
        row: ErasureRow,
        mut mutations: Vec<Mutation>,
    ) -> Result<ErasureRow, EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        // When all agents knew of it is noted by another.
        let invisible = erase::row(snapshot.as_ref(), id).await?.invisible;
        let row = ErasureRow { invisible, ..row };
        mutations.push(erasure::set(id, &row));
        self.send_at(held, id, mutations, snapshot.as_ref()).await?;
        Ok(row)
    }

    async fn send(&self, held: &Held, id: ErasureId, mutations: Vec<Mutation>) -> Result<(), EraseJobError> {
        let snapshot = self.store.snapshot().await?;
        self.send_at(held, id, mutations, snapshot.as_ref()).await
    }

    /// Commits what rests on the lease and on the erasure's row as of the snapshot.
    pub(super) async fn send_at(
        &self,
        held: &Held,
        id: ErasureId,
        mutations: Vec<Mutation>,
        snapshot: &dyn siltstone_store::Snapshot,
    ) -> Result<(), EraseJobError> {
        if !held.holds(snapshot).await? {
            return Err(EraseJobError::LeaseLost);
        }
        let mut reads = held.reads();
        reads.push(KeyRange::key(erasure::key(id)));
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        self.store.commit(commit).await?;
        Ok(())
    }
}

/// Looks through a block.
async fn look(
    stored: Bytes,
    block: FooterBlock,
    meant: &Meant,
    upto: i64,
) -> Result<Result<u64, String>, EraseJobError> {
    if block.place.raw_length() as usize <= LARGE {
        return Ok(count(stored, &block, meant.topic, &meant.keys, upto));
    }
    let (topic, keys) = (meant.topic, meant.keys.clone());
    let work = move || count(stored, &block, topic, &keys, upto);
    tokio::task::spawn_blocking(work).await.map_err(|_| EraseJobError::Interrupted)
}

/// Records of these keys in a block, in batches before `upto`.
fn count(
    stored: Bytes,
    block: &FooterBlock,
    topic: TopicId,
    keys: &BTreeSet<KeyDigest>,
    upto: i64,
) -> Result<u64, String> {
    let mut scratch = Scratch::new();
    let mut found = 0;
    for batch in batches(decoded(stored, &block.place)?) {
        let batch = batch.map_err(|error| error.to_string())?;
        if batch.attributes.is_control() || batch.count == 0 || batch.base_offset >= upto {
            continue;
        }
        let records = batch.records(MAX_DECOMPRESSED, &mut scratch).map_err(|error| error.to_string())?;
        for record in &records {
            let key = record.map_err(|error| error.to_string())?.key;
            found += u64::from(key.is_some_and(|key| keys.contains(&KeyDigest::of(topic, key))));
        }
    }
    Ok(found)
}
