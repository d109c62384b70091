//! Retention by examples.

use siltstone_configs::{BrokerLayers, Overrides};
use siltstone_log::{EndMarker, ExtentPlace};

use super::*;

fn config(pairs: &[(&str, &str)]) -> TopicConfig {
    let set: Overrides =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    TopicConfig::resolve(&set, BrokerLayers::none())
}

/// Ten offsets and 100 bytes each.
fn extents(times: &[i64]) -> Vec<Extent> {
    let place = ExtentPlace::Marker(EndMarker { producer_id: 1, epoch: 0, commit: true });
    let extent = |(n, time): (usize, &i64)| Extent {
        base: n as i64 * 10,
        records: 10,
        bytes_before: 5000 + n as u64 * 100,
        place,
        length: 100,
        max_timestamp: *time,
    };
    times.iter().enumerate().map(extent).collect()
}

fn cut(times: &[i64], config: &TopicConfig, now: i64) -> Option<i64> {
    let extents = extents(times);
    let view = PartitionView { first: extents.first().copied(), ..PartitionView::default() };
    let mut cut = Cut::begin(&view, extents.len() as u64 * 100, config, now)?;
    extents.iter().all(|extent| cut.pass(extent));
    cut.end().map(|(offset, _)| offset)
}

#[test]
fn the_oldest_go_up_to_the_first_that_is_young() {
    let week = config(&[("retention.ms", "1000")]);
    assert_eq!(cut(&[100, 200, 1500, 300], &week, 1200), Some(10), "exactly as old as allowed stays");
    assert_eq!(cut(&[100, 200, 1500, 300], &week, 1201), Some(20));
    assert_eq!(cut(&[100, 200, 1500, 300], &week, 1100), None);
    assert_eq!(cut(&[100, 200, 1500, 300], &week, 2501), Some(40), "all may go");
    assert_eq!(cut(&[100], &config(&[("retention.ms", "-1")]), i64::MAX), None);
    assert_eq!(cut(&[], &week, i64::MAX), None);
    let compacted = config(&[("retention.ms", "1000"), ("cleanup.policy", "compact")]);
    assert_eq!(cut(&[100], &compacted, 5000), None);
    let both = config(&[("retention.ms", "1000"), ("cleanup.policy", "compact,delete")]);
    assert_eq!(cut(&[100], &both, 5000), Some(10));
}

#[test]
fn what_has_no_time_goes_with_what_follows_it() {
    let week = config(&[("retention.ms", "1000")]);
    assert_eq!(cut(&[-1, -1, 100, -1, 5000], &week, 3000), Some(30));
    assert_eq!(cut(&[-1, 5000], &week, 3000), None);
}

#[test]
fn at_least_the_bytes_to_be_kept_are_kept() {
    let size = |bytes: &str| config(&[("retention.bytes", bytes), ("retention.ms", "-1")]);
    assert_eq!(cut(&[1; 5], &size("500"), 9), None);
    assert_eq!(cut(&[1; 5], &size("401"), 9), None);
    assert_eq!(cut(&[1; 5], &size("400"), 9), Some(10));
    assert_eq!(cut(&[1; 5], &size("150"), 9), Some(30));
    assert_eq!(cut(&[1; 5], &size("0"), 9), Some(50));
}
