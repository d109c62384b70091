//! Rows: the folded state of one partition (design, sections 2 and 3).
//!
//! ```text
//! partition row := version u8 (1, 2 or 3) | horizon 12 | log start varint | next varint | bytes varint | digest u64 | forgotten below varint
//!                  | last chunk u8 (0 none, 1: base varint, extents varint)
//!                  | producers: count varint, producer…
//! producer      := id varint | epoch varint | last use zigzag | batches: count u8 (at most 5), sequence…
//! sequence      := first varint | records varint | base offset varint
//!                  | from version 2 on: open: count varint, (producer id varint, first offset varint)…
//!                    | aborted u8 (0 none, 1: chunk base varint, entries varint, last offset varint)
//!                  | from version 3 on: erasures: count varint, (erasure 16, upto varint, keys: count varint, digest 16…)…
//! ```
//!
//! The lowest version is written that holds all that there is, so that programs of lower feature levels read on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::{FormatError, Reader, Write};
use crate::entry::read_i64;
use crate::erasure::{read_digests, read_erasure, write_digests};
use crate::{ErasureId, KeyDigest, Position};

const VERSION: u8 = 3;
const BEFORE_ERASURES: u8 = 2;
const BEFORE_TRANSACTIONS: u8 = 1;
/// Batches of a producer that are remembered, as Kafka does: a client has at most so many requests in flight.
pub const SEQUENCE_WINDOW: usize = 5;
const LEAST_PRODUCER: usize = 4;
const LEAST_ERASURE: usize = 18;

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

/// The last chunk of a partition's extents (or aborted transactions): the next checkpoint adds to it while it is small.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkRow {
    /// The first offset of its first extent, which is in its key.
    pub base: i64,
    /// How many of them it holds.
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
    /// Open transactions: by producer id, the offset of the first record.
    pub open: BTreeMap<i64, i64>,
    /// Aborted transactions that are in chunks, if any are.
    pub aborted: Option<AbortedRow>,
    /// Erasures in force: what they are about is hidden from readers, and left out wherever data are rewritten.
    pub erasures: BTreeMap<ErasureId, ErasedRow>,
}

/// An erasure's part in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedRow {
    /// Records before this offset are meant.
    pub upto: i64,
    /// Those of these keys.
    pub keys: Arc<BTreeSet<KeyDigest>>,
}

/// The chunks of a partition's aborted transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AbortedRow {
    /// The last chunk: the control record's offset of its first entry, which is in its key, and how many entries it holds.
    pub chunk: ChunkRow,
    /// The control record's offset of the last entry of all.
    pub last: i64,
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
            open: BTreeMap::new(),
            aborted: None,
            erasures: BTreeMap::new(),
        }
    }
}

impl PartitionRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let plain = self.open.is_empty() && self.aborted.is_none();
        let version = match (plain, self.erasures.is_empty()) {
            (true, true) => BEFORE_TRANSACTIONS,
            (false, true) => BEFORE_ERASURES,
            (_, false) => VERSION,
        };
        let mut out = vec![version];
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
        if version > BEFORE_TRANSACTIONS {
            self.write_transactions(&mut out);
        }
        if version > BEFORE_ERASURES {
            self.write_erasures(&mut out);
        }
        out
    }

    fn write_erasures(&self, out: &mut Vec<u8>) {
        out.varint(self.erasures.len() as u64);
        for (id, erased) in &self.erasures {
            out.bytes(&id.0.to_be_bytes());
            out.varint(erased.upto as u64);
            write_digests(out, &erased.keys);
        }
    }

    fn write_transactions(&self, out: &mut Vec<u8>) {
        out.varint(self.open.len() as u64);
        for (id, first) in &self.open {
            out.varint(*id as u64);
            out.varint(*first as u64);
        }
        match &self.aborted {
            None => out.u8(0),
            Some(aborted) => {
                out.u8(1);
                out.varint(aborted.chunk.base as u64);
                out.varint(u64::from(aborted.chunk.extents));
                out.varint(aborted.last as u64);
            }
        }
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a row of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<PartitionRow, FormatError> {
        let mut reader = Reader::new(bytes);
        let version = reader.version("partition row", BEFORE_TRANSACTIONS..=VERSION)?;
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
        let (open, aborted) = match version {
            BEFORE_TRANSACTIONS => Default::default(),
            _ => read_transactions(&mut reader)?,
        };
        let erasures = if version > BEFORE_ERASURES { read_erasures(&mut reader)? } else { BTreeMap::new() };
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
            open,
            aborted,
            erasures,
        })
    }
}

type Transactions = (BTreeMap<i64, i64>, Option<AbortedRow>);

fn read_transactions(reader: &mut Reader<'_>) -> Result<Transactions, FormatError> {
    let mut open = BTreeMap::new();
    for _ in 0..reader.count(2, "open transactions")? {
        open.insert(read_i64(reader, "producer id")?, read_i64(reader, "first offset")?);
    }
    let aborted = match reader.u8("aborted")? {
        0 => None,
        1 => {
            let base = read_i64(reader, "chunk base")?;
            let chunk = ChunkRow { base, extents: reader.varint_u32("chunk entries")? };
            Some(AbortedRow { chunk, last: read_i64(reader, "last aborted")? })
        }
        _ => return Err(reader.invalid("aborted")),
    };
    Ok((open, aborted))
}

fn read_erasures(reader: &mut Reader<'_>) -> Result<BTreeMap<ErasureId, ErasedRow>, FormatError> {
    let mut erasures = BTreeMap::new();
    for _ in 0..reader.count(LEAST_ERASURE, "erasures")? {
        let id = read_erasure(reader)?;
        let upto = read_i64(reader, "end of the erasure")?;
        erasures.insert(id, ErasedRow { upto, keys: Arc::new(read_digests(reader)?) });
    }
    Ok(erasures)
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
