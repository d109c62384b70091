//! The metrics of this crate: every name, in one place.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};

use crate::attempt::Kind;

const REQUESTS: &str = "siltstone_objects_requests_total";
const SECONDS: &str = "siltstone_objects_request_seconds";
const RETRIES: &str = "siltstone_objects_retries_total";
const HEDGES: &str = "siltstone_objects_hedges_total";
const HEDGE_WINS: &str = "siltstone_objects_hedge_wins_total";
const SLOW_DOWNS: &str = "siltstone_objects_slow_downs_total";
const BILLED: &str = "siltstone_objects_billed_requests_total";
const BYTES: &str = "siltstone_objects_bytes_total";
const CACHE_BYTES: &str = "siltstone_cache_bytes";
const CACHE_HITS: &str = "siltstone_cache_hits_total";
const CACHE_MISSES: &str = "siltstone_cache_misses_total";
const CACHE_JOINED: &str = "siltstone_cache_fetches_joined_total";
const CACHE_EVICTIONS: &str = "siltstone_cache_evictions_total";
const CACHE_PREFETCHES: &str = "siltstone_cache_prefetches_total";

/// Gives every metric of this crate its description and unit. Call once, after the recorder is installed.
pub fn describe() {
    describe_counter!(
        REQUESTS,
        "Attempts at the object store, by kind and result; hedges and retries count."
    );
    describe_histogram!(SECONDS, Unit::Seconds, "Time of attempts at the object store, by kind.");
    describe_counter!(RETRIES, "Attempts that followed a failed one, by kind.");
    describe_counter!(HEDGES, "Second requests sent because the first was slow, by kind.");
    describe_counter!(HEDGE_WINS, "Hedges that answered before the request that they doubled, by kind.");
    describe_counter!(SLOW_DOWNS, "Attempts that the store answered by asking for fewer, by kind.");
    describe_counter!(BILLED, "Attempts that cost money, by class: write (PUT, LIST) or read (GET, HEAD).");
    describe_counter!(BYTES, Unit::Bytes, "Bytes of objects put and got with success, by kind.");
    describe_gauge!(CACHE_BYTES, Unit::Bytes, "Bytes in the cache, fetches under way included.");
    describe_counter!(CACHE_HITS, "Pages and blocks that were in the cache, by part.");
    describe_counter!(CACHE_MISSES, "Pages and blocks that had to be fetched or made, by part.");
    describe_counter!(CACHE_JOINED, "Readers that waited for a fetch that another had begun, by part.");
    describe_counter!(CACHE_EVICTIONS, "Pages and blocks that made room for others.");
    describe_counter!(CACHE_PREFETCHES, "Pages read ahead, by result: started, or dropped for lack of room.");
}

/// The class of prices that an attempt falls into: what clouds call A and B, or "PUT, COPY, POST, LIST" and "GET and all others".
/// `None`: it costs nothing. Deletes are free, and so is what a store was too busy to do. What broke off may have been done: it counts.
fn class(kind: Kind, result: &str) -> Option<&'static str> {
    match kind {
        _ if result == "busy" => None,
        Kind::Put | Kind::List => Some("write"),
        Kind::Get | Kind::Head => Some("read"),
        Kind::Delete => None,
    }
}

pub(crate) fn request(kind: Kind, result: &'static str, took: Duration) {
    if let Some(class) = class(kind, result) {
        counter!(BILLED, "class" => class).increment(1);
    }
    counter!(REQUESTS, "kind" => kind.label(), "result" => result).increment(1);
    histogram!(SECONDS, "kind" => kind.label()).record(took.as_secs_f64());
}

pub(crate) fn retry(kind: Kind) {
    counter!(RETRIES, "kind" => kind.label()).increment(1);
}

pub(crate) fn slow_down(kind: Kind) {
    counter!(SLOW_DOWNS, "kind" => kind.label()).increment(1);
}

pub(crate) fn hedge(kind: Kind) {
    counter!(HEDGES, "kind" => kind.label()).increment(1);
}

pub(crate) fn hedge_won(kind: Kind) {
    counter!(HEDGE_WINS, "kind" => kind.label()).increment(1);
}

pub(crate) fn bytes(kind: Kind, bytes: u64) {
    counter!(BYTES, "kind" => kind.label()).increment(bytes);
}

pub(crate) fn cache_bytes(bytes: u64) {
    gauge!(CACHE_BYTES).set(bytes as f64);
}

pub(crate) fn cache_hit(part: &'static str) {
    counter!(CACHE_HITS, "part" => part).increment(1);
}

pub(crate) fn cache_miss(part: &'static str) {
    counter!(CACHE_MISSES, "part" => part).increment(1);
}

pub(crate) fn cache_joined(part: &'static str) {
    counter!(CACHE_JOINED, "part" => part).increment(1);
}

pub(crate) fn cache_evicted(count: u64) {
    counter!(CACHE_EVICTIONS).increment(count);
}

pub(crate) fn cache_prefetch(result: &'static str) {
    counter!(CACHE_PREFETCHES, "result" => result).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_are_priced_by_class() {
        let classes =
            [Kind::Put, Kind::List, Kind::Get, Kind::Head, Kind::Delete].map(|kind| class(kind, "ok"));
        assert_eq!(classes, [Some("write"), Some("write"), Some("read"), Some("read"), None]);
        assert_eq!(class(Kind::Put, "busy"), None);
        assert_eq!(class(Kind::Put, "dropped"), Some("write"));
    }
}
