//! Every message in every version, filled from a seed, survives encoding and decoding.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: helpers outside of test functions count as code"
)]

use bytes::Bytes;
use proptest::prelude::*;
use siltstone_kafka::testing::{Fill, Gen};
use siltstone_kafka::{
    ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription, Message, Request, RequestHead,
    Response, ResponseHeader, frame, versioned,
};

fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    ApiKey::ALL.iter().flat_map(|api| api.versions().map(|version| (*api, version)))
}

fn requests(seed: u64) {
    for (api, version) in every_version() {
        let mut g = Gen::new(seed ^ (api as u64) << 32 ^ version as u64);
        let mut request = Request::empty(api);
        request.fill(&mut g, version);
        let client_id = g.maybe(version, true);
        let head = RequestHead { api, version, correlation_id: g.value(version), client_id };
        let encoded = frame::encode_any_request(&head, &request).unwrap();
        assert_eq!(encoded.len(), encoded.chunks().iter().map(Bytes::len).sum::<usize>());
        let whole = encoded.into_bytes();
        assert_eq!(whole[..4], (whole.len() as i32 - 4).to_be_bytes());
        let decoded = frame::decode_request(&whole.slice(4..)).unwrap();
        assert_eq!(decoded, (head, request), "{api} request version {version}, seed {seed}");
    }
}

fn responses(seed: u64) {
    for (api, version) in every_version() {
        let mut g = Gen::new(seed ^ (api as u64) << 32 ^ version as u64);
        let mut response = Response::empty(api);
        response.fill(&mut g, version);
        let correlation_id = g.value(version);
        let whole = frame::encode_any_response(correlation_id, version, &response).unwrap().into_bytes();
        assert_eq!(whole[..4], (whole.len() as i32 - 4).to_be_bytes());
        let decoded = frame::decode_any_response(&whole.slice(4..), api, version).unwrap();
        assert_eq!(decoded, (correlation_id, response), "{api} response version {version}, seed {seed}");
    }
}

fn schema<M: Message + Fill + PartialEq + std::fmt::Debug>(seed: u64) {
    for version in M::VERSIONS {
        let message: M = Gen::new(seed).value(version);
        let alone = message.encode(version).unwrap().into_bytes();
        assert_eq!(M::decode(&alone, version).unwrap(), message);
        let with_version = versioned::encode(&message, version).unwrap();
        assert_eq!(versioned::decode::<M>(&with_version).unwrap(), (version, message));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_survive(seed in any::<u64>()) {
        requests(seed);
    }

    #[test]
    fn responses_survive(seed in any::<u64>()) {
        responses(seed);
    }

    #[test]
    fn schemas_survive(seed in any::<u64>()) {
        schema::<ResponseHeader>(seed);
        schema::<ConsumerProtocolSubscription>(seed);
        schema::<ConsumerProtocolAssignment>(seed);
    }
}

#[test]
fn defaults_encode_in_every_version() {
    for (api, version) in every_version() {
        Response::empty(api).encode(version).unwrap();
        let request = Request::empty(api);
        let encoded = request.encode(version).unwrap().into_bytes();
        assert_eq!(Request::decode(api, version, &encoded).unwrap(), request, "{api} version {version}");
    }
}
