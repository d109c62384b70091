//! The rules, as tables. Where Kafka has a table of its own, its cases have Kafka's names.

use std::time::Duration;

use siltstone_log::{EndMarker, TxnRow, TxnState};

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

const FRESH: i64 = 900;
const LAST: i16 = i16::MAX - 1;

fn made<T>(decision: Decision<T>) -> T {
    match decision {
        Decision::Made(made) => made,
        Decision::NeedsId => panic!("a producer id is needed"),
    }
}

fn request(held: Option<(i64, i16)>) -> InitRequest {
    InitRequest { held, timeout_ms: 1234 }
}

/// Producer id, epoch, last epoch and previous producer id.
fn ids(row: &TxnRow) -> (i64, i16, i16, i64) {
    (row.producer_id, row.epoch, row.last_epoch, row.previous_producer_id)
}

fn init_ids(row: &TxnRow, held: Option<(i64, i16)>) -> Result<(i64, i16, i16, i64), Refusal> {
    init(Some(row), &request(held), Some(FRESH), NOW).map(|decision| ids(&made(decision).row))
}

#[test]
fn a_new_transactional_id_begins_at_epoch_0() {
    assert_eq!(init(None, &request(None), None, NOW), Ok(Decision::NeedsId));
    for held in [None, Some((3, 4))] {
        let Initialized { row, aborted } = made(init(None, &request(held), Some(FRESH), NOW).unwrap());
        assert_eq!((ids(&row), aborted), ((FRESH, 0, -1, -1), None));
        assert_eq!((row.state, row.timeout_ms, row.started, row.updated), (TxnState::Empty, 1234, -1, NOW));
    }
}

#[test]
fn who_takes_over_raises_the_epoch_and_leaves_no_way_back() {
    for state in [TxnState::Empty, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        let Initialized { row, aborted } = made(init(Some(&row(state)), &request(None), None, NOW).unwrap());
        assert_eq!((ids(&row), aborted), ((ID, 6, -1, -1), None));
        assert_eq!((row.state, row.timeout_ms, row.started), (TxnState::Empty, 1234, -1));
    }
}

/// KIP-360.
#[test]
fn who_goes_on_after_an_error_is_known_by_its_id_and_epoch() {
    let row = row(TxnState::CompleteAbort);
    assert_eq!(init_ids(&row, Some((ID, 5))), Ok((ID, 6, 5, -1)), "the epoch is raised");
    assert_eq!(init_ids(&row, Some((ID, 4))), Ok((ID, 5, 4, -1)), "its first request's answer was lost");
    for held in [(ID, 3), (ID, 6), (ID + 1, 5), (ID + 1, 4)] {
        assert_eq!(init_ids(&row, Some(held)), Err(Refusal::Fenced), "{held:?}");
    }
    let taken = TxnRow { last_epoch: -1, ..row };
    assert_eq!(init_ids(&taken, Some((ID, 4))), Err(Refusal::Fenced), "somebody else has taken over");
}

#[test]
fn what_was_left_open_is_aborted_under_a_raised_epoch() {
    let open = row(TxnState::Ongoing);
    let marker = Some(EndMarker { producer_id: ID, epoch: 6, commit: false });
    for (held, expected) in [(None, (ID, 7, -1, -1)), (Some((ID, 5)), (ID, 6, 5, -1))] {
        let Initialized { row, aborted } = made(init(Some(&open), &request(held), None, NOW).unwrap());
        assert_eq!((ids(&row), aborted, row.state), (expected, marker, TxnState::Empty), "{held:?}");
    }
    for held in [(ID, 4), (ID, 6), (ID + 1, 5)] {
        assert_eq!(init_ids(&open, Some(held)), Err(Refusal::Fenced), "an old one does it no harm: {held:?}");
    }
}

#[test]
fn when_epochs_run_out_the_producer_id_is_exchanged() {
    let idle = TxnRow { epoch: LAST, last_epoch: LAST - 1, ..row(TxnState::CompleteCommit) };
    assert_eq!(init(Some(&idle), &request(None), None, NOW), Ok(Decision::NeedsId));
    assert_eq!(init_ids(&idle, None), Ok((FRESH, 0, -1, -1)));
    assert_eq!(init_ids(&idle, Some((ID, LAST))), Ok((FRESH, 0, LAST, ID)));
    let exchanged = made(init(Some(&idle), &request(Some((ID, LAST))), Some(FRESH), NOW).unwrap()).row;
    assert_eq!(init_ids(&exchanged, Some((ID, LAST))), Ok((FRESH, 0, LAST, ID)), "asked again");
    assert_eq!(init_ids(&exchanged, Some((FRESH, 0))), Ok((FRESH, 1, 0, -1)));
    assert_eq!(init_ids(&exchanged, Some((FRESH, LAST))), Err(Refusal::Fenced));
    assert_eq!(init_ids(&exchanged, Some((ID, LAST - 1))), Err(Refusal::Fenced));
    let open = TxnRow { epoch: LAST, ..row(TxnState::Ongoing) };
    let marker = Some(EndMarker { producer_id: ID, epoch: i16::MAX, commit: false });
    for (held, expected) in [(None, (FRESH, 1, -1, -1)), (Some((ID, LAST)), (FRESH, 0, LAST, ID))] {
        let Initialized { row, aborted } = made(init(Some(&open), &request(held), Some(FRESH), NOW).unwrap());
        assert_eq!((ids(&row), aborted), (expected, marker), "{held:?}");
    }
}

