//! AddPartitionsToTxn and AddOffsetsToTxn: a client of transaction version 1 says what it is going to write to.

use siltstone_log::{TxnRow, TxnState};

use super::Refusal;
use super::admit::{begun, same};

/// Whether partitions or groups may be added. `Some`: the transaction begins with it, and this row is written in the same commit. `now` in
/// milliseconds since the Unix epoch.
///
/// # Errors
/// [`Refusal::UnknownId`], [`Refusal::Fenced`].
pub fn add(row: Option<&TxnRow>, producer_id: i64, epoch: i16, now: i64) -> Result<Option<TxnRow>, Refusal> {
    let row = same(row, producer_id, epoch)?;
    Ok((row.state != TxnState::Ongoing).then(|| begun(row, false, now)))
}
