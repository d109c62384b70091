//! What a segment's bytes must agree in with the metadata. Pure: bytes and claims in, findings out.

use bytes::Bytes;
use siltstone_log::{
    Append, BlockPlace, Extent, ExtentPlace, Footer, FooterBlock, PartitionId, SegmentId, ShardId,
};
use siltstone_records::batches;

use super::finding::{Finding, Kind, Place};

/// What the metadata says of some bytes of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The shard.
    pub shard: ShardId,
    /// Whose bytes they are.
    pub partition: PartitionId,
    /// The block that holds them.
    pub block: BlockPlace,
    /// The first byte in the (decompressed) block.
    pub start: u32,
    /// How many.
    pub length: u32,
    /// How many records, or offsets where there may be gaps.
    pub records: u64,
    /// The largest timestamp.
    pub max_timestamp: i64,
    /// The first offset; none: an entry of the log, whose offsets the fold gives out.
    pub base: Option<i64>,
    /// Batches hold their offsets, and there may be gaps.
    pub merged: bool,
}

impl Claim {
    /// What an extent says, and of which segment.
    pub fn of_extent(shard: ShardId, partition: PartitionId, extent: &Extent) -> Option<(SegmentId, Claim)> {
        let ExtentPlace::Stored { segment, block, start, level } = extent.place else { return None };
        let Extent { base, records, length, max_timestamp, .. } = *extent;
        let (base, merged) = (Some(base), level > 0);
        Some((
            segment.id,
            Claim { shard, partition, block, start, length, records, max_timestamp, base, merged },
        ))
    }

    /// What an entry of a shard's log says: one for each batch.
    pub fn of_entry(shard: ShardId, append: &Append) -> Vec<Claim> {
        let mut claims = Vec::new();
        for block in &append.blocks {
            let mut start = 0_u32;
            for batch in &block.batches {
                claims.push(Claim {
                    shard,
                    partition: block.partition,
                    block: block.place,
                    start,
                    length: batch.bytes,
                    records: u64::from(batch.records),
                    max_timestamp: batch.max_timestamp,
                    base: None,
                    merged: false,
                });
                start = start.saturating_add(batch.bytes);
            }
        }
        claims
    }

    fn place(&self, segment: SegmentId) -> Place {
        let place = Place { segment: Some(segment), ..Place::partition(self.shard, self.partition) };
        match self.base {
            Some(base) => place.at(base, base.saturating_add_unsigned(self.records)),
            None => place,
        }
    }
}

/// Checks a footer: whose it is, and that every claim's block is in it.
pub fn footer(segment: SegmentId, footer: &Footer, claims: &[Claim]) -> Vec<Finding> {
    let mut found = Vec::new();
    if footer.id != segment {
        let what = format!("the footer is that of segment {}", footer.id);
        found.push(Finding::new(Kind::Footer, Place::segment(segment), what));
    }
    let has = |claim: &Claim| {
        let same = |block: &FooterBlock| (block.partition, block.place) == (claim.partition, claim.block);
        let at = footer.blocks.partition_point(|block| block.place.start < claim.block.start);
        footer.blocks[at..].iter().take_while(|block| block.place.start == claim.block.start).any(same)
    };
    for claim in claims.iter().filter(|claim| !has(claim)) {
        let what = format!("the segment has no such block: {:?}", claim.block);
        found.push(Finding::new(Kind::Disagrees, claim.place(segment), what));
    }
    found
}

/// Checks a block: `stored` are its bytes, `checksum` what the footer says if there is one, `claims` those about this block.
pub fn block(
    segment: SegmentId,
    place: &BlockPlace,
    checksum: Option<u32>,
    stored: &Bytes,
    claims: &[&Claim],
) -> Vec<Finding> {
    let damaged = |what: &str| -> Vec<Finding> {
        let what = format!("the block at byte {}: {what}", place.start);
        let of = |claim: &&Claim| Finding::new(Kind::Block, claim.place(segment), what.clone());
        let mut found: Vec<_> = claims.iter().map(of).collect();
        if found.is_empty() {
            found.push(Finding::new(Kind::Block, Place::segment(segment), what));
        }
        found
    };
    if checksum.is_some_and(|checksum| crc32c::crc32c(stored) != checksum) {
        return damaged("its checksum does not match");
    }
    let raw = match place.encoding.unpack(stored.clone()) {
        Ok(raw) => raw,
        Err(error) => return damaged(&format!("it {error}")),
    };
    let wrong = |claim: &&Claim| {
        let (kind, what) = claimed(&raw, claim).err()?;
        Some(Finding::new(kind, claim.place(segment), what))
    };
    claims.iter().filter_map(wrong).collect()
}

/// Checks what one claim says of a block's bytes; else what is wrong.
fn claimed(raw: &Bytes, claim: &Claim) -> Result<(), (Kind, String)> {
    let (from, to) = (claim.start as usize, claim.start as usize + claim.length as usize);
    if to > raw.len() {
        return Err((Kind::Disagrees, format!("it ends at byte {to} of a block of {} bytes", raw.len())));
    }
    let (mut records, mut latest) = (0_u64, i64::MIN);
    let mut next = claim.base.unwrap_or(0);
    let end = next.saturating_add_unsigned(claim.records);
    for batch in batches(raw.slice(from..to)) {
        let batch =
            batch.map_err(|error| (Kind::Batch, format!("behind byte {from} of its block: {error}")))?;
        if !batch.crc_is_valid() {
            return Err((Kind::Batch, "a batch's CRC does not match".to_owned()));
        }
        let offsets = i64::from(batch.last_offset_delta) + 1;
        if claim.merged {
            let after = batch.base_offset.saturating_add(offsets);
            if offsets < 0 || batch.base_offset < next || after > end {
                let at = batch.base_offset;
                let what = format!("a batch is at offset {at}, where one from {next} to {end} is due");
                return Err((Kind::Disagrees, what));
            }
            next = after;
        }
        records = records.saturating_add(u64::try_from(offsets).unwrap_or(0));
        latest = latest.max(batch.max_timestamp);
    }
    if !claim.merged && records != claim.records {
        return Err((Kind::Disagrees, format!("it has {records} records, not {}", claim.records)));
    }
    // Compaction may have taken the record with the largest one.
    if latest > claim.max_timestamp || (!claim.merged && latest != claim.max_timestamp) {
        let what = format!("its latest timestamp is {latest}, not {}", claim.max_timestamp);
        return Err((Kind::Disagrees, what));
    }
    Ok(())
}

#[cfg(test)]
#[path = "segment_checks_tests.rs"]
mod tests;
