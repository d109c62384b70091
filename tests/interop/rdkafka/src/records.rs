//! The records that every client writes (see harness/records.py).

use rdkafka::message::{Header, Headers, OwnedHeaders};

pub const COUNT: usize = 10_000;
pub const PARTITIONS: usize = 4;
pub const TOO_LARGE: usize = 2_000_000;
const CLIENT: &str = "rdkafka";

pub fn key(index: usize) -> Option<String> {
    (!index.is_multiple_of(97)).then(|| format!("key-{}", index % 100))
}

pub fn value(index: usize) -> Option<String> {
    (!index.is_multiple_of(89) || index.is_multiple_of(97))
        .then(|| format!("value-{index}-{}", "x".repeat(index % 200)))
}

pub fn headers(index: usize) -> OwnedHeaders {
    OwnedHeaders::new()
        .insert(Header { key: "index", value: Some(&index.to_string()) })
        .insert(Header { key: "client", value: Some(CLIENT) })
        .insert(Header { key: "empty", value: Some("") })
}

/// Headers as pairs, for comparison.
pub fn pairs(headers: &impl Headers) -> Vec<(String, Option<Vec<u8>>)> {
    headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
}

/// Offset of the first record of `partition` that is at least `after` milliseconds after the base.
pub fn seek_offset(after: usize, partition: usize) -> i64 {
    after.saturating_sub(partition).div_ceil(PARTITIONS) as i64
}
