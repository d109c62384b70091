//! Putting a merged segment together: the batches of each partition in blocks of a good size, with their offsets in their headers. Pure.

use std::collections::BTreeMap;

use bytes::Bytes;
use siltstone_log::{
    BlockPlace, Encoding, ErasureId, Extent, ExtentPlace, Footer, FooterBlock, Packer, PartitionId,
    SegmentId, SegmentPlace, ShardId,
};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::shard::Hidden;
use siltstone_records::{
    Batch, Compression, HEADER_LEN, Header, MAGIC, MAX_DECOMPRESSED, Scratch, patched_prefix, without,
};

/// The leader epoch is 0, everywhere and always (design, section 6).
const LEADER_EPOCH: i32 = 0;

/// How a segment is built.
#[derive(Debug, Clone, Copy)]
pub struct BuildRules {
    /// A block is full with so many bytes, before compression.
    pub block_bytes: usize,
    /// zstd's level for blocks whose batches are not compressed.
    pub compression: Option<i32>,
    /// The level of the extents.
    pub level: u8,
}

/// A run of a partition's offsets, in the place of some extents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// The shard.
    pub shard: ShardId,
    /// The partition.
    pub partition: PartitionId,
    /// What is there now.
    pub old: Vec<Extent>,
    /// What is to be there; nothing in the segment but what these say.
    pub new: Vec<Extent>,
    /// Records that are left out for good.
    pub erased: Erased,
}

/// How many records go for each erasure.
pub type Erased = BTreeMap<ErasureId, u64>;

/// A segment, ready to be stored.
#[derive(Debug)]
pub struct Built {
    /// Where it will lie.
    pub place: SegmentPlace,
    /// Its bytes.
    pub chunks: Vec<Bytes>,
    /// What it replaces.
    pub runs: Vec<Run>,
}

/// A block that is being filled.
struct Open {
    base: i64,
    bytes_before: u64,
    end: i64,
    max_timestamp: i64,
    plain: bool,
    bytes: Vec<u8>,
}

/// Builds one segment.
pub struct SegmentBuilder {
    id: SegmentId,
    rules: BuildRules,
    length: u64,
    chunks: Vec<Bytes>,
    footer: Footer,
    runs: Vec<Run>,
    open: Option<Open>,
    /// Memory for the next block.
    spare: Vec<u8>,
    packer: Option<Packer>,
    /// New extents, by the run that they belong to; their segment's length is not known yet.
    extents: Vec<(usize, Extent)>,
    /// What is left out of the run.
    hidden: Option<Hidden>,
    scratch: Scratch,
}

impl SegmentBuilder {
    /// Segment `id`, written at `at` (milliseconds since the Unix epoch).
    pub fn new(id: SegmentId, at: i64, rules: BuildRules) -> Self {
        let footer = Footer { id, at, blocks: Vec::new() };
        SegmentBuilder {
            id,
            rules,
            length: 0,
            chunks: Vec::new(),
            footer,
            runs: Vec::new(),
            open: None,
            spare: Vec::new(),
            packer: rules.compression.and_then(Packer::new),
            extents: Vec::new(),
            hidden: None,
            scratch: Scratch::new(),
        }
    }

    /// Bytes so far, without the block that is open.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Begins a run. Offsets from its first old extent's first to its last one's end are covered by its new extents.
    pub fn begin_run(&mut self, shard: ShardId, partition: PartitionId) {
        self.end_run();
        self.runs.push(Run { shard, partition, old: Vec::new(), new: Vec::new(), erased: Erased::new() });
        self.hidden = None;
    }

    /// Says what to leave out of the run's batches.
    pub fn hide(&mut self, hidden: Option<&Hidden>) {
        self.hidden = hidden.filter(|_| !bugs::on(Bug::ErasedMerged)).cloned();
    }

    /// Says what the run replaces, whatever batches are added: some of theirs may be left out, or be others. Only before the first one.
    pub fn replaces(&mut self, old: &[Extent]) {
        if let Some(run) = self.runs.last_mut() {
            run.old.extend_from_slice(old);
        }
    }

