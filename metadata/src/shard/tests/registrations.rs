//! Repeats, gaps and ends of registrations.

use siltstone_log::{Entry, RegistrationId};

use super::kit::*;
use crate::shard::Effect;

const OTHER: RegistrationId = RegistrationId(0xb);

fn entry(registration: RegistrationId, counter: u64) -> Entry {
    append_of(registration, counter, 0, vec![block(P, 0, &[plain(1, 10)])])
}

#[test]
fn the_next_counter_applies_a_repeat_and_a_gap_are_void() {
    let mut fold = Fold::new();
    assert_eq!(fold.apply(&entry(AGENT, 2)).effect, Effect::Void, "the first is 1");
    assert_eq!(fold.apply(&entry(AGENT, 0)).effect, Effect::Void);
    assert_eq!(verdicts(fold.apply(&entry(AGENT, 1))), [[appended(0)]]);
    assert_eq!(fold.apply(&entry(AGENT, 1)).effect, Effect::Void, "a repeat");
    assert_eq!(fold.apply(&entry(AGENT, 3)).effect, Effect::Void, "a gap");
    assert_eq!(verdicts(fold.apply(&entry(AGENT, 2))), [[appended(1)]], "neither moved the counter");
    assert_eq!(fold.partition(P).next(), 2);
    assert_eq!(fold.state.head().counters[&AGENT], 2);
}

#[test]
fn void_entries_touch_nothing_and_still_move_the_position() {
    let mut fold = Fold::new();
    fold.apply(&entry(AGENT, 1));
    let (before, horizon) = (fold.state.position(), fold.partition(P).horizon());
    let applied = fold.apply(&entry(AGENT, 1));
    assert!(applied.touched.is_empty());
    assert!(fold.state.position() > before);
    assert_eq!(fold.partition(P).horizon(), horizon);
}

#[test]
fn registrations_count_apart() {
    let mut fold = Fold::new();
    assert_eq!(verdicts(fold.apply(&entry(AGENT, 1))), [[appended(0)]]);
    assert_eq!(verdicts(fold.apply(&entry(OTHER, 1))), [[appended(1)]]);
    assert_eq!(verdicts(fold.apply(&entry(AGENT, 2))), [[appended(2)]]);
}

#[test]
fn an_ended_registration_leaves_the_head_and_its_open_entries_are_void() {
    let mut fold = Fold::new();
    fold.apply(&entry(AGENT, 1));
    fold.apply(&entry(OTHER, 1));
    fold.apply(&Entry::Ended { registration: AGENT });
    assert_eq!(fold.state.head().counters.keys().collect::<Vec<_>>(), [&OTHER]);
    // The store lets no entry of it in behind its end (tests::registrations). One in flight would be void all the same.
    assert_eq!(fold.apply(&entry(AGENT, 2)).effect, Effect::Void);
    assert_eq!(verdicts(fold.apply(&entry(OTHER, 2))), [[appended(2)]]);
    let applied = fold.apply(&Entry::Ended { registration: RegistrationId(0xdead) });
    assert_eq!(applied.effect, Effect::Other, "one that never wrote here");
}

#[test]
fn positions_never_go_back() {
    let mut fold = Fold::new();
    fold.apply(&entry(AGENT, 1));
    let before = fold.state.clone();
    for at in [position(0), position(1), before.position()] {
        assert_eq!(fold.state.apply(at, &entry(AGENT, 2)).effect, Effect::Void);
        assert_eq!(fold.state, before);
    }
}

#[test]
fn levels_only_rise() {
    let mut fold = Fold::at_level(1);
    fold.apply(&Entry::Feature { level: 2 });
    assert_eq!(fold.state.head().level, 2);
    fold.apply(&Entry::Feature { level: 1 });
    assert_eq!(fold.state.head().level, 2);
}
