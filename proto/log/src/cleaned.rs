//! How far a partition is compacted by key, and what is known of a round under way (design, section 7).
//!
//! ```text
//! cleaned := version u8 (1) | first dirty varint | begun ms zigzag | horizon | round u8 (0 none, 1: cleaning)
//! cleaning := begun ms zigzag | upto varint | cursor varint | horizon | all open u8 (0, 1) | open: count varint, producer id varint…
//! horizon := u8 (0 none, 1: ms zigzag)
//! ```
//!
//! A reader refuses: more than 4,096 open producers; a cursor or a first dirty offset that is no offset.

use std::collections::BTreeSet;

use crate::codec::{FormatError, Reader, Write};
use crate::entry::read_i64;

const VERSION: u8 = 1;
/// Most producers that a row names: with more of them, all count as open. So the row fits one key.
pub const MAX_OPEN_PRODUCERS: usize = 4_096;

/// What compaction by key has done to a partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CleanedRow {
    /// Below, each key has been looked for up to here: only its newest record is there, tombstones until their horizon.
    pub first_dirty: i64,
    /// When the last whole round was begun, milliseconds since the Unix epoch, by its worker's clock; 0 if there was none.
    pub begun: i64,
    /// The latest delete horizon among the tombstones and markers below `first_dirty`: from then on a round can drop all of them.
    pub horizon: Option<i64>,
    /// The round that is under way, or that a worker has left.
    pub round: Option<CleaningRow>,
}

/// A round under way: from the log start to `upto`, in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CleaningRow {
    /// When it was begun, milliseconds since the Unix epoch.
    pub begun: i64,
    /// Where it ends: the first offset that it doesn't judge.
    pub upto: i64,
    /// Everything below is done and published.
    pub cursor: i64,
    /// The latest delete horizon below the cursor.
    pub horizon: Option<i64>,
    /// What it knows of transactions at the cursor.
    pub open: OpenProducers,
}

/// Producers of whose transactions batches were read whose end was not.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OpenProducers {
    /// Too many to name: every producer may be one of them.
    pub all: bool,
    /// Their ids, if they are not too many; else none.
    pub ids: BTreeSet<i64>,
}

impl OpenProducers {
    /// A batch of a transaction of this producer was read.
    pub fn open(&mut self, producer_id: i64) {
        if !self.all {
            self.ids.insert(producer_id);
            if self.ids.len() > MAX_OPEN_PRODUCERS {
                *self = OpenProducers { all: true, ids: BTreeSet::new() };
            }
        }
    }

    /// Its end was read. Whether there may have been batches before it.
    pub fn close(&mut self, producer_id: i64) -> bool {
        self.ids.remove(&producer_id) || self.all
    }
}

impl CleanedRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.varint(self.first_dirty as u64);
        out.zigzag(self.begun);
        write_horizon(&mut out, self.horizon);
        out.u8(u8::from(self.round.is_some()));
        if let Some(round) = &self.round {
            out.zigzag(round.begun);
            out.varint(round.upto as u64);
            out.varint(round.cursor as u64);
            write_horizon(&mut out, round.horizon);
            out.u8(u8::from(round.open.all));
            out.varint(round.open.ids.len() as u64);
            round.open.ids.iter().for_each(|id| out.varint(*id as u64));
        }
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a row of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<CleanedRow, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("cleaned row", VERSION..=VERSION)?;
        let row = CleanedRow {
            first_dirty: read_i64(&mut reader, "first dirty offset")?,
            begun: reader.zigzag("time of the last round")?,
            horizon: read_horizon(&mut reader)?,
            round: if flag(&mut reader, "round")? { Some(read_round(&mut reader)?) } else { None },
        };
        reader.end("cleaned row")?;
        Ok(row)
    }
}

fn read_round(reader: &mut Reader<'_>) -> Result<CleaningRow, FormatError> {
    Ok(CleaningRow {
        begun: reader.zigzag("time of the round")?,
        upto: read_i64(reader, "end of the round")?,
        cursor: read_i64(reader, "cursor")?,
        horizon: read_horizon(reader)?,
        open: read_open(reader)?,
    })
}

fn read_open(reader: &mut Reader<'_>) -> Result<OpenProducers, FormatError> {
    let all = flag(reader, "open producers")?;
    let count = reader.count(1, "open producers")?;
    if count > if all { 0 } else { MAX_OPEN_PRODUCERS } {
        return Err(reader.invalid("open producers"));
    }
    let ids = (0..count).map(|_| read_i64(reader, "producer id")).collect::<Result<_, _>>()?;
    Ok(OpenProducers { all, ids })
}

fn write_horizon(out: &mut Vec<u8>, horizon: Option<i64>) {
    out.u8(u8::from(horizon.is_some()));
    if let Some(horizon) = horizon {
        out.zigzag(horizon);
    }
}

fn read_horizon(reader: &mut Reader<'_>) -> Result<Option<i64>, FormatError> {
    if flag(reader, "delete horizon")? { Ok(Some(reader.zigzag("delete horizon")?)) } else { Ok(None) }
}

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, FormatError> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid(what)),
    }
}
