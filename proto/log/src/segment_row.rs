//! What the metadata know of a segment as a whole (design, section 7): whoever reclaims it goes by this.
//!
//! ```text
//! segment row 1 := version u8 (1) | inline u8 | length u64 | shards to the end
//! segment row 2 := version u8 (2) | flags u8 (1 inline, 2 being published, 4 by the compactor) | length u64 | stamp 10 | bytes of shards varint | shards
//! shards        := a bit per shard of the cluster that may refer to it, the lowest first, in whole bytes
//! ```
//!
//! The stamp is that of the commit that published the segment, filled in by the store.

use crate::ShardId;
use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 2;
const WITHOUT_STAMP: u8 = 1;
const INLINE: u8 = 1;
const WRITING: u8 = 2;
const MERGED: u8 = 4;

/// A set of shards.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardSet(Vec<u8>);

impl ShardSet {
    /// These, of the cluster's `shards`. Others are left out.
    pub fn of(some: impl IntoIterator<Item = ShardId>, shards: u16) -> Self {
        let mut bits = vec![0; usize::from(shards).div_ceil(8)];
        for shard in some {
            if let Some(byte) = bits.get_mut(usize::from(shard.0 / 8)) {
                *byte |= 1 << (shard.0 % 8);
            }
        }
        ShardSet(bits)
    }

    /// A bit for each shard, the lowest first, in whole bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// What [`ShardSet::bytes`] gave.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        ShardSet(bytes.to_vec())
    }

    /// Whether a shard is among them.
    pub fn contains(&self, shard: ShardId) -> bool {
        self.0.get(usize::from(shard.0 / 8)).is_some_and(|byte| byte & (1 << (shard.0 % 8)) != 0)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = ShardId> + '_ {
        let shards = (self.0.len() * 8).min(usize::from(u16::MAX)) as u16;
        (0..shards).map(ShardId).filter(|shard| self.contains(*shard))
    }
}

/// A segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SegmentRow {
    /// In the metadata store, not in object storage.
    pub inline: bool,
    /// Its writer has yet to publish extents in it: it can't be left over as long as the writer's registration lives.
    pub writing: bool,
    /// Written by the compactor: its extents are published in transactions that read this row, and no entry of a shard's log names it.
    pub merged: bool,
    /// Bytes of the whole.
    pub length: u64,
    /// Where it was committed. `None`: written by a program that did not note it.
    pub stamp: Option<[u8; 10]>,
    /// Shards that may refer to it.
    pub shards: ShardSet,
}

impl SegmentRow {
    /// What stands before the stamp, and what behind it.
    pub fn around_stamp(&self) -> (Vec<u8>, Vec<u8>) {
        let flag = |on: bool, flag: u8| if on { flag } else { 0 };
        let flags = flag(self.inline, INLINE) | flag(self.writing, WRITING) | flag(self.merged, MERGED);
        let mut before = vec![VERSION, flags];
        before.bytes(&self.length.to_be_bytes());
        let mut behind = Vec::with_capacity(self.shards.0.len() + 2);
        behind.varint(self.shards.0.len() as u64);
        behind.bytes(&self.shards.0);
        (before, behind)
    }

    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        match self.stamp {
            Some(stamp) => {
                let (mut out, behind) = self.around_stamp();
                out.bytes(&stamp);
                out.bytes(&behind);
                out
            }
            None => {
                let mut out = vec![WITHOUT_STAMP, u8::from(self.inline)];
                out.bytes(&self.length.to_be_bytes());
                out.bytes(&self.shards.0);
                out
            }
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a row of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<SegmentRow, FormatError> {
        let mut reader = Reader::new(bytes);
        let version = reader.version("segment row", WITHOUT_STAMP..=VERSION)?;
        let flags = reader.u8("segment flags")?;
        let known = if version == WITHOUT_STAMP { INLINE } else { INLINE | WRITING | MERGED };
        if flags & !known != 0 {
            return Err(reader.invalid("segment flags"));
        }
        let length = reader.u64("segment length")?;
        let stamp = match version {
            WITHOUT_STAMP => None,
            _ => {
                let mut stamp = [0; 10];
                stamp.copy_from_slice(reader.take(10, "stamp")?);
                Some(stamp)
            }
        };
        let bytes = match version {
            WITHOUT_STAMP => reader.remaining(),
            _ => reader.count(1, "shards")?,
        };
        let shards = ShardSet(reader.take(bytes, "shards")?.to_vec());
        reader.end("segment row")?;
        let on = |flag: u8| flags & flag != 0;
        Ok(SegmentRow { inline: on(INLINE), writing: on(WRITING), merged: on(MERGED), length, stamp, shards })
    }
}