#[test]
fn partitions_and_groups_are_added_by_the_rows_producer_alone() {
    let open = row(TxnState::Ongoing);
    assert_eq!(add(Some(&open), ID, 5, NOW), Ok(None));
    assert_eq!(add(Some(&open), ID, 4, NOW), Err(Refusal::Fenced));
    assert_eq!(add(Some(&open), ID, 6, NOW), Err(Refusal::Fenced));
    assert_eq!(add(Some(&open), ID + 1, 5, NOW), Err(Refusal::UnknownId));
    assert_eq!(add(None, ID, 5, NOW), Err(Refusal::UnknownId));
    for state in [TxnState::Empty, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        let row = row(state);
        let begun = TxnRow { state: TxnState::Ongoing, started: NOW, updated: NOW, ..row.clone() };
        assert_eq!(add(Some(&row), ID, 5, NOW), Ok(Some(begun)));
    }
}

/// What comes of the end of a transaction: whether it was done before, or the marker's epoch and the ids that follow.
type Told = Result<Option<(i16, (i64, i16, i16, i64))>, Refusal>;

fn ending(row: &TxnRow, epoch: i16, commit: bool, raises: bool) -> Told {
    let request = EndRequest { producer_id: ID, epoch, commit, raises };
    Ok(match made(end(Some(row), &request, Some(FRESH), NOW)?) {
        End::Already => None,
        End::Now(ended) => {
            assert_eq!((ended.marker.producer_id, ended.marker.commit), (row.producer_id, commit));
            let state = if commit { TxnState::CompleteCommit } else { TxnState::CompleteAbort };
            assert_eq!((ended.row.state, ended.row.updated), (state, NOW));
            assert!(ended.row.started >= 0);
            Some((ended.marker.epoch, ids(&ended.row)))
        }
    })
}

#[test]
fn ends_of_transaction_version_1() {
    const ITS: Told = Err(Refusal::InvalidState);
    let ended: Told = Ok(Some((5, (ID, 5, 4, -1))));
    for (state, abort, commit) in [
        (TxnState::Ongoing, ended, ended),
        (TxnState::Empty, ITS, ITS),
        (TxnState::CompleteAbort, Ok(None), ITS),
        (TxnState::CompleteCommit, ITS, Ok(None)),
    ] {
        assert_eq!(ending(&row(state), 5, false, false), abort, "{state:?}, abort");
        assert_eq!(ending(&row(state), 5, true, false), commit, "{state:?}, commit");
        for epoch in [4, 6] {
            assert_eq!(ending(&row(state), epoch, true, false), Err(Refusal::Fenced), "{state:?}");
        }
    }
}

/// Kafka's table for transaction version 2: "retry" is the epoch before, "current" the row's.
#[test]
fn ends_of_transaction_version_2() {
    const PF: Told = Err(Refusal::Fenced);
    const ITS: Told = Err(Refusal::InvalidState);
    const NONE: Told = Ok(None);
    let eb: Told = Ok(Some((6, (ID, 6, 5, -1))));
    for (state, [abort_retry, abort_current, commit_retry, commit_current]) in [
        (TxnState::Ongoing, [PF, eb, PF, eb]),
        (TxnState::Empty, [PF, eb, PF, ITS]),
        (TxnState::CompleteAbort, [NONE, eb, ITS, ITS]),
        (TxnState::CompleteCommit, [ITS, eb, NONE, ITS]),
    ] {
        let row = row(state);
        assert_eq!(ending(&row, 4, false, true), abort_retry, "{state:?}, abort, retry");
        assert_eq!(ending(&row, 5, false, true), abort_current, "{state:?}, abort, current");
        assert_eq!(ending(&row, 4, true, true), commit_retry, "{state:?}, commit, retry");
        assert_eq!(ending(&row, 5, true, true), commit_current, "{state:?}, commit, current");
        assert_eq!(ending(&row, 6, true, true), PF, "{state:?}, an epoch that was not given out");
    }
}

