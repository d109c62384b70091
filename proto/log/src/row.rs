//! Rows: the folded state of one partition, and the extents that belong to it (design, sections 2 and 3).
//!
//! ```text
//! partition row := version u8 (1) | horizon 12 | log start varint | next varint | bytes varint | digest u64 | forgotten below varint
//!                  | last chunk u8 (0 none, 1: base varint, extents varint)
//!                  | producers: count varint, producer…
//! producer      := id varint | epoch varint | last use zigzag | batches: count u8 (at most 5), sequence…
//! sequence      := first varint | records varint | base offset varint
//! extent chunk  := version u8 (1) | extents: count varint, extent…
//! extent        := base varint | records varint | bytes before varint | segment registration 16 | number varint | inline u8
//!                  | segment length varint | place (as in an entry) | start varint | length varint | max timestamp zigzag
//! ```

use std::collections::BTreeMap;

use crate::Position;
use crate::codec::{FormatError, Reader, Write};
use crate::entry::{BlockPlace, SegmentPlace, read_i64};

const VERSION: u8 = 1;
/// Batches of a producer that are remembered, as Kafka does: a client has at most so many requests in flight.
pub const SEQUENCE_WINDOW: usize = 5;
const LEAST_PRODUCER: usize = 4;
const LEAST_EXTENT: usize = 16 + 12;

/// A run of offsets of one partition, and the bytes that hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// Its first offset.
    pub base: i64,
    /// How many offsets.
    pub records: u64,
    /// Bytes of batches that the partition got before this extent, ever; the difference of two extents' values is a size.
    pub bytes_before: u64,
    /// The segment.
    pub segment: SegmentPlace,
    /// The block in the segment.
    pub block: BlockPlace,
    /// First byte of the extent's batches in the (decompressed) block.
    pub start: u32,
    /// How many bytes from there.
    pub length: u32,
    /// The largest record timestamp, milliseconds since the Unix epoch.
    pub max_timestamp: i64,
}

impl Extent {
    /// The first offset after the extent.
    pub fn end(&self) -> i64 {
        self.base + self.records as i64
    }
}

/// One of a producer's last batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SequenceRow {
    /// The first record's sequence number.
    pub first: i32,
    /// How many records.
    pub records: u32,
    /// The offset that the first record got.
    pub base_offset: i64,
}

/// What is known of an idempotent producer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerRow {
    /// Its epoch.
    pub epoch: i16,
    /// Agent's clock at its last batch, milliseconds since the Unix epoch.
    pub last_used: i64,
    /// Its last batches in this epoch, oldest first, at most [`SEQUENCE_WINDOW`].
    pub batches: Vec<SequenceRow>,
}

/// The last chunk of a partition's extent rows: the next checkpoint adds to it while it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// The first offset of its first extent, which is in its key.
    pub base: i64,
    /// How many extents it holds.
    pub extents: u32,
}

/// The state of a partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionRow {
    /// Entries up to here are folded in.
    pub horizon: Position,
    /// The first offset that may be read.
    pub log_start: i64,
    /// The offset of the next record.
    pub next: i64,
    /// Bytes of batches appended, ever.
    pub bytes: u64,
    /// A running digest over all that was appended, to compare two agents' folds.
    pub digest: u64,
    /// Producer ids below may have been forgotten: an unknown one needn't start at sequence 0.
    pub forgotten_below: i64,
    /// The last chunk of extents, if any is written.
    pub last_chunk: Option<ChunkRow>,
    /// By producer id.
    pub producers: BTreeMap<i64, ProducerRow>,
}

impl Default for PartitionRow {
    fn default() -> Self {
        PartitionRow {
            horizon: Position::ZERO,
            log_start: 0,
            next: 0,
            bytes: 0,
            digest: 0,
            forgotten_below: 0,
            last_chunk: None,
            producers: BTreeMap::new(),
        }
    }
}

