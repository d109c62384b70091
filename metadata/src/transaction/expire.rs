//! Transactions that take too long, and transactional ids that nobody uses.

use siltstone_log::{TxnRow, TxnState};

use super::epoch::end_and_raise;
use super::{Decision, Ended};

/// Aborts a transaction that takes too long, as a fence: its producer finds its epoch outdated. `None` if none is ongoing. `fresh`: a producer id that
/// nobody has yet, if the caller has one at hand; `now` in milliseconds since the Unix epoch.
///
/// That it takes too long the caller has found ([`super::Watch`]).
pub fn abort_timed_out(row: &TxnRow, fresh: Option<i64>, now: i64) -> Option<Decision<Ended>> {
    (row.state == TxnState::Ongoing).then(|| end_and_raise(row, false, fresh, now))
}

/// Whether a transactional id has not been used for `retention_ms` at `now`, milliseconds since the Unix epoch.
pub fn is_expired(row: &TxnRow, retention_ms: u64, now: i64) -> bool {
    let retention = i64::try_from(retention_ms).unwrap_or(i64::MAX);
    row.state != TxnState::Ongoing && now >= row.updated.saturating_add(retention)
}
