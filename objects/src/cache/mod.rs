//! A cache of segments' bytes, bounded in bytes: pages as they are stored, and blocks that had to be decompressed.
//!
//! Guarantees: what the cache holds and what it is fetching is together within its limit, always; one fetch per page at a time;
//! a failure is given to those who waited and is not kept; the same calls in the same order evict the same pages.
//! It deliberately knows neither object stores nor formats, and never looks into what it holds.
//!
//! A page that was evicted lives on while a reader holds a [`Rope`] of it. Such memory is the reader's to bound (the agent's read
//! budget does), and [`Rope::detach_small`] keeps small slices from holding whole pages.
//!
//! Not built on moka: that reads the real clock to decide when to evict, so equal runs differ, and admits entries before it evicts
//! others, up to 64 of them, which with pages of megabytes is no bound.

mod block;
mod flight;
mod lent;
mod lru;
mod promise;
mod rope;

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use siltstone_log::{SegmentId, SegmentPlace};

pub use block::{Block, Decode};
pub use rope::Rope;

use crate::error::ReadError;
use crate::telemetry;
use flight::{Charge, Outcome, Shared, Wait};
use lru::{Key, Part};

/// The page size to use unless there is a reason: large enough that a GET's price is spread over many bytes.
pub const DEFAULT_PAGE_BYTES: u64 = 4 << 20;
/// The smallest page: below it the cache's own bookkeeping would dominate.
const MIN_PAGE_BYTES: u64 = 256;
/// Read-ahead that is under way or that nobody has read yet may fill this part of the cache, unless told otherwise: so little that pages which
/// readers come back to don't push it out before it is read.
const AHEAD_PART: u64 = 3;

/// Where segments' bytes come from: objects, or rows of the metadata store.
#[async_trait]
pub trait SegmentSource: Send + Sync + 'static {
    /// Bytes `range` of a segment, exactly. Must end by itself, in bounded time: waiting readers have no other end.
    async fn fetch(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Bytes, ReadError>;

    /// The same for a page, which another agent may keep, too.
    async fn page(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Page, ReadError> {
        Ok(Page { bytes: self.fetch(segment, range).await?, lent: false })
    }

    /// Whether a page that is missing would be asked of another agent.
    fn asks(&self, _segment: SegmentPlace, _range: &Range<u64>) -> bool {
        false
    }

    /// What came of this segment was not what it should be.
    fn damaged(&self, _segment: SegmentId) {}
}

/// A page's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// All of them.
    pub bytes: Bytes,
    /// Another agent keeps this page: it is kept here for a short time only.
    pub lent: bool,
}

/// The cache. A cheap clone.
#[derive(Clone)]
pub struct PageCache {
    shared: Arc<Shared>,
    source: Arc<dyn SegmentSource>,
    limit: u64,
    page: u64,
    ahead: u64,
}

impl PageCache {
    /// A cache of at most `limit_bytes`, in pages of `page_bytes` (see [`DEFAULT_PAGE_BYTES`]; at least 256 bytes are taken).
    /// A limit below a few pages works, but keeps little: what does not fit passes through.
    pub fn new(limit_bytes: u64, page_bytes: u64, source: Arc<dyn SegmentSource>) -> Self {
        let page = page_bytes.max(MIN_PAGE_BYTES);
        let ahead = limit_bytes / AHEAD_PART;
        Self { shared: Arc::new(Shared::new(limit_bytes)), source, limit: limit_bytes, page, ahead }
    }

    /// Where readers seldom come back to what they have read: half of it may be filled by what is read ahead.
    pub fn mostly_read_once(self) -> Self {
        Self { ahead: self.limit / 2, ..self }
    }

    /// This cache, with what is missing read from another source.
    pub fn over(&self, source: Arc<dyn SegmentSource>) -> Self {
        Self { source, ..self.clone() }
    }

    /// The size of a page in bytes; the last one of a segment is shorter.
    pub fn page_bytes(&self) -> u64 {
        self.page
    }

    /// Bytes held and being fetched; never above the limit.
    pub fn bytes(&self) -> u64 {
        self.shared.with(|state| state.lru.total())
    }

