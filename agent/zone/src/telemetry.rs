//! The metrics of this crate: every name, in one place.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

const PAGES: &str = "siltstone_zone_pages_total";
const ASKED: &str = "siltstone_peer_asked_total";
const ASKED_BYTES: &str = "siltstone_peer_asked_bytes_total";
const SECONDS: &str = "siltstone_peer_ask_seconds";
const SERVED: &str = "siltstone_peer_served_total";
const SERVED_BYTES: &str = "siltstone_peer_served_bytes_total";
const SERVING_BYTES: &str = "siltstone_peer_serving_bytes";
const CONNECTIONS: &str = "siltstone_peer_connections";
const REJECTED: &str = "siltstone_peer_rejected_connections_total";

/// Gives every metric of this crate its description and unit. Call once, after the recorder is installed.
pub fn describe() {
    describe_counter!(
        PAGES,
        "Pages that were not in the cache, by from: own (the bucket, this agent keeps them), alone (the bucket, there is nobody to ask), neighbour \
         (another agent), failed, late, skipped, distrusted (the bucket, because another agent failed, was late, had failed before, or a segment was damaged)."
    );
    describe_counter!(
        ASKED,
        "Requests for pages to other agents, by result: ok, unread (it could not read them either), failed, late."
    );
    describe_counter!(ASKED_BYTES, Unit::Bytes, "Bytes of pages that other agents gave.");
    describe_histogram!(SECONDS, Unit::Seconds, "Time until another agent gave a page.");
    describe_counter!(
        SERVED,
        "Requests for pages by other agents, by result: ok, unread, refused (of another cluster, or not well-formed), late (no room, or nothing read, in time)."
    );
    describe_counter!(SERVED_BYTES, Unit::Bytes, "Bytes of pages given to other agents.");
    describe_gauge!(SERVING_BYTES, Unit::Bytes, "Bytes of pages that are being given to other agents.");
    describe_gauge!(CONNECTIONS, "Open connections from other agents.");
    describe_counter!(
        REJECTED,
        "Connections to the listener for agents that ended before they could ask for anything, by reason: tls, name, protocol."
    );
}

pub(crate) fn page(from: &'static str) {
    counter!(PAGES, "from" => from).increment(1);
}

pub(crate) fn asked(result: &'static str) {
    counter!(ASKED, "result" => result).increment(1);
}

pub(crate) fn given(bytes: u64, took: Duration) {
    asked("ok");
    counter!(ASKED_BYTES).increment(bytes);
    histogram!(SECONDS).record(took.as_secs_f64());
}

pub(crate) fn served(result: &'static str) {
    counter!(SERVED, "result" => result).increment(1);
}

pub(crate) fn sent(bytes: usize) {
    counter!(SERVED_BYTES).increment(bytes as u64);
}

pub(crate) fn serving(bytes: f64) {
    gauge!(SERVING_BYTES).increment(bytes);
}

pub(crate) fn connected(change: f64) {
    gauge!(CONNECTIONS).increment(change);
}

pub(crate) fn rejected(reason: &'static str) {
    counter!(REJECTED, "reason" => reason).increment(1);
}
