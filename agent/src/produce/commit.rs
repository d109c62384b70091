//! The transaction that makes flushes visible: manifests into shard logs, inline bytes, segment rows. Pure.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use siltstone_log::{Append, Block, Entry, RegistrationId, SegmentPlace, ShardId, shard_of};
use siltstone_metadata::keys::{inline_segment, parts, segment_row, shard_log, shard_tick};
use siltstone_store::Mutation;

use super::segment::Built;
use super::ticket::Slot;

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
        Ready { place, at, inline, parts, bytes }
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

/// The mutations of one transaction for these flushes. `counters`: the last counter used per shard, which go up.
pub(super) fn mutations(
    flushes: Vec<Ready>,
    registration: RegistrationId,
    counters: &mut BTreeMap<ShardId, u64>,
    shards: u16,
) -> (Vec<Mutation>, Vec<Numbered>) {
    let mut mutations = Vec::new();
    let mut numbered = Vec::new();
    let mut index: BTreeMap<ShardId, u16> = BTreeMap::new();
    for flush in flushes {
        mutations.push(segment_row::set(&flush.place, flush.parts.iter().map(|part| part.shard), shards));
        if let Some(bytes) = &flush.inline {
            parts::set_new(&mut mutations, &inline_segment::prefix(flush.place.id), bytes);
        }
        for part in flush.parts {
            let counter = counters.entry(part.shard).or_insert(0);
            *counter += 1;
            let entry = Entry::Append(Append {
                registration,
                counter: *counter,
                at: flush.at,
                segment: flush.place,
                blocks: part.blocks,
            });
            let index = index.entry(part.shard).or_insert(0);
            mutations.push(shard_log::append(part.shard, *index, entry.encode()));
            *index += 1;
            numbered.push((part.shard, *counter, part.slots));
        }
    }
    mutations.extend(index.into_keys().map(shard_tick::tick));
    (mutations, numbered)
}