    /// Adds an old extent to the run, and its batches: `bytes` are exactly them.
    ///
    /// # Errors
    /// What is wrong with the bytes. The segment is of no more use then.
    pub fn extent(&mut self, extent: &Extent, bytes: &Bytes) -> Result<(), String> {
        let Some(run) = self.runs.last_mut() else { return Err("there is no run".to_owned()) };
        run.old.push(*extent);
        let mut base = extent.base;
        let mut at = 0;
        while at < bytes.len() {
            let (header, batch_end) = batch_at(bytes, at)?;
            let parsed = Header::parse(&header);
            let offset = if extent.level() > 0 { parsed.base_offset } else { base };
            let end = offset + i64::from(parsed.last_offset_delta) + 1;
            if offset < base || end > extent.end() {
                return Err(format!("offsets {offset} to {end} are not those of {}..{}", base, extent.end()));
            }
            let before = extent.bytes_before + at as u64;
            if bugs::on(Bug::MergeLosesBatches) && at > 0 {
                (base, at) = (end, batch_end);
                continue;
            }
            let batch = bytes.slice(at..batch_end);
            match self.shown(offset, &batch)? {
                Some(left) => self.batch(offset, end, before, &left.header_bytes(), left.bytes().clone()),
                None => self.batch(offset, end, before, &header, batch),
            }
            base = end;
            at = batch_end;
        }
        if extent.level() == 0 && base != extent.end() {
            return Err(format!("records are missing: {base} to {}", extent.end()));
        }
        Ok(())
    }

    /// What is left of a batch that stands at `offset`, if some of it must go.
    fn shown(&mut self, offset: i64, bytes: &Bytes) -> Result<Option<Batch>, String> {
        let Some(hidden) = self.hidden.as_ref().filter(|hidden| hidden.concerns(offset)) else {
            return Ok(None);
        };
        let batch = Batch::parse(bytes).map_err(|error| error.to_string())?;
        let erased = self.runs.last_mut().map(|run| &mut run.erased);
        shown(&batch, offset, hidden, erased, &mut self.scratch)
    }

    /// Adds a batch that stands at `offset` and takes offsets up to `end`.
    pub fn batch(
        &mut self,
        offset: i64,
        end: i64,
        bytes_before: u64,
        header: &[u8; HEADER_LEN],
        batch: Bytes,
    ) {
        if self.open.as_ref().is_some_and(|open| open.bytes.len() + batch.len() > self.rules.block_bytes) {
            self.seal(None);
        }
        let from = self.next_base();
        let parsed = Header::parse(header);
        let spare = &mut self.spare;
        let open = self.open.get_or_insert_with(|| Open {
            base: from.unwrap_or(offset),
            bytes_before,
            end,
            max_timestamp: parsed.max_timestamp,
            plain: true,
            bytes: std::mem::take(spare),
        });
        open.end = end;
        open.max_timestamp = open.max_timestamp.max(parsed.max_timestamp);
        open.plain &= parsed.attributes.compression() == Ok(Compression::None);
        open.bytes.extend_from_slice(&patched_prefix(header, offset, LEADER_EPOCH));
        open.bytes.extend_from_slice(&batch[16..]);
    }

    /// Where the next block of the run begins to cover offsets.
    fn next_base(&self) -> Option<i64> {
        let run = self.runs.len().checked_sub(1)?;
        match self.extents.last() {
            Some((of, last)) if *of == run => Some(last.end()),
            _ => self.runs.last()?.old.first().map(|extent| extent.base),
        }
    }

    fn end_run(&mut self) {
        let end = self.runs.last().and_then(|run| run.old.last()).map(Extent::end);
        self.seal(end);
    }

