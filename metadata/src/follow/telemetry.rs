//! The metrics of following: every name, in one place.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const SHARDS: &str = "siltstone_follow_shards";
const LAG: &str = "siltstone_follow_lag_seconds";
const LOOKS: &str = "siltstone_follow_looks_total";
const ROUNDS: &str = "siltstone_follow_rounds_total";
const CHANGES: &str = "siltstone_follow_changes_total";

/// Says what the metrics mean. Call once, after the recorder is installed.
pub fn describe() {
    describe_gauge!(SHARDS, "Shards that this agent follows.");
    describe_gauge!(
        LAG,
        Unit::Seconds,
        "Time since the followed shard that is furthest behind was known to be up to date; at 5 a shard is not served."
    );
    describe_counter!(LOOKS, "Looks at all followed shards together, by result: ok or error.");
    describe_counter!(ROUNDS, "Rounds of single shards, which read their logs, by result: ok or error.");
    describe_counter!(CHANGES, "Shards whose following has begun, and that were let go, by change.");
}

pub(super) fn followed(shards: usize, lag: Duration) {
    gauge!(SHARDS).set(shards as f64);
    gauge!(LAG).set(lag.as_secs_f64());
}

pub(super) fn look(ok: bool) {
    counter!(LOOKS, "result" => result(ok)).increment(1);
}

pub(super) fn round(ok: bool) {
    counter!(ROUNDS, "result" => result(ok)).increment(1);
}

pub(super) fn changed(change: &'static str) {
    counter!(CHANGES, "change" => change).increment(1);
}

fn result(ok: bool) -> &'static str {
    if ok { "ok" } else { "error" }
}