impl PartitionRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.bytes(&self.horizon.0);
        out.varint(self.log_start as u64);
        out.varint(self.next as u64);
        out.varint(self.bytes);
        out.bytes(&self.digest.to_be_bytes());
        out.varint(self.forgotten_below as u64);
        match &self.last_chunk {
            None => out.u8(0),
            Some(chunk) => {
                out.u8(1);
                out.varint(chunk.base as u64);
                out.varint(u64::from(chunk.extents));
            }
        }
        out.varint(self.producers.len() as u64);
        for (id, producer) in &self.producers {
            out.varint(*id as u64);
            producer.write(&mut out);
        }
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a row of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<PartitionRow, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("partition row", 1..=VERSION)?;
        let mut horizon = [0; 12];
        horizon.copy_from_slice(reader.take(12, "horizon")?);
        let log_start = read_i64(&mut reader, "log start")?;
        let next = read_i64(&mut reader, "next offset")?;
        if log_start > next {
            return Err(reader.invalid("log start beyond the end"));
        }
        let bytes = reader.varint("bytes")?;
        let digest = reader.u64("digest")?;
        let forgotten_below = read_i64(&mut reader, "forgotten below")?;
        let last_chunk = match reader.u8("last chunk")? {
            0 => None,
            1 => Some(ChunkRow {
                base: read_i64(&mut reader, "chunk base")?,
                extents: reader.varint_u32("chunk extents")?,
            }),
            _ => return Err(reader.invalid("last chunk")),
        };
        let mut producers = BTreeMap::new();
        for _ in 0..reader.count(LEAST_PRODUCER, "producers")? {
            producers.insert(read_i64(&mut reader, "producer id")?, ProducerRow::read(&mut reader)?);
        }
        reader.end("partition row")?;
        Ok(PartitionRow {
            horizon: Position(horizon),
            log_start,
            next,
            bytes,
            digest,
            forgotten_below,
            last_chunk,
            producers,
        })
    }
}

impl ProducerRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.varint(self.epoch as u64);
        out.zigzag(self.last_used);
        out.u8(self.batches.len() as u8);
        for batch in &self.batches {
            out.varint(batch.first as u64);
            out.varint(u64::from(batch.records));
            out.varint(batch.base_offset as u64);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<ProducerRow, FormatError> {
        let epoch = reader.varint("producer epoch")?;
        let epoch = i16::try_from(epoch).map_err(|_| reader.invalid("producer epoch"))?;
        let last_used = reader.zigzag("last use")?;
        let count = usize::from(reader.u8("producer batches")?);
        if count > SEQUENCE_WINDOW {
            return Err(reader.invalid("producer batches"));
        }
        let mut batches = Vec::with_capacity(count);
        for _ in 0..count {
            let first = reader.varint("sequence")?;
            batches.push(SequenceRow {
                first: i32::try_from(first).map_err(|_| reader.invalid("sequence"))?,
                records: reader.varint_u32("sequence records")?,
                base_offset: read_i64(reader, "base offset")?,
            });
        }
        Ok(ProducerRow { epoch, last_used, batches })
    }
}

/// The bytes of a chunk of extents.
pub fn encode_extents(extents: &[Extent]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.varint(extents.len() as u64);
    for extent in extents {
        out.varint(extent.base as u64);
        out.varint(extent.records);
        out.varint(extent.bytes_before);
        out.segment(extent.segment.id);
        out.u8(u8::from(extent.segment.inline));
        out.varint(extent.segment.length);
        extent.block.write(&mut out);
        out.varint(u64::from(extent.start));
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
    reader.version("extent chunk", 1..=VERSION)?;
    let count = reader.count(LEAST_EXTENT, "extents")?;
    let extents = (0..count).map(|_| read_extent(&mut reader)).collect::<Result<_, _>>()?;
    reader.end("extent chunk")?;
    Ok(extents)
}

fn read_extent(reader: &mut Reader<'_>) -> Result<Extent, FormatError> {
    let base = read_i64(reader, "extent base")?;
    let records = reader.varint("extent records")?;
    if i64::try_from(records).ok().and_then(|records| base.checked_add(records)).is_none() {
        return Err(reader.invalid("extent records"));
    }
    let bytes_before = reader.varint("bytes before")?;
    let id = reader.segment()?;
    let inline = match reader.u8("placement")? {
        0 => false,
        1 => true,
        _ => return Err(reader.invalid("placement")),
    };
    let segment = SegmentPlace { id, inline, length: reader.varint("segment length")? };
    let block = BlockPlace::read(reader)?;
    let start = reader.varint_u32("extent start")?;
    let length = reader.varint_u32("extent length")?;
    if start.checked_add(length).is_none_or(|end| end > block.raw_length()) {
        return Err(reader.invalid("extent beyond its block"));
    }
    Ok(Extent {
        base,
        records,
        bytes_before,
        segment,
        block,
        start,
        length,
        max_timestamp: reader.zigzag("timestamp")?,
    })
}
