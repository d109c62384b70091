//! Transactional ids: one row each, which is all of a transactional id's state.
//!
//! ```text
//! transaction := version u8 (1) | producer id zigzag | epoch zigzag | last epoch zigzag | previous producer id zigzag
//!                | timeout ms varint | state u8 (0 empty, 1 ongoing, 2 committed, 3 aborted) | implicit u8 (0, 1)
//!                | started ms zigzag | updated ms zigzag
//! ```
//!
//! A reader refuses a producer id or epoch below 0, a last epoch or previous producer id below -1, a timeout beyond 2^31 - 1.

use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;

/// What became of the last transaction of a transactional id. There is no state between the decision to end it and its end: both are one commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TxnState {
    /// There was none since the id was initialized.
    #[default]
    Empty,
    /// It has begun and has not ended.
    Ongoing,
    /// It was committed.
    CompleteCommit,
    /// It was aborted.
    CompleteAbort,
}

/// The state of a transactional id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnRow {
    /// Its producer id.
    pub producer_id: i64,
    /// The epoch of the producer that may write.
    pub epoch: i16,
    /// The epoch before the last raise, or -1: by it a request that is sent again is known. If a raise has exchanged the producer id, an epoch of the
    /// previous one.
    pub last_epoch: i16,
    /// The producer id before the last raise, if that has exchanged it because its epochs had run out; else -1.
    pub previous_producer_id: i64,
    /// How long a transaction may take, ms.
    pub timeout_ms: i32,
    /// What its last transaction is at.
    pub state: TxnState,
    /// The last transaction was begun by a client that adds partitions by writing to them, and whose epoch is raised at each end
    /// (KIP-890, transaction version 2).
    pub implicit: bool,
    /// When the last transaction began, milliseconds since the Unix epoch; -1 while the state is empty.
    pub started: i64,
    /// When the row was last written, milliseconds since the Unix epoch.
    pub updated: i64,
}

impl TxnRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.zigzag(self.producer_id);
        out.zigzag(i64::from(self.epoch));
        out.zigzag(i64::from(self.last_epoch));
        out.zigzag(self.previous_producer_id);
        out.varint(u64::from(self.timeout_ms.max(0).unsigned_abs()));
        out.u8(match self.state {
            TxnState::Empty => 0,
            TxnState::Ongoing => 1,
            TxnState::CompleteCommit => 2,
            TxnState::CompleteAbort => 3,
        });
        out.u8(u8::from(self.implicit));
        out.zigzag(self.started);
        out.zigzag(self.updated);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("transaction", VERSION..=VERSION)?;
        let row = TxnRow {
            producer_id: at_least(&mut reader, 0, "producer id")?,
            epoch: epoch(&mut reader, 0, "epoch")?,
            last_epoch: epoch(&mut reader, -1, "last epoch")?,
            previous_producer_id: at_least(&mut reader, -1, "previous producer id")?,
            timeout_ms: timeout(&mut reader)?,
            state: state(&mut reader)?,
            implicit: flag(&mut reader)?,
            started: reader.zigzag("start")?,
            updated: reader.zigzag("time of writing")?,
        };
        reader.end("transaction")?;
        Ok(row)
    }
}

fn at_least(reader: &mut Reader<'_>, least: i64, what: &'static str) -> Result<i64, FormatError> {
    let value = reader.zigzag(what)?;
    if value < least { Err(reader.invalid(what)) } else { Ok(value) }
}

fn epoch(reader: &mut Reader<'_>, least: i64, what: &'static str) -> Result<i16, FormatError> {
    let value = at_least(reader, least, what)?;
    i16::try_from(value).map_err(|_| reader.invalid(what))
}

fn timeout(reader: &mut Reader<'_>) -> Result<i32, FormatError> {
    let value = reader.varint_u32("timeout")?;
    i32::try_from(value).map_err(|_| reader.invalid("timeout"))
}

fn state(reader: &mut Reader<'_>) -> Result<TxnState, FormatError> {
    Ok(match reader.u8("state")? {
        0 => TxnState::Empty,
        1 => TxnState::Ongoing,
        2 => TxnState::CompleteCommit,
        3 => TxnState::CompleteAbort,
        _ => return Err(reader.invalid("state")),
    })
}

fn flag(reader: &mut Reader<'_>) -> Result<bool, FormatError> {
    match reader.u8("implicit")? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid("implicit")),
    }
}
