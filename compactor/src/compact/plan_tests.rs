//! Plans: each reason to do a round, and each to wait.

use siltstone_configs::Cleanup;
use siltstone_log::{CleaningRow, EndMarker, ExtentPlace};

use super::*;

const NOW: i64 = 1_000_000;
const NO_WAIT: Settings = Settings { small_bytes: 0, small_wait_ms: 0 };

fn config() -> TopicConfig {
    TopicConfig { cleanup: Cleanup { delete: false, compact: true }, ..TopicConfig::default() }
}

/// Extents of 100 offsets and 1,000 bytes each, with these timestamps.
fn extents(timestamps: &[i64]) -> Vec<Extent> {
    let place = ExtentPlace::Marker(EndMarker { producer_id: 0, epoch: 0, commit: true });
    let extent = |(at, max_timestamp): (usize, &i64)| {
        let base = at as i64 * 100;
        Extent { base, records: 100, bytes_before: 0, place, length: 1000, max_timestamp: *max_timestamp }
    };
    timestamps.iter().enumerate().map(extent).collect()
}

fn partition(extents: &[Extent], first_dirty: i64, begun: i64) -> Partition {
    let end = extents.last().map_or(0, Extent::end);
    let cleaned = CleanedRow { first_dirty, begun, ..CleanedRow::default() };
    Partition { log_start: 0, end, stable: end, cleaned }
}

fn round(plan: Plan) -> (i64, i64, i64) {
    match plan {
        Plan::Round(RoundPlan { first_dirty, upto, cursor, .. }) => (first_dirty, upto, cursor),
        Plan::Nothing { why, until } => panic!("nothing: {why} until {until:?}"),
    }
}

fn plan<'a>(
    config: &TopicConfig,
    settings: &Settings,
    partition: &Partition,
    extents: impl IntoIterator<Item = &'a Extent>,
    now: i64,
) -> Plan {
    at_once(config, partition).unwrap_or_else(|| {
        let mut survey = Survey::new(config, partition, now);
        let _ = extents.into_iter().all(|extent| survey.add(extent));
        super::plan(config, settings, partition, &survey)
    })
}

fn waits(plan: Plan) -> (String, Option<i64>) {
    match plan {
        Plan::Nothing { why, until } => (why, until),
        Plan::Round(round) => panic!("{round:?}"),
    }
}

#[test]
fn a_topic_that_is_not_compacted_waits_for_nothing() {
    let extents = extents(&[1, 2]);
    let plan = plan(&TopicConfig::default(), &NO_WAIT, &partition(&extents, 0, 0), &extents, NOW);
    assert_eq!(waits(plan), ("its policy is not to compact".to_owned(), None));
}

#[test]
fn the_dirty_part_must_be_more_than_the_ratio() {
    let extents = extents(&[1; 4]);
    let plan = |first_dirty| plan(&config(), &NO_WAIT, &partition(&extents, first_dirty, 0), &extents, NOW);
    assert_eq!(round(plan(0)), (0, 400, 0));
    assert_eq!(round(plan(199)), (199, 400, 0));
    assert!(waits(plan(200)).0.contains("not more than 0.5"), "exactly half is not more");
    assert_eq!(waits(plan(400)), ("nothing is dirty".to_owned(), None));
    let eager = TopicConfig { min_cleanable_dirty_ratio: 0.0, ..config() };
    let plan = self::plan(&eager, &NO_WAIT, &partition(&extents, 399, 0), &extents, NOW);
    assert_eq!(round(plan), (399, 400, 0));
}

#[test]
fn what_is_below_the_log_start_or_not_stable_does_not_count() {
    let extents = extents(&[1; 6]);
    let mut some = partition(&extents, 100, 0);
    (some.log_start, some.stable) = (300, 350);
    assert_eq!(round(plan(&config(), &NO_WAIT, &some, &extents, NOW)), (300, 350, 300));
    some.stable = 300;
    assert_eq!(waits(plan(&config(), &NO_WAIT, &some, &extents, NOW)).0, "nothing is dirty");
}