    /// Ends the block. With `end` it covers all offsets up to there.
    fn seal(&mut self, end: Option<i64>) {
        let Some(run) = self.runs.len().checked_sub(1) else { return };
        let Some(open) = self.open.take() else {
            // A gap behind the last block belongs to it.
            if let (Some(end), Some((of, last))) = (end, self.extents.last_mut())
                && *of == run
            {
                last.records = last.records.max((end - last.base) as u64);
            }
            return;
        };
        let Open { base, bytes_before, end: last, max_timestamp, plain, bytes: raw } = open;
        let packed =
            self.packer.as_mut().filter(|_| plain).and_then(|packer| packer.pack([raw.as_ref()].into_iter()));
        let length = raw.len() as u32;
        let encoding = match &packed {
            None => Encoding::Plain,
            Some(_) => Encoding::Zstd { raw_length: length },
        };
        // In memory of just its size: a block's room would be kept until the segment is stored.
        let stored = packed.unwrap_or_else(|| Bytes::copy_from_slice(&raw));
        self.spare = raw;
        self.spare.clear();
        let place = BlockPlace { start: self.length, length: stored.len() as u32, encoding };
        let partition = self.runs[run].partition;
        let checksum = crc32c::crc32c(&stored);
        self.footer.blocks.push(FooterBlock { partition, place, checksum });
        self.length += stored.len() as u64;
        self.chunks.push(stored);
        let segment = SegmentPlace { id: self.id, inline: false, length: 0 };
        let place = ExtentPlace::Stored { segment, block: place, start: 0, level: self.rules.level };
        let records = (end.unwrap_or(last).max(last) - base) as u64;
        self.extents.push((run, Extent { base, records, bytes_before, place, length, max_timestamp }));
    }

    /// The segment; `None` if there is nothing in it.
    pub fn finish(mut self) -> Option<Built> {
        self.end_run();
        if self.runs.is_empty() {
            return None;
        }
        let footer = Bytes::from(self.footer.encode());
        let place = SegmentPlace { id: self.id, inline: false, length: self.length + footer.len() as u64 };
        self.chunks.push(footer);
        for (run, mut extent) in self.extents {
            if let ExtentPlace::Stored { segment, .. } = &mut extent.place {
                *segment = place;
            }
            self.runs[run].new.push(extent);
        }
        Some(Built { place, chunks: self.chunks, runs: self.runs })
    }
}

/// What is left of a batch that stands at `offset`, if some of it is hidden; counts that.
///
/// # Errors
/// The batch can't be read, or not be made anew.
pub fn shown(
    batch: &Batch,
    offset: i64,
    hidden: &Hidden,
    erased: Option<&mut Erased>,
    scratch: &mut Scratch,
) -> Result<Option<Batch>, String> {
    let gone = std::cell::RefCell::new(Erased::new());
    let meant = |key: &[u8]| {
        let mut gone = gone.borrow_mut();
        let by = hidden.by(offset, key).map(|id| *gone.entry(id).or_default() += 1);
        by.count() > 0
    };
    let left = without(batch, meant, MAX_DECOMPRESSED, scratch).map_err(|error| error.to_string())?;
    let Some((bytes, _)) = left else { return Ok(None) };
    if let Some(erased) = erased {
        gone.into_inner().into_iter().for_each(|(id, records)| *erased.entry(id).or_default() += records);
    }
    Batch::parse(&bytes).map(Some).map_err(|error| error.to_string())
}

/// The header of the batch at `at`, and where the batch ends; its CRC matches.
fn batch_at(bytes: &Bytes, at: usize) -> Result<([u8; HEADER_LEN], usize), String> {
    let broken = |what: &str| format!("{what} at byte {at}");
    let header = bytes.get(at..at + HEADER_LEN).ok_or_else(|| broken("a batch's header is cut off"))?;
    let header: [u8; HEADER_LEN] = header.try_into().map_err(|_| broken("a batch's header is cut off"))?;
    let parsed = Header::parse(&header);
    let length = parsed.total_len().unwrap_or(usize::MAX);
    let end = at.checked_add(length).filter(|end| *end <= bytes.len());
    let end = end.ok_or_else(|| broken("a batch is cut off"))?;
    if parsed.last_offset_delta < 0 || parsed.magic != MAGIC || length < HEADER_LEN {
        return Err(broken("a batch's header is not one"));
    }
    // What the CRC covers begins behind it.
    if crc32c::crc32c(&bytes[at + 21..end]) != parsed.crc {
        return Err(broken("a batch's CRC does not match"));
    }
    Ok((header, end))
}

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
