//! Extents, in the chunks that belong to a partition's row (design, sections 2 and 3).
//!
//! ```text
//! extent chunk  := version u8 (1, 2 or 3) | extents: count varint, extent…
//! extent 1      := base varint | records varint | bytes before varint | stored | length varint | max timestamp zigzag
//! extent 2      := base varint | records varint | bytes before varint | kind u8 (0 stored, 1 marker) | stored or marker
//!                  | length varint | max timestamp zigzag
//! extent 3      := as 2, with a further kind: 2 (merged: level u8, from 1 on | stored)
//! stored        := segment registration 16 | number varint | inline u8 | segment length varint | place (as in an entry) | start varint
//! marker        := producer id varint | epoch varint | result u8 (0 abort, 1 commit)
//! ```
//!
//! Version 1 is written as long as there is no marker, version 2 as long as there is nothing merged, so that programs of lower feature
//! levels read on.

use crate::codec::{FormatError, Reader, Write};
use crate::entry::{BlockPlace, SegmentPlace, read_i64};
use crate::marker::EndMarker;

const VERSION: u8 = 3;
const BEFORE_MERGES: u8 = 2;
const BEFORE_MARKERS: u8 = 1;
/// Fewest bytes of an extent, for bounding counts: that of a marker.
const LEAST_EXTENT: usize = 9;
const STORED: u8 = 0;
const MARKER: u8 = 1;
const MERGED: u8 = 2;

/// A run of offsets of one partition, and where its bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first offset.
    pub base: i64,
    /// How many offsets.
    pub records: u64,
    /// Bytes of batches that the partition got before this extent, ever; the difference of two extents' values is a size.
    pub bytes_before: u64,
    /// Where its batches are.
    pub place: ExtentPlace,
    /// Bytes of its batches.
    pub length: u32,
    /// The largest record timestamp, milliseconds since the Unix epoch.
    pub max_timestamp: i64,
}

/// Where an extent's batches are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExtentPlace {
    /// In a segment.
    Stored {
        /// The segment.
        segment: SegmentPlace,
        /// The block in the segment.
        block: BlockPlace,
        /// First byte of the extent's batches in the (decompressed) block.
        start: u32,
        /// 0 as flushed: the batches follow one another without gaps, and their base offsets are those that the fold gave out. From 1 on: written
        /// by the compactor, so many merges deep; each batch's header holds its base offset, and there may be gaps.
        level: u8,
    },
    /// Nowhere: it is one control batch, made when it is read.
    Marker(EndMarker),
}

impl Extent {
    /// The first offset after the extent.
    pub fn end(&self) -> i64 {
        self.base + self.records as i64
    }

    /// The segment that holds it, if one does.
    pub fn segment(&self) -> Option<SegmentPlace> {
        match self.place {
            ExtentPlace::Stored { segment, .. } => Some(segment),
            ExtentPlace::Marker(_) => None,
        }
    }

    /// How many merges it went through: 0 as flushed.
    pub fn level(&self) -> u8 {
        match self.place {
            ExtentPlace::Stored { level, .. } => level,
            ExtentPlace::Marker(_) => 0,
        }
    }

    /// Its share of its segment's stored bytes: what deleting it gives back. Depends on nothing else, so that sums of it can be taken back.
    pub fn stored_bytes(&self) -> u64 {
        match self.place {
            ExtentPlace::Stored { block, .. } => {
                let raw = u64::from(block.raw_length().max(1));
                u64::from(self.length) * u64::from(block.length) / raw
            }
            ExtentPlace::Marker(_) => 0,
        }
    }
}

/// The lowest version that can say all of this.
fn version_of(extents: &[Extent]) -> u8 {
    if extents.iter().any(|extent| extent.level() > 0) {
        VERSION
    } else if extents.iter().any(|extent| extent.segment().is_none()) {
        BEFORE_MERGES
    } else {
        BEFORE_MARKERS
    }
}

/// The bytes of a chunk of extents.
pub fn encode_extents(extents: &[Extent]) -> Vec<u8> {
    let version = version_of(extents);
    let mut out = vec![version];
    out.varint(extents.len() as u64);
    for extent in extents {
        out.varint(extent.base as u64);
        out.varint(extent.records);
        out.varint(extent.bytes_before);
        match &extent.place {
            ExtentPlace::Stored { segment, block, start, level } => {
                match (version, *level) {
                    (BEFORE_MARKERS, _) => {}
                    (_, 0) => out.u8(STORED),
                    (_, level) => {
                        out.u8(MERGED);
                        out.u8(level);
                    }
                }
                out.segment(segment.id);
                out.u8(u8::from(segment.inline));
                out.varint(segment.length);
                block.write(&mut out);
                out.varint(u64::from(*start));
            }
            ExtentPlace::Marker(marker) => {
                out.u8(MARKER);
                marker.write(&mut out);
            }
        }
        out.varint(u64::from(extent.length));
        out.zigzag(extent.max_timestamp);
    }
    out
}

/// Reads a chunk of extents.
///
/// # Errors
/// If the bytes are not a chunk of a version that this program knows.
pub fn decode_extents(bytes: &[u8]) -> Result<Vec<Extent>, FormatError> {
    let mut reader = Reader::new(bytes);
    let version = reader.version("extent chunk", BEFORE_MARKERS..=VERSION)?;
    let count = reader.count(LEAST_EXTENT, "extents")?;
    let extents = (0..count).map(|_| read_extent(&mut reader, version)).collect::<Result<_, _>>()?;
    reader.end("extent chunk")?;
    Ok(extents)
}

fn read_extent(reader: &mut Reader<'_>, version: u8) -> Result<Extent, FormatError> {
    let base = read_i64(reader, "extent base")?;
    let records = reader.varint("extent records")?;
    if i64::try_from(records).ok().and_then(|records| base.checked_add(records)).is_none() {
        return Err(reader.invalid("extent records"));
    }
    let bytes_before = reader.varint("bytes before")?;
    let kind = if version == BEFORE_MARKERS { STORED } else { reader.u8("extent kind")? };
    let place = match kind {
        STORED => read_stored(reader, 0)?,
        MERGED if version > BEFORE_MERGES => {
            let level = reader.u8("extent level")?;
            if level == 0 {
                return Err(reader.invalid("extent level"));
            }
            read_stored(reader, level)?
        }
        MARKER => ExtentPlace::Marker(EndMarker::read(reader)?),
        _ => return Err(reader.invalid("extent kind")),
    };
    let length = reader.varint_u32("extent length")?;
    if let ExtentPlace::Stored { block, start, .. } = &place
        && start.checked_add(length).is_none_or(|end| end > block.raw_length())
    {
        return Err(reader.invalid("extent beyond its block"));
    }
    Ok(Extent { base, records, bytes_before, place, length, max_timestamp: reader.zigzag("timestamp")? })
}

fn read_stored(reader: &mut Reader<'_>, level: u8) -> Result<ExtentPlace, FormatError> {
    let id = reader.segment()?;
    let inline = match reader.u8("placement")? {
        0 => false,
        1 => true,
        _ => return Err(reader.invalid("placement")),
    };
    let segment = SegmentPlace { id, inline, length: reader.varint("segment length")? };
    let block = BlockPlace::read(reader)?;
    Ok(ExtentPlace::Stored { segment, block, start: reader.varint_u32("extent start")?, level })
}