#[test]
fn young_records_are_left_alone() {
    let extents = extents(&[NOW - 5000, NOW - 500, NOW - 3000]);
    let config = TopicConfig { min_compaction_lag_ms: 1000, ..config() };
    let plan = |first_dirty| plan(&config, &NO_WAIT, &partition(&extents, first_dirty, 0), &extents, NOW);
    assert_eq!(round(plan(0)), (0, 100, 0), "nor what is behind them");
    let (why, until) = waits(plan(100));
    assert!(why.contains("min.compaction.lag.ms"), "{why}");
    assert_eq!(until, Some(NOW + 500));
    // Where the dirty part begins within what is held back.
    assert_eq!(waits(plan(150)).1, Some(NOW + 500));
}

#[test]
fn old_records_bring_about_a_round_whatever_the_ratio() {
    let config = TopicConfig { max_compaction_lag_ms: 1000, ..config() };
    let at = |timestamp, begun| {
        let extents = extents(&[1, 1, 1, timestamp]);
        plan(&config, &NO_WAIT, &partition(&extents, 300, begun), &extents, NOW)
    };
    assert_eq!(round(at(NOW - 1001, 0)), (300, 400, 0));
    assert_eq!(waits(at(NOW - 900, 0)).1, Some(NOW + 100));
    assert_eq!(round(at(NOW - 900, NOW - 1001)), (300, 400, 0), "merged extents may hide old records");
    assert_eq!(waits(at(-1, 0)).1, None, "records without a timestamp have no age");
}

#[test]
fn a_small_dirty_part_waits_unless_the_round_before_is_long_ago() {
    let extents = extents(&[1, 1]);
    let settings = Settings { small_bytes: 2001, small_wait_ms: 600 };
    let at =
        |settings: &Settings, begun| plan(&config(), settings, &partition(&extents, 0, begun), &extents, NOW);
    assert_eq!(waits(at(&settings, NOW - 500)).1, Some(NOW + 100));
    assert_eq!(round(at(&settings, NOW - 600)), (0, 200, 0));
    assert_eq!(round(at(&settings, 0)), (0, 200, 0), "the first round");
    assert_eq!(round(at(&Settings { small_bytes: 2000, ..settings }, NOW)), (0, 200, 0));
}

#[test]
fn tombstones_whose_time_has_come_bring_about_a_round() {
    let extents = extents(&[1, 1, 1, 1]);
    let mut some = partition(&extents, 400, 0);
    some.cleaned.horizon = Some(NOW + 1);
    assert_eq!(waits(plan(&config(), &NO_WAIT, &some, &extents, NOW)).1, Some(NOW + 1));
    some.cleaned.horizon = Some(NOW);
    assert_eq!(round(plan(&config(), &NO_WAIT, &some, &extents, NOW)), (400, 400, 0));
    some.cleaned.first_dirty = 350;
    assert_eq!(round(plan(&config(), &NO_WAIT, &some, &extents, NOW)), (350, 400, 0), "with what is dirty");
}

#[test]
fn a_round_that_was_left_goes_on() {
    let extents = extents(&[1, 1, 1, 1]);
    let mut some = partition(&extents, 100, NOW);
    some.cleaned.round = Some(CleaningRow { upto: 300, cursor: 200, ..CleaningRow::default() });
    assert_eq!(round(plan(&config(), &NO_WAIT, &some, &extents, NOW)), (100, 300, 200));
    some.log_start = 250;
    assert_eq!(round(plan(&config(), &NO_WAIT, &some, &extents, NOW)), (250, 300, 250));
    some.log_start = 350;
    assert_eq!(
        round(plan(&config(), &NO_WAIT, &some, &extents, NOW)),
        (350, 350, 350),
        "nothing is left to do"
    );
}
