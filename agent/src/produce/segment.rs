//! Putting a segment together: blocks by partition, as they are or as [`super::packing`] has made them, then the footer. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{
    Block, BlockPlace, Encoding, Footer, FooterBlock, LEAST_PACKED, PartitionId, SegmentId, SegmentPlace,
};

use super::buffer::{Buffered, NewBatch};
use super::ticket::Slot;
use super::transactions::Claims;

/// Batches of a block: its manifest stays well below what one value of the metadata store takes.
const BATCHES_PER_BLOCK: usize = 1_500;

/// A segment, ready to be stored.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) chunks: Vec<Bytes>,
    pub(super) length: u64,
    pub(super) blocks: Vec<Block>,
    /// For each block, its batches' slots.
    pub(super) slots: Vec<Vec<Slot>>,
    /// The transactions that its batches claim to belong to.
    pub(super) claims: Claims,
}

impl Built {
    pub(super) fn place(&self, id: SegmentId, inline: bool) -> SegmentPlace {
        SegmentPlace { id, inline, length: self.length }
    }
}

/// Batches of one partition, in the order of their arrival.
pub(super) type Batches = Vec<(NewBatch, Slot)>;

/// Builds segment `id` of these blocks ([`blocks`]). `packed`: each in one zstd frame, where that pays; none if they were not to be compressed.
pub(super) fn build(
    id: SegmentId,
    at: i64,
    blocks: Vec<(PartitionId, Batches)>,
    packed: Option<Vec<Option<Bytes>>>,
) -> Built {
    let built = Built {
        chunks: Vec::new(),
        length: 0,
        blocks: Vec::new(),
        slots: Vec::new(),
        claims: Claims::default(),
    };
    let footer = Footer { id, at, blocks: Vec::new() };
    let mut builder = Builder { built, footer, compresses: packed.is_some() };
    let mut packed = packed.unwrap_or_default().into_iter();
    for (partition, batches) in blocks {
        builder.block(partition, batches, packed.next().flatten());
    }
    let Builder { mut built, footer, .. } = builder;
    let footer = Bytes::from(footer.encode());
    built.length += footer.len() as u64;
    built.chunks.push(footer);
    built
}

/// The batches by partition, in the order of their arrival, as many in a block as a manifest takes.
pub(super) fn blocks(batches: Vec<Buffered>) -> Vec<(PartitionId, Batches)> {
    let mut by_partition: BTreeMap<PartitionId, Batches> = BTreeMap::new();
    for buffered in batches {
        by_partition.entry(buffered.batch.partition).or_default().push((buffered.batch, buffered.slot));
    }
    let mut blocks = Vec::with_capacity(by_partition.len());
    for (partition, mut batches) in by_partition {
        while !batches.is_empty() {
            let rest = batches.split_off(batches.len().min(BATCHES_PER_BLOCK));
            blocks.push((partition, batches));
            batches = rest;
        }
    }
    blocks
}

pub(super) fn raw_length(batches: &Batches) -> u32 {
    batches.iter().map(|(batch, _)| batch.meta.bytes).sum()
}

struct Builder {
    built: Built,
    footer: Footer,
    compresses: bool,
}

impl Builder {
    fn block(&mut self, partition: PartitionId, batches: Batches, packed: Option<Bytes>) {
        let raw_length = raw_length(&batches);
        let first = self.built.chunks.len();
        let mut metas = Vec::with_capacity(batches.len());
        let mut slots = Vec::with_capacity(batches.len());
        for (batch, slot) in batches {
            if packed.is_none() {
                let chunks = batch.bytes.into_iter().filter(|chunk| !chunk.is_empty());
                if self.mixed(raw_length) {
                    self.built.chunks.extend(chunks.map(|chunk| Bytes::copy_from_slice(&chunk)));
                } else {
                    self.built.chunks.extend(chunks);
                }
            }
            self.built.claims.add(&batch.meta, batch.transaction);
            metas.push(batch.meta);
            slots.push(slot);
        }
        let encoding = match &packed {
            None => Encoding::Plain,
            Some(_) => Encoding::Zstd { raw_length },
        };
        self.built.chunks.extend(packed);
        let stored = &self.built.chunks[first..];
        let length = stored.iter().map(Bytes::len).sum::<usize>() as u32;
        let checksum = stored.iter().fold(0, |crc, chunk| crc32c::crc32c_append(crc, chunk));
        let place = BlockPlace { start: self.built.length, length, encoding };
        self.built.length += u64::from(length);
        self.footer.blocks.push(FooterBlock { partition, place, checksum });
        self.built.blocks.push(Block { partition, place, batches: metas });
        self.built.slots.push(slots);
    }

    /// Whether a block is too small to be compressed where others are: its slices would keep whole requests in the page cache.
    fn mixed(&self, raw_length: u32) -> bool {
        self.compresses && (raw_length as usize) < LEAST_PACKED
    }
}
