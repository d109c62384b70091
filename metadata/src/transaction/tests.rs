//! The rules, as tables.

use siltstone_log::{TxnRow, TxnState};

use super::*;

const ID: i64 = 70;
const NOW: i64 = 5_000;

/// The row of a producer with epoch 5 whose last epoch was 4.
fn row(state: TxnState) -> TxnRow {
    TxnRow {
        producer_id: ID,
        epoch: 5,
        last_epoch: 4,
        previous_producer_id: -1,
        timeout_ms: 60_000,
        state,
        implicit: false,
        started: if state == TxnState::Ongoing { 1_000 } else { -1 },
        updated: 1_000,
    }
}

fn claim(epoch: i16, implicit: bool) -> Claim {
    Claim { producer_id: ID, epoch, implicit }
}

#[test]
fn only_the_producer_with_the_rows_id_and_epoch_is_admitted() {
    let row = row(TxnState::Ongoing);
    let other = Claim { producer_id: ID + 1, epoch: 5, implicit: true };
    assert_eq!(admit(None, &claim(5, true), NOW), Admission::Refused(Refusal::UnknownId));
    assert_eq!(admit(Some(&row), &other, NOW), Admission::Refused(Refusal::UnknownId));
    for epoch in [4, 6] {
        assert_eq!(admit(Some(&row), &claim(epoch, true), NOW), Admission::Refused(Refusal::Fenced));
    }
    for implicit in [true, false] {
        assert_eq!(admit(Some(&row), &claim(5, implicit), NOW), Admission::Ongoing);
    }
}

#[test]
fn a_transaction_begins_with_a_write_only_where_the_client_adds_by_writing() {
    for state in [TxnState::Empty, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        let row = row(state);
        let begun =
            TxnRow { state: TxnState::Ongoing, implicit: true, started: NOW, updated: NOW, ..row.clone() };
        assert_eq!(admit(Some(&row), &claim(5, true), NOW), Admission::Begin(begun));
        assert_eq!(admit(Some(&row), &claim(5, false), NOW), Admission::Refused(Refusal::NotOngoing));
    }
}
