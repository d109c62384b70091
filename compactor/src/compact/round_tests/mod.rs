//! Rounds over a partition in memory: against the model, and with workers that die in any call.

mod log;
mod model;

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use siltstone_log::Aborted;

use self::log::{Death, KeyValue, Log, State};
use self::model::{Seen, committed, entries};
use super::super::map::SLOT_BYTES;
use super::super::plan::RoundPlan;
use super::{Limits, Outcome, run};

const RETENTION: u64 = 100;

#[derive(Debug, Clone)]
enum Step {
    Append { producer: Option<i64>, records: Vec<KeyValue>, codec: u8 },
    End { producer: i64, commit: bool },
    Round { pass: i64, slots: usize, piece: usize, deaths: Vec<(u32, bool)> },
}

fn step(deaths: bool, all_slots: bool) -> impl Strategy<Value = Step> {
    let record = (option::weighted(0.9, 0..5u8), option::weighted(0.7, any::<u8>()));
    let append = (option::weighted(0.6, 0..3i64), vec(record, 1..5), 0..5u8)
        .prop_map(|(producer, records, codec)| Step::Append { producer, records, codec });
    let end = (0..3i64, any::<bool>()).prop_map(|(producer, commit)| Step::End { producer, commit });
    let slots = if all_slots { 64..65usize } else { 2..9usize };
    let most = if deaths { 3 } else { 0 };
    let deaths = vec((0..12u32, any::<bool>()), 0..=most);
    let round = (1..250i64, slots, 1..600usize, deaths)
        .prop_map(|(pass, slots, piece, deaths)| Step::Round { pass, slots, piece, deaths });
    prop_oneof![4 => append, 3 => end, 2 => round]
}

/// What must hold at any moment, whatever has died.
#[derive(Default)]
struct Promises {
    /// Every record that consumers were to see, in order.
    sent: Vec<Seen>,
    /// Up to where it is known.
    upto: i64,
    /// Since when the records that a tombstone buries are gone: it must stay for the retention from then on.
    alone: BTreeMap<i64, i64>,
}

impl Promises {
    /// Takes in what has become stable before anything is compacted.
    fn learn(&mut self, state: &State) {
        let stable = state.stable();
        let new = committed(&state.batches, &state.aborted, stable);
        self.sent.extend(new.into_iter().filter(|record| record.0 >= self.upto && record.0 < stable));
        self.upto = self.upto.max(stable);
    }

    fn check(&mut self, state: &State, now: i64) {
        let shown = committed(&state.batches, &state.aborted, state.stable());
        let shown: Vec<_> = shown.into_iter().filter(|record| record.0 < self.upto).collect();
        let mut sent = self.sent.iter();
        assert!(
            shown.iter().all(|one| sent.any(|other| one == other)),
            "S9: nothing but what was sent, in order"
        );
        let left: BTreeMap<i64, &Seen> = shown.iter().map(|record| (record.0, record)).collect();
        let newest: BTreeMap<_, i64> = self.sent.iter().map(|record| (record.2.clone(), record.0)).collect();
        for (offset, _, key, value, _) in self.sent.iter().filter(|record| record.2.is_some()) {
            if newest[key] != *offset || left.contains_key(offset) {
                continue;
            }
            assert!(value.is_none(), "the newest record of {key:?}, at {offset}, is gone");
            let since = self.alone.get(offset).copied();
            assert!(
                since.is_some_and(|since| now >= since + RETENTION as i64),
                "the tombstone at {offset} went too early"
            );
        }
        for (offset, _, key, value, _) in &shown {
            let older = shown.iter().any(|other| other.2 == *key && other.0 < *offset);
            if value.is_none() && !older {
                self.alone.entry(*offset).or_insert(now);
            }
        }
        assert_eq!(
            state.batches.last().map(|batch| batch.last_offset()),
            Some(state.next - 1),
            "the end can be read"
        );
        for one in &state.aborted {
            let marker = state.batches.iter().any(|batch| batch.base_offset == one.last && batch.count == 1);
            assert!(marker, "an aborted transaction without its marker: {one:?}");
        }
    }
}

