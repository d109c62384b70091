//! Every length and count of every API and version that the server advertises, in turn at its maximum, over a real socket.

use siltstone_kafka::testing::{Fill, Gen, LengthAt};
use siltstone_kafka::{ApiKey, Request, RequestHead, api_versions, frame};

use crate::kit::{Client, Server};
use crate::{ALONE, Bystander, memory, memory_from_here};

/// Bytes that follow a lie, for counts that need some before they are found out.
const MORE: usize = 256 << 10;
/// What the memory of server and clients together may grow by.
const GROWTH_MIB: u64 = 96;

fn maxima(at: LengthAt) -> &'static [u32] {
    if at.compact {
        &[u32::MAX, i32::MAX as u32, 1 << 20]
    } else if at.width == 2 {
        &[0x7fff, 0x8000, 0x7ffe]
    } else {
        &[i32::MAX as u32, i32::MIN as u32, 1 << 20]
    }
}

/// The bytes with the length at `at` replaced by `value`.
fn with_length(bytes: &[u8], at: LengthAt, value: u32) -> Vec<u8> {
    let mut changed = bytes[..at.offset].to_vec();
    let mut width = at.width;
    if at.compact {
        width = 1 + bytes[at.offset..].iter().take_while(|byte| **byte >= 0x80).count();
        let mut rest = value;
        while rest >= 0x80 {
            changed.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        changed.push(rest as u8);
    } else if at.width == 2 {
        changed.extend((value as u16).to_be_bytes());
    } else {
        changed.extend(value.to_be_bytes());
    }
    changed.extend(&bytes[at.offset + width..]);
    changed
}

/// A request with its size, around a body.
fn framed(api: ApiKey, version: i16, body: &[u8]) -> Vec<u8> {
    let mut rest = api.code().to_be_bytes().to_vec();
    rest.extend(version.to_be_bytes());
    rest.extend([0, 0, 0, 1, 0xff, 0xff]);
    if api.is_flexible(version) {
        rest.push(0);
    }
    rest.extend(body);
    [&(rest.len() as i32).to_be_bytes()[..], &rest].concat()
}

/// A request's body, and where its lengths are.
fn filled(api: ApiKey, version: i16, seed: u64) -> (Vec<u8>, Vec<LengthAt>) {
    let mut request = Request::empty(api);
    request.fill(&mut Gen::new(seed), version);
    let (encoded, lengths) = request.encode_with_lengths(version).unwrap();
    // Records that are spliced in move what follows: of no use here.
    let lengths = if encoded.chunks().len() > 1 { Vec::new() } else { lengths };
    (encoded.into_bytes().to_vec(), lengths)
}

/// Sends a frame on a connection of its own; an answer or the end must come in time.
async fn answered(server: &Server, frame: &[u8]) -> bool {
    let mut client: Client = server.client().await;
    client.try_raw(frame).await;
    client.frame().await.is_some()
}

async fn lie(server: &Server, api: ApiKey, version: i16, seed: u64, tried: &mut usize, believed: &mut usize) {
    let (body, lengths) = filled(api, version, seed);
    for (index, at) in lengths.into_iter().enumerate() {
        let value = maxima(at)[(index + version as usize) % 3];
        let mut bytes = with_length(&body, at, value);
        if (index + version as usize).is_multiple_of(4) {
            bytes.resize(bytes.len() + MORE, 0);
        }
        *tried += 1;
        *believed += usize::from(answered(server, &framed(api, version, &bytes)).await);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lengths_that_lie_cost_their_connection_and_no_memory() {
    let _alone = ALONE.lock().await;
    let server = Server::start().await;
    let bystander = Bystander::new(&server).await;
    let served = server.client().await.call(0, &api_versions::Request::default()).await.api_keys;
    // Once before memory is looked at: what every API needs once.
    let mut before = None;
    let (mut tried, mut believed) = (0, 0);
    for seed in 0..3 {
        for entry in &served {
            let api = *ApiKey::ALL.iter().find(|api| api.code() == entry.api_key).unwrap();
            for version in (entry.min_version..=entry.max_version).filter(|version| api.supports(*version)) {
                lie(&server, api, version, seed, &mut tried, &mut believed).await;
            }
        }
        before = before.or_else(memory_from_here);
    }
    let after = memory();
    let asked = bystander.done().await;
    assert!(tried > 1000, "only {tried} lies");
    // A count of zeros that is true by chance is a request; almost none is.
    assert!(believed * 20 < tried, "{believed} of {tried} lies were answered");
    assert!(asked > 10, "others were answered {asked} times");
    if let (Some((now, _)), Some((_, most))) = (before, after) {
        assert!(most < now + GROWTH_MIB, "memory grew from {now} to {most} MiB");
    }
    println!("{tried} lies, {believed} answered; others {asked} times; memory {before:?}, {after:?} MiB");
}

#[test]
fn frames_are_those_of_the_encoder() {
    for (api, version) in [(ApiKey::Metadata, 1), (ApiKey::Metadata, 12), (ApiKey::ApiVersions, 3)] {
        let request = Request::empty(api);
        let head = RequestHead { api, version, correlation_id: 1, client_id: None };
        let whole = frame::encode_any_request(&head, &request).unwrap().into_bytes();
        let (body, _) = request.encode_with_lengths(version).unwrap();
        assert_eq!(framed(api, version, &body.into_bytes()), whole, "{api} version {version}");
    }
}
