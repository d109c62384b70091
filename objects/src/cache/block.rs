//! Blocks that are read by themselves, in one request for exactly their bytes: those that are large enough to be worth one, and of which a
//! page would hold parts of others.
//!
//! A small block that lies right behind comes with the request, since the reader of one will want the other: the last of a run
//! is what its length leaves. It is kept as what was read ahead, so within the same bound, and who wants it while the request is still on its way reads it again.

use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{SegmentId, SegmentPlace};

use super::flight::{Charge, Outcome, Shared};
use super::lru::{Key, Part};
use super::{Decoding, PageCache, SegmentSource, fetch};
use crate::error::ReadError;

/// Makes what is kept of a block of what is stored.
pub type Decode = Box<dyn FnOnce(Bytes) -> Decoded + Send>;
type Decoded = Pin<Box<dyn Future<Output = Result<Bytes, ReadError>> + Send>>;

/// A block, and how what is kept of it is made of what is stored.
pub struct Block {
    /// Its bytes in the segment.
    pub range: Range<u64>,
    /// Bytes that `decode` makes of them.
    pub length: u64,
    /// How.
    pub decode: Decode,
}

impl Block {
    /// Bytes of memory that it takes until it is kept.
    fn memory(&self) -> u64 {
        self.length.max(self.range.end.saturating_sub(self.range.start))
    }
}

impl PageCache {
    /// Starts to read a block, and `rest` with it, if that lies right behind and there is room for it.
    pub fn begin_block(&self, segment: SegmentPlace, block: Block, rest: Option<Block>) -> Decoding {
        let key = key(segment.id, &block);
        let rest = self.with_room(segment.id, &block, rest);
        let charge = Charge::Fetch(block.memory() + rest.as_ref().map_or(0, Block::memory));
        let wait = self.shared.obtain(key, charge, || self.reading(segment, block, rest).done());
        Decoding { segment: segment.id, wait }
    }

    /// As [`begin_block`](PageCache::begin_block) for one that will be wanted soon, as [`prefetch`](PageCache::prefetch) does with pages.
    pub fn prefetch_block(&self, segment: SegmentPlace, block: Block, rest: Option<Block>) -> bool {
        let key = key(segment.id, &block);
        let rest = self.with_room(segment.id, &block, rest);
        let bytes = block.memory() + rest.as_ref().map_or(0, Block::memory);
        self.ahead(key, bytes, || self.reading(segment, block, rest).done())
    }

    /// A block that is here, or on its way.
    pub fn held_block(&self, segment: SegmentId, start: u64) -> Option<Decoding> {
        let key = Key { segment, part: Part::Block(start) };
        Some(Decoding { segment, wait: self.shared.held(key)? })
    }

    /// A rest that is worth to be read with its block: it lies right behind, is not there, and there is room for it.
    fn with_room(&self, segment: SegmentId, block: &Block, rest: Option<Block>) -> Option<Block> {
        let rest = rest.filter(|rest| rest.range.start == block.range.end)?;
        let key = key(segment, &rest);
        let room = self.shared.with(|state| {
            let all = state.lru.unread() + state.ahead.1 + block.memory() + rest.memory();
            !state.lru.contains(&key) && !state.is_coming(&key) && all <= self.ahead
        });
        room.then_some(rest)
    }

    fn reading(&self, segment: SegmentPlace, block: Block, rest: Option<Block>) -> BlockReading {
        let (shared, source) = (Arc::clone(&self.shared), Arc::clone(&self.source));
        BlockReading { shared, source, segment, block, rest }
    }
}

fn key(segment: SegmentId, block: &Block) -> Key {
    Key { segment, part: Part::Block(block.range.start) }
}

/// One request for a block and its rest.
struct BlockReading {
    shared: Arc<Shared>,
    source: Arc<dyn SegmentSource>,
    segment: SegmentPlace,
    block: Block,
    rest: Option<Block>,
}

impl BlockReading {
    async fn done(self) -> Outcome {
        let BlockReading { shared, source, segment, block, rest } = self;
        let range = block.range.start..rest.as_ref().map_or(block.range.end, |rest| rest.range.end);
        let head = key(segment.id, &block);
        let pieces = fetch(source, segment, range).await?;
        let mut stored = pieces.first().cloned().unwrap_or_default();
        drop(pieces);
        if let Some(rest) = rest {
            let own = usize::try_from(block.range.end - block.range.start).unwrap_or(usize::MAX);
            let behind;
            (stored, behind) = parted(stored, own);
            let key = key(segment.id, &rest);
            // Who asks for it and finds nothing reads it by itself, and is told what is wrong with it.
            if let Ok(made) = (rest.decode)(behind).await {
                shared.keep_with(head, key, vec![made].into());
            }
        }
        Ok(vec![(block.decode)(stored).await?].into())
    }
}

/// Both in memory of their own: a slice would hold all that was read for as long as one of them is there, and the cache counts only the slice.
fn parted(stored: Bytes, own: usize) -> (Bytes, Bytes) {
    let own = own.min(stored.len());
    let behind = Bytes::copy_from_slice(&stored[own..]);
    let mut head = Vec::from(stored);
    head.truncate(own);
    head.shrink_to_fit();
    (head.into(), behind)
}
