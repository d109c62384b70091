//! The other opinion: the crate `kafka-protocol` reads what we write, and writes the same bytes again.
//!
//! It trails Kafka 4.2, so only versions that both know are compared; how many that are is checked, lest the
//! comparison shrinks unseen.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: helpers outside of test functions count as code"
)]

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey as TheirKey, RequestKind, ResponseKind};
use siltstone_kafka::testing::{Fill, Gen};
use siltstone_kafka::{ApiKey, Request, Response};

const SEEDS: u64 = 60;

/// Versions of requests that the other crate names and does not have.
const NOT_THEIRS: &[(ApiKey, i16)] =
    &[(ApiKey::OffsetCommit, 10), (ApiKey::OffsetFetch, 10), (ApiKey::InitProducerId, 6)];

/// The APIs and versions that both crates know.
fn common() -> Vec<(ApiKey, TheirKey, i16)> {
    let mut found = Vec::new();
    for api in ApiKey::ALL {
        let Ok(theirs) = TheirKey::try_from(api.code()) else { continue };
        let known = theirs.valid_versions();
        let both = api.versions().filter(|version| (known.min..=known.max).contains(version));
        found.extend(both.map(|version| (*api, theirs, version)));
    }
    found
}

#[test]
fn most_versions_are_compared() {
    let ours: usize = ApiKey::ALL.iter().map(|api| api.versions().count()).sum();
    let both = common().len();
    println!("{both} of {ours} versions are known to both");
    assert!(both * 100 >= ours * 90, "{both} of {ours}");
}

#[test]
fn header_versions_agree() {
    for (api, theirs, version) in common() {
        assert_eq!(
            api.request_header_version(version),
            theirs.request_header_version(version),
            "{api} {version}"
        );
        assert_eq!(
            api.response_header_version(version),
            theirs.response_header_version(version),
            "{api} {version}"
        );
    }
}

#[test]
fn requests_agree() {
    for (api, theirs, version) in common() {
        if NOT_THEIRS.contains(&(api, version)) {
            continue;
        }
        for seed in 0..SEEDS {
            let mut request = Request::empty(api);
            request.fill(&mut Gen::new(seed), version);
            let ours = request.encode(version).unwrap().into_bytes();
            let place = format!("{api} request version {version} seed {seed}");
            let mut unread = ours.clone();
            let decoded =
                RequestKind::decode(theirs, &mut unread, version).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert!(unread.is_empty(), "{place}: {} bytes unread", unread.len());
            let mut again = BytesMut::new();
            decoded.encode(&mut again, version).unwrap_or_else(|e| panic!("{place}: {e}"));
            let again = check(&place, &ours, again);
            assert_eq!(Request::decode(api, version, &again).unwrap(), request, "{place}");
        }
    }
}

#[test]
fn responses_agree() {
    for (api, theirs, version) in common() {
        for seed in 0..SEEDS {
            let mut response = Response::empty(api);
            response.fill(&mut Gen::new(seed), version);
            let ours = response.encode(version).unwrap().into_bytes();
            let place = format!("{api} response version {version} seed {seed}");
            let mut unread = ours.clone();
            let decoded =
                ResponseKind::decode(theirs, &mut unread, version).unwrap_or_else(|e| panic!("{place}: {e}"));
            assert!(unread.is_empty(), "{place}: {} bytes unread", unread.len());
            let mut again = BytesMut::new();
            decoded.encode(&mut again, version).unwrap_or_else(|e| panic!("{place}: {e}"));
            let again = check(&place, &ours, again);
            assert_eq!(Response::decode(api, version, &again).unwrap(), response, "{place}");
        }
    }
}

fn check(place: &str, ours: &Bytes, theirs: BytesMut) -> Bytes {
    let theirs = theirs.freeze();
    assert_eq!(ours, &theirs, "{place}");
    theirs
}