    /// Bytes `range` of a segment, without copying. All pages that are missing are fetched at once.
    pub async fn read(&self, segment: SegmentPlace, range: Range<u64>) -> Result<Rope, ReadError> {
        self.begin(segment, range).done().await
    }

    /// Starts to read, so that several reads are under way at once; [`Reading::done`] gives the bytes. What is begun and dropped is not
    /// fetched, if that has not started.
    pub fn begin(&self, segment: SegmentPlace, range: Range<u64>) -> Reading {
        let good = range.start <= range.end && range.end <= segment.length;
        let pages = match range.end.checked_sub(1) {
            Some(last) if good && !range.is_empty() => range.start / self.page..last / self.page + 1,
            _ => 0..0,
        };
        let waits = pages.map(|page| (page * self.page, self.obtain(segment, page))).collect();
        Reading { segment, range, good, page: self.page, waits }
    }

    /// Whether all pages of a range are here or on their way.
    pub fn holds(&self, segment: SegmentId, range: Range<u64>) -> bool {
        let mut pages = range.start / self.page..range.end.div_ceil(self.page);
        self.shared.with(|state| {
            pages.all(|page| {
                let key = Key { segment, part: Part::Page(page) };
                state.lru.contains(&key) || state.is_coming(&key)
            })
        })
    }

    fn obtain(&self, segment: SegmentPlace, page: u64) -> Wait {
        let range = self.range(segment.length, page);
        let bytes = range.end - range.start;
        let charge =
            if self.source.asks(segment, &range) { Charge::Ask(bytes) } else { Charge::Fetch(bytes) };
        let key = Key { segment: segment.id, part: Part::Page(page) };
        self.shared.obtain(key, charge, || self.clone().fetch_page(key, segment, range))
    }

    async fn fetch_page(self, key: Key, segment: SegmentPlace, range: Range<u64>) -> Outcome {
        let page = self.source.page(segment, range.clone()).await?;
        if page.lent {
            self.shared.with(|state| state.lend(&key));
        }
        exact(page.bytes, segment, range)
    }

    /// What of a segment lies in a page.
    fn range(&self, segment_len: u64, page: u64) -> Range<u64> {
        let start = page.saturating_mul(self.page).min(segment_len);
        start..start.saturating_add(self.page).min(segment_len)
    }

    /// Puts a segment that was just uploaded into the cache, as pages made of its chunks, without copying. The chunks should own their
    /// memory: a slice of something larger keeps all of that in memory, and only the slice is counted.
    pub fn insert_written(&self, segment: SegmentId, chunks: &[Bytes]) {
        let mut pages: Vec<Rope> = Vec::new();
        for chunk in chunks {
            let mut rest = chunk.clone();
            while !rest.is_empty() {
                let room = match pages.last() {
                    Some(last) if last.len() < self.page => self.page - last.len(),
                    _ => {
                        pages.push(Rope::new());
                        self.page
                    }
                };
                let piece = rest.split_to(rest.len().min(usize::try_from(room).unwrap_or(usize::MAX)));
                pages.last_mut().into_iter().for_each(|page| page.push(piece.clone()));
            }
        }
        self.shared.with(|state| {
            for (page, rope) in (0u64..).zip(pages) {
                state.lru.insert(Key { segment, part: Part::Page(page) }, rope.into_pieces().into(), false);
            }
        });
    }

    /// Starts to read the pages of a range that will be wanted soon, and does not wait. Stops at the first page for which there is no
    /// room: no more than a third of the cache (or half) is for pages that nobody has read yet. Whether there was room for all.
    pub fn prefetch(&self, segment: SegmentPlace, range: Range<u64>) -> bool {
        let end = range.end.min(segment.length).div_ceil(self.page);
        for page in range.start / self.page..end {
            let key = Key { segment: segment.id, part: Part::Page(page) };
            let range = self.range(segment.length, page);
            let bytes = range.end - range.start;
            let asks = self.source.asks(segment, &range);
            let charge = if asks { Charge::AheadAsk(bytes) } else { Charge::Ahead(bytes) };
            if !self.ahead_as(key, charge, bytes, || self.clone().fetch_page(key, segment, range)) {
                return false;
            }
        }
        true
    }

