//! Aborted transactions of a partition, in chunks that belong to its row.
//!
//! ```text
//! aborted chunk := version u8 (1) | entries: count varint, entry…
//! entry         := producer id varint | first offset varint | last offset varint (its control record's)
//!                  | stable varint (the last stable offset behind that)
//! ```

use crate::codec::{FormatError, Reader, Write};
use crate::entry::read_i64;

const VERSION: u8 = 1;
const LEAST_ENTRY: usize = 4;

/// An aborted transaction of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Aborted {
    /// Whose.
    pub producer_id: i64,
    /// The offset of its first record.
    pub first: i64,
    /// The offset of its control record.
    pub last: i64,
    /// The last stable offset behind that: no later entry begins before it.
    pub stable: i64,
}

impl Aborted {
    /// Whether it may have records in offsets `from..to`.
    pub fn touches(&self, from: i64, to: i64) -> bool {
        self.last >= from && self.first < to
    }
}

/// The bytes of a chunk, whose entries are in the order of their control records.
pub fn encode_aborted(entries: &[Aborted]) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.varint(entries.len() as u64);
    for entry in entries {
        out.varint(entry.producer_id as u64);
        out.varint(entry.first as u64);
        out.varint(entry.last as u64);
        out.varint(entry.stable as u64);
    }
    out
}

/// Reads a chunk.
///
/// # Errors
/// If the bytes are not a chunk of a version that this program knows.
pub fn decode_aborted(bytes: &[u8]) -> Result<Vec<Aborted>, FormatError> {
    let mut reader = Reader::new(bytes);
    reader.version("aborted chunk", VERSION..=VERSION)?;
    let count = reader.count(LEAST_ENTRY, "aborted transactions")?;
    let entries = (0..count).map(|_| read(&mut reader)).collect::<Result<_, _>>()?;
    reader.end("aborted chunk")?;
    Ok(entries)
}

fn read(reader: &mut Reader<'_>) -> Result<Aborted, FormatError> {
    let entry = Aborted {
        producer_id: read_i64(reader, "producer id")?,
        first: read_i64(reader, "first offset")?,
        last: read_i64(reader, "last offset")?,
        stable: read_i64(reader, "stable offset")?,
    };
    if entry.first > entry.last { Err(reader.invalid("aborted transaction")) } else { Ok(entry) }
}
