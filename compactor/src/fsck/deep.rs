//! Reading segments: footers, blocks, batches, against what the metadata says of them.
//!
//! Segments are taken in groups whose claims fit in memory; for each group the chunks are walked once, and each segment is read once,
//! block by block, some at a time.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt;
use siltstone_log::{BlockPlace, SegmentId, ShardId};
use siltstone_metadata::keys::inline_segment;
use siltstone_objects::ReadError;

use super::FsckError;
use super::finding::{Finding, Kind, Place};
use super::look::{Look, Need};
use super::read::View;
use super::segment_checks::{self, Claim};
use super::shards::each_claim;
use crate::context::Context;
use crate::source::Source;

/// Claims that are held at once: some 25 MB.
const CLAIMS: u64 = 200_000;
/// Segments that are read at once.
const AT_ONCE: usize = 4;
/// Bytes of one request, unless one block has more.
const RUN: u64 = 4 << 20;

impl Look<'_> {
    /// Reads all segments that are needed; with `only` just these.
    pub(super) async fn deep(&mut self, only: Option<&BTreeSet<SegmentId>>) -> Result<(), FsckError> {
        let wanted = |id: &SegmentId| only.is_none_or(|only| only.contains(id)) && !self.bad.contains_key(id);
        let all: Vec<(SegmentId, Need)> =
            self.needs.iter().filter(|(id, _)| wanted(id)).map(|(id, need)| (*id, need.clone())).collect();
        self.watcher.begin("reading segments", Some(all.len() as u64));
        let mut rest = &all[..];
        while !rest.is_empty() {
            let mut claims = 0;
            let fits = |(_, need): &&(SegmentId, Need)| {
                claims += need.claims;
                claims <= CLAIMS
            };
            let count = rest.iter().take_while(fits).count().max(1);
            let (group, later) = rest.split_at(count);
            self.group(group).await?;
            rest = later;
        }
        Ok(())
    }

    async fn group(&mut self, group: &[(SegmentId, Need)]) -> Result<(), FsckError> {
        let mut claims: BTreeMap<SegmentId, Vec<Claim>> =
            group.iter().map(|(id, _)| (*id, Vec::new())).collect();
        let shards: BTreeSet<ShardId> = group.iter().flat_map(|(_, need)| need.shards.clone()).collect();
        for shard in shards {
            each_claim(self.cx, shard, |segment, claim| {
                claims.get_mut(&segment).into_iter().for_each(|of| of.push(claim.clone()));
            })
            .await?;
        }
        let cx = self.cx;
        let reads: Vec<_> = group
            .iter()
            .map(|(id, need)| segment(cx, *id, need.clone(), claims.remove(id).unwrap_or_default()))
            .collect();
        let mut reads = futures::stream::iter(reads).buffer_unordered(AT_ONCE);
        while let Some(done) = reads.next().await {
            let (found, bytes) = done?;
            self.checked.read_segments += 1;
            self.checked.read_bytes += bytes;
            self.watcher.advance(1);
            self.tell_all(found);
        }
        Ok(())
    }
}

/// Checks one segment; also says how many bytes were read.
async fn segment(
    cx: &Context,
    id: SegmentId,
    need: Need,
    mut claims: Vec<Claim>,
) -> Result<(Vec<Finding>, u64), FsckError> {
    let whole = match need.inline {
        true => View::new(cx.store.as_ref()).await?.parts(&inline_segment::prefix(id)).await?,
        false => None,
    };
    if need.inline && whole.is_none() {
        // Told of already, or merged meanwhile.
        return Ok((Vec::new(), 0));
    }
    let source = Source { cx, id, length: need.length, whole };
    claims.sort_by_key(|claim| claim.block.start);
    let mut found = Vec::new();
    let checked = match source.footer().await {
        Ok(Ok(footer)) => {
            found.extend(segment_checks::footer(id, &footer, &claims));
            let blocks = footer.blocks.iter().map(|block| (block.place, Some(block.checksum)));
            blocks_of(&source, blocks.collect(), &claims, &mut found).await
        }
        Ok(Err(what)) => {
            found.push(Finding::new(Kind::Footer, Place::segment(id), what));
            let blocks: Vec<_> = claims.iter().map(|claim| (claim.block, None)).collect();
            blocks_of(&source, blocks, &claims, &mut found).await
        }
        Err(error) => Err(error),
    };
    match checked {
        Ok(bytes) => Ok((found, bytes)),
        // Merged and deleted meanwhile, or told of already.
        Err(ReadError::NotFound { .. }) => Ok((found, 0)),
        Err(ReadError::Corrupt { reason, .. }) => {
            found.push(Finding::new(Kind::WrongLength, Place::segment(id), reason));
            Ok((found, 0))
        }
        Err(error) => Err(error.into()),
    }
}

/// Reads and checks these blocks, in the order of their places. Returns how many bytes were read.
async fn blocks_of(
    source: &Source<'_>,
    mut blocks: Vec<(BlockPlace, Option<u32>)>,
    claims: &[Claim],
    found: &mut Vec<Finding>,
) -> Result<u64, ReadError> {
    blocks.sort_by_key(|(block, _)| block.start);
    blocks.dedup_by_key(|(block, _)| *block);
    let end = |block: &BlockPlace| block.start.saturating_add(u64::from(block.length));
    let mut read = 0;
    let mut rest = &blocks[..];
    while let Some((first, _)) = rest.first() {
        let from = first.start;
        let near = |(block, _): &&(BlockPlace, Option<u32>)| end(block) - from <= RUN;
        let (run, later) = rest.split_at(rest.iter().take_while(near).count().max(1));
        rest = later;
        let to = run.iter().map(|(block, _)| end(block)).max().unwrap_or(from);
        if to > source.length {
            let what = format!("a block ends at byte {to} of {}", source.length);
            found.push(Finding::new(Kind::Disagrees, Place::segment(source.id), what));
            continue;
        }
        let bytes = source.read(from..to).await?;
        read += bytes.len() as u64;
        for (block, checksum) in run {
            let (at, length) = ((block.start - from) as usize, block.length as usize);
            let Some(stored) = bytes.get(at..at + length).map(|_| bytes.slice(at..at + length)) else {
                continue;
            };
            let first = claims.partition_point(|claim| claim.block.start < block.start);
            let of = claims[first..].iter().take_while(|claim| claim.block.start == block.start);
            let of: Vec<&Claim> = of.filter(|claim| claim.block == *block).collect();
            found.extend(segment_checks::block(source.id, block, *checksum, &stored, &of));
        }
        tokio::task::yield_now().await;
    }
    Ok(read)
}