fn plan_of(state: &State) -> RoundPlan {
    let cleaned = state.row.clone();
    let (upto, cursor) = match &cleaned.round {
        Some(round) => (round.upto, round.cursor),
        None => (state.stable().max(cleaned.first_dirty), 0),
    };
    RoundPlan {
        first_dirty: cleaned.first_dirty,
        upto,
        cursor,
        last: state.next - 1,
        cleaned,
        why: String::new(),
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

/// One worker. `None`: it died.
fn work(log: &Log, limits: &Limits, now: i64, death: Death) -> Option<Outcome> {
    let plan = {
        let mut state = log.0.lock().unwrap();
        state.death = death;
        plan_of(&state)
    };
    runtime().block_on(run(log, log, &plan, limits, RETENTION, now, [3, 4])).ok()
}

fn limits(slots: usize, piece: usize) -> Limits {
    Limits {
        map_bytes: slots * SLOT_BYTES,
        piece_bytes: piece,
        max_decompressed: log::CAP,
        level: None,
        longest_read_ms: model::LONGEST_READ as u64,
    }
}

/// Plays the steps; after each round `after` is told the log, entries and aborted index before, the offsets that it was over, and the time.
fn play(steps: &[Step], mut after: impl FnMut(&State, (Vec<model::Entry>, Vec<Aborted>), (i64, i64), i64)) {
    let (log, mut promises, mut now) = (Log::default(), Promises::default(), 1_000_000);
    for step in steps {
        match step {
            Step::Append { producer, records, codec } => {
                log.0.lock().unwrap().append(*producer, records, *codec);
            }
            Step::End { producer, commit } => log.0.lock().unwrap().end(*producer, *commit),
            Step::Round { pass, slots, piece, deaths } => {
                now += pass;
                if log.0.lock().unwrap().batches.is_empty() {
                    continue;
                }
                promises.learn(&log.0.lock().unwrap());
                let before = {
                    let state = log.0.lock().unwrap();
                    (entries(&state.batches), state.aborted.clone())
                };
                let first_dirty = log.0.lock().unwrap().row.first_dirty;
                let mut done = false;
                for (calls, with_effect) in deaths {
                    let death = Death { after: Some(*calls), with_effect: *with_effect };
                    work(&log, &limits(*slots * 3, *piece), now, death);
                    let state = log.0.lock().unwrap();
                    promises.check(&state, now);
                    done = state.row.round.is_none() && state.row.begun == now;
                    if done {
                        break;
                    }
                }
                if !done {
                    let outcome = work(&log, &limits(*slots, *piece), now, Death::default());
                    assert!(matches!(outcome, Some(Outcome::Done(_))), "{outcome:?}");
                }
                let state = log.0.lock().unwrap();
                promises.check(&state, now);
                assert_eq!(state.row.round, None);
                after(&state, before, (first_dirty, state.row.first_dirty), now);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// With and without deaths, in pieces of any size: the same as a whole round at once.
    #[test]
    fn a_round_leaves_what_kafkas_rule_leaves(steps in vec(step(true, true), 1..60)) {
        play(&steps, |state, (log, aborted), range, now| {
            let (left, index) = model::round(&log, &aborted, range, now, RETENTION as i64);
            assert_eq!(entries(&state.batches), left);
            assert_eq!(state.aborted, index);
        });
    }

    /// Maps of a few keys, other ones after each death: rounds end early, and go on with less room than they began with.
    #[test]
    fn small_maps_lose_nothing_and_get_there(steps in vec(step(true, false), 1..60)) {
        play(&steps, |state, _, (from, to), _| {
            assert!(to > from || state.stable() <= from, "a round gets somewhere");
        });
    }
}

#[test]
fn what_changed_underneath_is_left_alone() {
    let log = Log::default();
    log.0.lock().unwrap().append(None, &[(Some(1), Some(1)), (Some(1), Some(2))], 0);
    log.0.lock().unwrap().append(None, &[(Some(2), Some(1))], 0);
    let plan = plan_of(&log.0.lock().unwrap());
    log.0.lock().unwrap().row.first_dirty = 1;
    let outcome = runtime().block_on(run(&log, &log, &plan, &limits(9, 100), RETENTION, 5, [1, 2]));
    assert!(matches!(outcome, Ok(Outcome::Changed(_))), "{outcome:?}");
    assert_eq!(log.0.lock().unwrap().batches[0].count, 2);
}

#[test]
fn a_tail_that_is_compacted_away_leaves_an_empty_last_batch() {
    let log = Log::default();
    log.0.lock().unwrap().append(None, &[(Some(1), Some(1))], 0);
    log.0.lock().unwrap().append(Some(7), &[(Some(1), Some(2))], 4);
    log.0.lock().unwrap().end(7, false);
    let mut entries = Vec::new();
    for now in [0, 1000, 2000, 3000] {
        work(&log, &limits(9, 50), now, Death::default()).unwrap();
        let state = log.0.lock().unwrap();
        entries.push((state.aborted.len(), state.batches.last().unwrap().count));
    }
    assert_eq!(entries, [(1, 1), (1, 1), (0, 1), (0, 0)], "the entry goes before the marker");
    let state = log.0.lock().unwrap();
    let left: Vec<_> = state.batches.iter().map(|batch| (batch.base_offset, batch.count)).collect();
    assert_eq!((left, state.aborted.len(), state.row.horizon), (vec![(0, 1), (2, 0)], 0, None));
}

#[test]
fn tombstones_of_a_quiet_partition_go_with_a_round_of_their_own() {
    let log = Log::default();
    log.0.lock().unwrap().append(None, &[(Some(1), Some(1)), (Some(1), None), (Some(2), None)], 0);
    log.0.lock().unwrap().append(None, &[(Some(3), Some(1))], 0);
    work(&log, &limits(9, 50), 50, Death::default()).unwrap();
    assert_eq!(log.0.lock().unwrap().row.horizon, Some(150));
    assert_eq!(log.0.lock().unwrap().batches[0].count, 2);
    work(&log, &limits(9, 50), 149, Death::default()).unwrap();
    assert_eq!(log.0.lock().unwrap().batches[0].count, 2);
    work(&log, &limits(9, 50), 150, Death::default()).unwrap();
    let state = log.0.lock().unwrap();
    let left: Vec<_> = state.batches.iter().map(|batch| batch.base_offset).collect();
    assert_eq!((left, state.row.horizon), (vec![3], None));
}
