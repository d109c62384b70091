//! The transaction that makes flushes visible: manifests into shard logs, inline bytes, segment rows. Pure.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Bytes, BytesMut};
use siltstone_log::{Append, BatchMeta, Block, RegistrationId, SegmentPlace, ShardId, shard_of};
use siltstone_metadata::keys::{inline_segment, parts, segment_row, shard_log, shard_tick};
use siltstone_store::Mutation;

use super::pending::Refused;
use super::segment::Built;
use super::ticket::Slot;
use super::transactions::{Admissions, Claims, Touched};

/// A shard's share of a flush goes into entries of at most so many bytes (design, section 8: 100 kB a value).
const ENTRY_BYTES: usize = 80_000;
/// Bytes of a batch and of a block in an entry, at most.
const BATCH_BYTES: usize = 48;
const BLOCK_BYTES: usize = 48;
/// Flushes are added to a transaction while it is below this (design, section 8: stay under 1 MB).
const COMMIT_BYTES: usize = 700_000;

/// One entry to be appended, but for its counter.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) shard: ShardId,
    pub(super) blocks: Vec<Block>,
    pub(super) slots: Vec<Vec<Slot>>,
}

/// A flush whose bytes are where they must be (or come with it, if inline).
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) place: SegmentPlace,
    pub(super) at: i64,
    /// The segment's bytes, if inline.
    pub(super) inline: Option<Bytes>,
    pub(super) claims: Claims,
    pub(super) parts: Vec<Part>,
    bytes: usize,
}

impl Ready {
    /// Sorts the blocks of a segment by shard, into entries that fit.
    pub(super) fn new(place: SegmentPlace, at: i64, built: Built, shards: u16) -> Self {
        let inline = place.inline.then(|| concat(&built.chunks));
        let mut by_shard: BTreeMap<ShardId, Vec<(Block, Vec<Slot>)>> = BTreeMap::new();
        for (block, slots) in built.blocks.into_iter().zip(built.slots) {
            by_shard.entry(shard_of(block.partition, shards)).or_default().push((block, slots));
        }
        let mut parts = Vec::with_capacity(by_shard.len());
        let mut bytes = inline.as_ref().map_or(0, Bytes::len) + 128;
        for (shard, blocks) in by_shard {
            let mut size = usize::MAX;
            for (block, slots) in blocks {
                let more = BLOCK_BYTES + block.batches.len() * BATCH_BYTES;
                if size.saturating_add(more) > ENTRY_BYTES {
                    parts.push(Part { shard, blocks: Vec::new(), slots: Vec::new() });
                    size = 64;
                    bytes += 128;
                }
                size += more;
                bytes += more;
                if let Some(part) = parts.last_mut() {
                    part.blocks.push(block);
                    part.slots.push(slots);
                }
            }
        }
        Ready { place, at, inline, claims: built.claims, parts, bytes }
    }
}

fn concat(chunks: &[Bytes]) -> Bytes {
    let mut whole = BytesMut::with_capacity(chunks.iter().map(Bytes::len).sum());
    chunks.iter().for_each(|chunk| whole.extend_from_slice(chunk));
    whole.freeze()
}

/// How many of these flushes go into one transaction: at least one.
pub(super) fn fitting(ready: &[Ready]) -> usize {
    let mut sum = 0;
    let fits = ready.iter().take_while(|ready| {
        sum += ready.bytes;
        sum <= COMMIT_BYTES
    });
    fits.count().max(1)
}

/// An entry's slots, and the counter that it was given.
pub(super) type Numbered = (ShardId, u64, Vec<Vec<Slot>>);

/// One transaction of the write path, but for what it takes from the transactions of its batches.
#[derive(Debug)]
pub(super) struct Plan {
    /// Segment rows, inline bytes and ticks.
    fixed: Vec<Mutation>,
    /// With their index in the transaction.
    entries: Vec<(ShardId, u16, Append)>,
    /// The transactions that its batches claim to belong to.
    pub(super) claims: Claims,
    /// The clock at its last flush, milliseconds since the Unix epoch.
    pub(super) at: i64,
}

/// Plans one transaction for these flushes. `counters`: the last counter used per shard, which go up.
pub(super) fn plan(
    flushes: Vec<Ready>,
    registration: RegistrationId,
    counters: &mut BTreeMap<ShardId, u64>,
    shards: u16,
) -> (Plan, Vec<Numbered>) {
    let at = flushes.iter().map(|flush| flush.at).max().unwrap_or(0);
    let mut plan = Plan { fixed: Vec::new(), entries: Vec::new(), claims: Claims::default(), at };
    let mut numbered = Vec::new();
    let mut index: BTreeMap<ShardId, u16> = BTreeMap::new();
    for flush in flushes {
        let shards_of = flush.parts.iter().map(|part| part.shard);
        plan.fixed.push(segment_row::published(&flush.place, shards_of, shards));
        if let Some(bytes) = &flush.inline {
            parts::set_new(&mut plan.fixed, &inline_segment::prefix(flush.place.id), bytes);
        }
        plan.claims.extend(flush.claims);
        for part in flush.parts {
            let counter = counters.entry(part.shard).or_insert(0);
            *counter += 1;
            let (counter, segment, blocks) = (*counter, flush.place, part.blocks);
            let index = index.entry(part.shard).or_insert(0);
            let append = Append { registration, counter, at: flush.at, segment, blocks };
            plan.entries.push((part.shard, *index, append));
            *index += 1;
            numbered.push((part.shard, counter, part.slots));
        }
    }
    plan.fixed.extend(index.into_keys().map(shard_tick::tick));
    (plan, numbered)
}

impl Plan {
    /// The mutations, where no batch claims to belong to a transaction.
    pub(super) fn mutations(&self) -> Vec<Mutation> {
        let entries = self
            .entries
            .iter()
            .map(|(shard, index, append)| shard_log::append(*shard, *index, append.encode()));
        entries.chain(self.fixed.iter().cloned()).collect()
    }

    /// The partitions that transactional batches go to, by producer id and epoch.
    pub(super) fn touched(&self) -> BTreeSet<Touched> {
        let blocks = self.entries.iter().flat_map(|(_, _, append)| &append.blocks);
        let batches = blocks.flat_map(|block| block.batches.iter().map(|batch| (block.partition, batch)));
        batches.filter_map(|(partition, batch)| Some((producer(batch)?, partition))).collect()
    }

    /// The mutations without the batches that these refuse, and why those are void, by shard and counter.
    pub(super) fn admitted(&self, admissions: &Admissions) -> (Vec<Mutation>, Vec<(ShardId, u64, Refused)>) {
        let mut mutations = admissions.mutations();
        let mut all = Vec::new();
        for (shard, index, append) in &self.entries {
            let mut append = append.clone();
            let mut refused = Refused::new();
            for (at_block, block) in append.blocks.iter_mut().enumerate() {
                let partition = block.partition;
                for (at_batch, batch) in block.batches.iter_mut().enumerate() {
                    let refusal = producer(batch).and_then(|who| admissions.refusal(&(who, partition)));
                    if let Some(refusal) = refusal {
                        batch.void = true;
                        refused.insert((at_block, at_batch), refusal);
                    }
                }
            }
            all.push((*shard, append.counter, refused));
            mutations.push(shard_log::append(*shard, *index, append.encode()));
        }
        mutations.extend(self.fixed.iter().cloned());
        (mutations, all)
    }
}

/// Id and epoch of a transactional batch's producer.
fn producer(batch: &BatchMeta) -> Option<(i64, i16)> {
    let meta = batch.producer.filter(|_| batch.transactional)?;
    Some((meta.id, meta.epoch))
}
