//! Finding one's way in an extent's bytes: from batch to batch, setting offsets. Pure.

use bytes::{Bytes, BytesMut};
use siltstone_log::{Extent, ExtentPlace, SegmentPlace};
use siltstone_objects::cache::Rope;
use siltstone_records::{Batch, HEADER_LEN, Header, MAGIC, patched_prefix};

/// Batches below this are copied together: a piece costs more than the copy.
const COPY_BELOW: usize = 1024;
/// Bytes at the head of a batch that are set at fetch.
const PATCHED: usize = 16;
/// Where the bytes that a batch's CRC covers begin.
const CRC_FROM: usize = 21;
/// The leader epoch is 0, everywhere and always (design, section 6).
const LEADER_EPOCH: i32 = 0;

/// What a reader gets: whole batches.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) pieces: Vec<Bytes>,
    pub(super) bytes: usize,
    /// The first offset behind what was taken.
    pub(super) end: Option<i64>,
    copied: BytesMut,
}

impl Pieces {
    fn piece(&mut self, piece: Bytes) {
        self.flush();
        self.bytes += piece.len();
        self.pieces.push(piece);
    }

    fn copy(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        self.copied.extend_from_slice(bytes);
    }

    /// Ends a run of copied bytes.
    pub(super) fn flush(&mut self) {
        if !self.copied.is_empty() {
            self.pieces.push(self.copied.split().freeze());
        }
    }
}

/// A place in a rope's pieces. Moving on costs what is moved over, not what lies before.
#[derive(Debug, Clone, Copy, Default)]
struct Cursor {
    piece: usize,
    at: usize,
}

impl Cursor {
    /// Calls `f` with the next `length` bytes, piece by piece, and moves behind them.
    fn advance(
        &mut self,
        pieces: &[Bytes],
        mut length: usize,
        mut f: impl FnMut(&Bytes, std::ops::Range<usize>),
    ) {
        while length > 0
            && let Some(piece) = pieces.get(self.piece)
        {
            let end = piece.len().min(self.at + length);
            f(piece, self.at..end);
            length -= end - self.at;
            self.at = end;
            if end == piece.len() {
                *self = Cursor { piece: self.piece + 1, at: 0 };
            }
        }
    }

    fn skip(mut self, pieces: &[Bytes], length: usize) -> Self {
        self.advance(pieces, length, |_, _| {});
        self
    }
}

/// A batch in an extent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Found {
    pub(super) header: [u8; HEADER_LEN],
    /// Offset of its first record.
    pub(super) base: i64,
    /// Bytes.
    pub(super) length: usize,
    start: Cursor,
}

impl Found {
    /// The first offset behind it.
    pub(super) fn end(&self) -> i64 {
        self.base + i64::from(Header::parse(&self.header).last_offset_delta) + 1
    }
}

/// What operators know a segment by.
pub(super) fn name(segment: SegmentPlace) -> String {
    let SegmentPlace { id, inline, .. } = segment;
    if inline { format!("inline segment {id}") } else { format!("object {} {id}", id.object_name()) }
}

/// Walks the batches of an extent.
pub(super) struct Walk<'a> {
    extent: &'a Extent,
    rope: &'a Rope,
    cursor: Cursor,
    at: usize,
    base: i64,
}

impl<'a> Walk<'a> {
    /// `rope` holds exactly the extent's bytes.
    pub(super) fn new(extent: &'a Extent, rope: &'a Rope) -> Self {
        Walk { extent, rope, cursor: Cursor::default(), at: 0, base: extent.base }
    }

    /// The next batch; `None` at the end.
    ///
    /// # Errors
    /// What is wrong with the bytes, and where.
    pub(super) fn next(&mut self) -> Result<Option<Found>, String> {
        let left = self.rope.len() as usize - self.at;
        let merged = self.extent.level() > 0;
        if left == 0 {
            // Compaction may have taken the last ones.
            return if merged || self.base == self.extent.end() {
                Ok(None)
            } else {
                Err(self.damage("records are missing"))
            };
        }
        if left < HEADER_LEN {
            return Err(self.damage("a batch's header is cut off"));
        }
        let mut header = [0; HEADER_LEN];
        let mut filled = 0;
        self.cursor.clone().advance(self.rope.pieces(), HEADER_LEN, |piece, range| {
            header[filled..filled + range.len()].copy_from_slice(&piece[range.clone()]);
            filled += range.len();
        });
        let parsed = Header::parse(&header);
        let length = parsed.total_len().unwrap_or(usize::MAX);
        // Magic is behind the length and before what the CRC covers.
        if length > left || parsed.last_offset_delta < 0 || parsed.magic != MAGIC {
            return Err(self.damage("a batch's header is not one"));
        }
        let base = if merged { parsed.base_offset } else { self.base };
        if base < self.base {
            return Err(self.damage("a batch's offset is not behind those before it"));
        }
        let found = Found { header, base, length, start: self.cursor };
        self.cursor = self.cursor.skip(self.rope.pieces(), length);
        self.at += length;
        self.base = found.end();
        if self.base > self.extent.end() {
            return Err(self.damage("there are more records than there should be"));
        }
        Ok(Some(found))
    }

    /// Checks the CRC of a batch.
    pub(super) fn check(&self, found: &Found) -> Result<(), String> {
        let mut crc = 0;
        let mut cursor = found.start.skip(self.rope.pieces(), CRC_FROM);
        cursor.advance(self.rope.pieces(), found.length - CRC_FROM, |piece, range| {
            crc = crc32c::crc32c_append(crc, &piece[range]);
        });
        if crc == Header::parse(&found.header).crc {
            Ok(())
        } else {
            Err(self.damage("a batch's CRC does not match"))
        }
    }

    /// Adds a batch to `pieces` with its offsets set.
    pub(super) fn take(&self, found: &Found, pieces: &mut Pieces) {
        pieces.copy(&patched_prefix(&found.header, found.base, LEADER_EPOCH));
        pieces.end = Some(found.end());
        let small = found.length < COPY_BELOW;
        let mut cursor = found.start.skip(self.rope.pieces(), PATCHED);
        cursor.advance(self.rope.pieces(), found.length - PATCHED, |piece, range| {
            if small { pieces.copy(&piece[range]) } else { pieces.piece(piece.slice(range)) }
        });
    }

    /// Adds another batch in the place of one.
    pub(super) fn take_instead(&self, found: &Found, batch: &Batch, pieces: &mut Pieces) {
        pieces.copy(&patched_prefix(&batch.header_bytes(), found.base, LEADER_EPOCH));
        pieces.end = Some(found.end());
        let rest = batch.bytes().slice(PATCHED..);
        if rest.len() < COPY_BELOW { pieces.copy(&rest) } else { pieces.piece(rest) }
    }

    /// The bytes of a batch in one piece.
    pub(super) fn bytes(&self, found: &Found) -> Bytes {
        let mut whole = BytesMut::with_capacity(found.length);
        found.start.clone().advance(self.rope.pieces(), found.length, |piece, range| {
            whole.extend_from_slice(&piece[range]);
        });
        whole.freeze()
    }

    fn damage(&self, what: &str) -> String {
        let offset = self.base;
        let ExtentPlace::Stored { segment, block, start, .. } = self.extent.place else {
            return format!("a control batch is damaged: {what} (offset {offset})");
        };
        let (from, at) = (block.start, start as usize + self.at);
        format!(
            "{} is damaged: {what} (block at byte {from}, batch at byte {at} of it, offset {offset})",
            name(segment)
        )
    }
}

#[cfg(test)]
#[path = "walk_tests.rs"]
mod tests;