    /// A decompressed block, made once by `make` however many want it, and kept in the same budget as pages.
    /// `make` runs in a task of its own and may read from this cache.
    pub async fn decoded<F>(
        &self,
        segment: SegmentId,
        block_offset: u64,
        make: impl FnOnce() -> F,
    ) -> Result<Bytes, ReadError>
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        self.begin_decoded(segment, block_offset, make).done().await
    }

    /// As [`decoded`](PageCache::decoded), in two steps.
    pub fn begin_decoded<F>(
        &self,
        segment: SegmentId,
        block_offset: u64,
        make: impl FnOnce() -> F,
    ) -> Decoding
    where
        F: Future<Output = Result<Bytes, ReadError>> + Send + 'static,
    {
        let key = Key { segment, part: Part::Block(block_offset) };
        let wait = self.shared.obtain(key, Charge::Reader, || {
            let (cache, made) = (self.clone(), make());
            async move {
                let made = made.await;
                if matches!(made, Err(ReadError::Corrupt { .. })) {
                    // Or the pages that it was made of would be there until nobody asks any more.
                    cache.invalidate(segment);
                }
                Ok(vec![made?].into())
            }
        });
        Decoding { segment, wait }
    }

    /// Starts read-ahead, if there is room for it and the entry is not there. Whether there was room.
    fn ahead<F>(&self, key: Key, bytes: u64, work: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        self.ahead_as(key, Charge::Ahead(bytes), bytes, work)
    }

    fn ahead_as<F>(&self, key: Key, charge: Charge, bytes: u64, work: impl FnOnce() -> F) -> bool
    where
        F: Future<Output = Outcome> + Send + 'static,
    {
        let started = self.shared.with(|state| {
            if state.lru.contains(&key) || state.is_coming(&key) {
                return None;
            }
            if state.lru.unread() + state.ahead.1 + bytes > self.ahead {
                return Some(false);
            }
            self.shared.launch(state, key, charge, work());
            Some(true)
        });
        match started {
            Some(true) => telemetry::cache_prefetch("started"),
            Some(false) => telemetry::cache_prefetch("dropped"),
            None => {}
        }
        started != Some(false)
    }

    /// What came of a segment is damaged: drops what is held of it, keeps nothing of what is being fetched, and tells the source.
    pub fn invalidate(&self, segment: SegmentId) {
        self.shared.with(|state| {
            state.lru.remove_segment(segment);
            state.forget_flights(segment);
        });
        self.source.damaged(segment);
    }
}

/// A read under way.
pub struct Reading {
    segment: SegmentPlace,
    range: Range<u64>,
    good: bool,
    page: u64,
    waits: Vec<(u64, Wait)>,
}

impl Reading {
    /// The bytes, once all of them are there.
    pub async fn done(self) -> Result<Rope, ReadError> {
        let Reading { segment, range, good, page, waits } = self;
        if !good {
            let reason = format!("bytes {range:?} were asked for, but it has {}", segment.length);
            return Err(ReadError::Corrupt { name: segment.id.to_string(), reason });
        }
        let mut rope = Rope::new();
        for (start, wait) in waits {
            let pieces = wait.done(|| segment.id.to_string()).await?;
            rope.push_range(&pieces, range.start.saturating_sub(start)..(range.end - start).min(page));
        }
        Ok(rope)
    }
}

/// A block that is being decompressed.
pub struct Decoding {
    segment: SegmentId,
    wait: Wait,
}

impl Decoding {
    /// The block, once it is there.
    pub async fn done(self) -> Result<Bytes, ReadError> {
        let pieces = self.wait.done(|| self.segment.to_string()).await?;
        Ok(pieces.first().cloned().unwrap_or_default())
    }
}

async fn fetch(source: Arc<dyn SegmentSource>, segment: SegmentPlace, range: Range<u64>) -> Outcome {
    exact(source.fetch(segment, range.clone()).await?, segment, range)
}

fn exact(bytes: Bytes, segment: SegmentPlace, range: Range<u64>) -> Outcome {
    let want = range.end - range.start;
    if bytes.len() as u64 != want {
        let reason = format!("bytes {range:?} were asked for, and {} came", bytes.len());
        return Err(ReadError::Corrupt { name: segment.id.to_string(), reason });
    }
    Ok(vec![bytes].into())
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