#[test]
fn an_end_that_exhausts_the_epochs_exchanges_the_producer_id() {
    let open = TxnRow { epoch: LAST, ..row(TxnState::Ongoing) };
    let asked = EndRequest { producer_id: ID, epoch: LAST, commit: true, raises: true };
    assert_eq!(end(Some(&open), &asked, None, NOW), Ok(Decision::NeedsId));
    assert_eq!(ending(&open, LAST, true, true), Ok(Some((i16::MAX, (FRESH, 0, LAST, ID)))));
    let End::Now(Ended { row, .. }) = made(end(Some(&open), &asked, Some(FRESH), NOW).unwrap()) else {
        panic!("it was open")
    };
    assert_eq!(ending(&row, LAST, true, true), Ok(None), "asked again");
    assert_eq!(ending(&row, LAST, false, true), Err(Refusal::InvalidState), "otherwise");
    assert_eq!(ending(&row, LAST - 1, true, true), Err(Refusal::UnknownId));
    assert_eq!(ending(&open, LAST, true, false), Ok(Some((LAST, (ID, LAST, 4, -1)))), "version 1 keeps it");
}

#[test]
fn nobody_ends_what_is_not_theirs() {
    let open = row(TxnState::Ongoing);
    for raises in [true, false] {
        let request = EndRequest { producer_id: ID + 1, epoch: 5, commit: true, raises };
        assert_eq!(end(Some(&open), &request, None, NOW), Err(Refusal::UnknownId));
        assert_eq!(end(None, &request, None, NOW), Err(Refusal::UnknownId));
    }
}

#[test]
fn a_transaction_that_takes_too_long_is_fenced() {
    let open = row(TxnState::Ongoing);
    let ended = made(abort_timed_out(&open, None, NOW).unwrap());
    assert_eq!((ids(&ended.row), ended.row.state), ((ID, 6, 5, -1), TxnState::CompleteAbort));
    assert_eq!(ended.marker, EndMarker { producer_id: ID, epoch: 6, commit: false });
    let row_now = ended.row;
    assert_eq!(ending(&row_now, 5, true, true), Err(Refusal::InvalidState), "its commit comes too late");
    assert_eq!(ending(&row_now, 5, true, false), Err(Refusal::Fenced), "also in version 1");
    assert_eq!(ending(&row_now, 5, false, true), Ok(None), "its abort finds it done");
    assert_eq!(init_ids(&row_now, Some((ID, 5))), Ok((ID, 6, 5, -1)), "it can go on");
    for state in [TxnState::Empty, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        assert_eq!(abort_timed_out(&row(state), None, NOW), None);
    }
    let exhausted = TxnRow { epoch: LAST, ..row(TxnState::Ongoing) };
    assert_eq!(abort_timed_out(&exhausted, None, NOW), Some(Decision::NeedsId));
    let ended = made(abort_timed_out(&exhausted, Some(FRESH), NOW).unwrap());
    assert_eq!(ids(&ended.row), (FRESH, 0, LAST, ID), "no producer ever gets the last epoch");
}

#[test]
fn ids_expire_that_are_not_used() {
    let row_of = |state| TxnRow { updated: 1_000, ..row(state) };
    assert!(!is_expired(&row_of(TxnState::Empty), 500, 1_499));
    for state in [TxnState::Empty, TxnState::CompleteCommit, TxnState::CompleteAbort] {
        assert!(is_expired(&row_of(state), 500, 1_500));
    }
    assert!(!is_expired(&row_of(TxnState::Ongoing), 500, i64::MAX));
    assert!(!is_expired(&row_of(TxnState::Empty), u64::MAX, i64::MAX - 1));
}

#[test]
fn a_watch_counts_from_when_it_first_saw_a_transaction() {
    let mut watch = Watch::default();
    let open = TxnRow { timeout_ms: 10_000, ..row(TxnState::Ongoing) };
    let at = Duration::from_secs;
    assert!(!watch.observe("a", &open, at(100)));
    watch.end_round();
    assert!(!watch.observe("a", &open, at(109)));
    watch.end_round();
    assert!(watch.observe("a", &open, at(110)));
    let next = TxnRow { epoch: 6, started: 2_000, ..open.clone() };
    assert!(!watch.observe("a", &next, at(111)), "another transaction");
    watch.end_round();
    assert!(!watch.observe("a", &TxnRow { state: TxnState::CompleteCommit, ..next.clone() }, at(130)));
    watch.end_round();
    assert!(!watch.observe("a", &next, at(140)), "it was not among the ongoing ones meanwhile");
    watch.clear();
    assert!(!watch.observe("a", &next, at(160)), "somebody else was at it");
}
