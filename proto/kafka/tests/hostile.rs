//! Bytes that lie. For every API and version: every length and count at its maximum, the end cut off at every
//! byte, and random changes. Nothing panics, and memory stays below the limit, which a counting allocator checks.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: helpers outside of test functions count as code"
)]
#![allow(
    unsafe_code,
    reason = "an allocator can't be written without; this one counts and hands on to the system's"
)]

use siltstone_kafka::testing::{Fill, Gen, LengthAt, fuzz_request};
use siltstone_kafka::{ApiKey, DecodeFault, Limits, Message, Request, RequestHead, Response, frame};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

struct Counting;

thread_local! {
    static NOW: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counters are plain thread-local numbers without
// destructors, and counting never allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let _ = NOW.try_with(|now| {
            now.set(now.get().wrapping_add(layout.size()));
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        });
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let _ = NOW.try_with(|now| now.set(now.get().wrapping_sub(layout.size())));
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most bytes that `run` had allocated at once, on this thread.
fn peak_of(run: impl FnOnce()) -> usize {
    // Start well above zero, so that freeing what was allocated before does not wrap.
    let base = usize::MAX / 2;
    NOW.set(base);
    PEAK.set(base);
    run();
    PEAK.get() - base
}

const LIMITS: Limits = Limits { memory: 64 << 10 };

/// Over the limit on arrays and strings: the message itself, the error, a rounded-up string.
const SLACK: usize = 16 << 10;

#[derive(Clone, Copy)]
enum Side {
    Request,
    Response,
}

fn filled(side: Side, api: ApiKey, version: i16, seed: u64) -> (Vec<u8>, Vec<LengthAt>) {
    let mut g = Gen::new(seed);
    let (encoded, lengths) = match side {
        Side::Request => {
            let mut request = Request::empty(api);
            request.fill(&mut g, version);
            request.encode_with_lengths(version).unwrap()
        }
        Side::Response => {
            let mut response = Response::empty(api);
            response.fill(&mut g, version);
            response.encode_with_lengths(version).unwrap()
        }
    };
    // Spliced records move what follows; such a seed is of no use for places of lengths.
    let lengths = if encoded.chunks().len() > 1 { Vec::new() } else { lengths };
    (encoded.into_bytes().to_vec(), lengths)
}

/// Decodes and checks the memory that it took. Gives whether the bytes were a message.
fn decode(side: Side, api: ApiKey, version: i16, bytes: Vec<u8>) -> bool {
    let bytes = bytes.into();
    let mut good = false;
    let peak = peak_of(|| {
        good = match side {
            Side::Request => Request::decode_within(api, version, &bytes, LIMITS).is_ok(),
            Side::Response => Response::decode_within(api, version, &bytes, LIMITS).is_ok(),
        }
    });
    assert!(
        peak <= LIMITS.memory + SLACK,
        "{api} version {version}: {peak} bytes for {} on the wire",
        bytes.len()
    );
    good
}

fn everything() -> Vec<(Side, ApiKey, i16)> {
    let sides = [Side::Request, Side::Response];
    let pairs = ApiKey::ALL.iter().flat_map(|api| api.versions().map(move |version| (*api, version)));
    pairs.flat_map(|(api, version)| sides.map(|side| (side, api, version))).collect()
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

#[test]
fn every_length_at_its_maximum() {
    let mut tried = 0;
    for (side, api, version) in everything() {
        for seed in 0..12 {
            let (bytes, lengths) = filled(side, api, version, seed);
            for at in lengths {
                // The largest lengths, positive and negative, in each encoding; none of them can be true.
                let maxima: &[u32] = if at.compact {
                    &[u32::MAX, i32::MAX as u32, 1 << 20]
                } else if at.width == 2 {
                    &[0x7fff, 0x8000]
                } else {
                    &[i32::MAX as u32, i32::MIN as u32, 1 << 20]
                };
                for value in maxima {
                    let good = decode(side, api, version, with_length(&bytes, at, *value));
                    assert!(!good, "{api} version {version} seed {seed}: {value} at {at:?} was believed");
                    tried += 1;
                }
            }
        }
    }
    println!("{tried} lying lengths");
    assert!(tried > 10_000, "only {tried} lengths were tried");
}

#[test]
fn cut_at_every_byte() {
    for (side, api, version) in everything() {
        for seed in 0..3 {
            let (bytes, _) = filled(side, api, version, seed);
            assert!(
                decode(side, api, version, bytes.clone()),
                "{api} version {version} seed {seed} as it is"
            );
            for end in 0..bytes.len() {
                let good = decode(side, api, version, bytes[..end].to_vec());
                assert!(!good, "{api} version {version} seed {seed}: cut at {end}");
            }
            let longer = [&bytes[..], &[0]].concat();
            assert!(
                !decode(side, api, version, longer),
                "{api} version {version} seed {seed}: one byte more"
            );
        }
    }
}

#[test]
fn random_changes() {
    for (side, api, version) in everything() {
        let mut g = Gen::new(u64::from(api as u16) << 16 | version as u64);
        for seed in 0..4 {
            let (original, _) = filled(side, api, version, seed);
            for _ in 0..40 {
                let mut bytes = original.clone();
                let changes = if bytes.is_empty() { 0 } else { 1 + g.below(4) };
                for _ in 0..changes {
                    let place = g.below(bytes.len() as u64) as usize;
                    bytes[place] = [0, 0xff, 0x7f, 0x80, g.bits() as u8][g.below(5) as usize];
                }
                decode(side, api, version, bytes);
            }
        }
    }
}

#[test]
fn random_frames() {
    let mut g = Gen::new(1);
    for _ in 0..20_000 {
        let api = ApiKey::ALL[g.below(ApiKey::ALL.len() as u64) as usize];
        let mut bytes = api.code().to_be_bytes().to_vec();
        bytes.extend((g.below(16) as i16).to_be_bytes());
        bytes.extend((0..g.below(80)).map(|_| if g.flip() { g.below(4) as u8 } else { g.bits() as u8 }));
        fuzz_request(&bytes);
    }
}

/// A request whose structs are a byte or two on the wire and large in memory stops at the limit, and the
/// error says where.
#[test]
fn small_structs_are_charged() {
    let count: u32 = 4 << 20;
    let mut bytes = (count + 1).to_varint();
    bytes.resize(bytes.len() + count as usize * 3, 0);
    let body = bytes.into();
    let error =
        Request::decode_within(ApiKey::DeleteTopics, 5, &body, Limits { memory: 16 << 20 }).unwrap_err();
    assert_eq!(error.field(), "Request.TopicNames");
    assert_eq!(*error.fault(), DecodeFault::Memory(16 << 20));
}

trait ToVarint {
    fn to_varint(self) -> Vec<u8>;
}

impl ToVarint for u32 {
    fn to_varint(mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        while self >= 0x80 {
            bytes.push(self as u8 | 0x80);
            self >>= 7;
        }
        bytes.push(self as u8);
        bytes
    }
}

#[test]
fn headers_are_taken_as_kafka_takes_them() {
    // ApiVersions in a version of the future: header 2, null client id, an unknown tagged field.
    let future: &[u8] = &[0, 18, 0, 99, 0, 0, 0, 7, 0xff, 0xff, 1, 5, 2, 1, 2, 42];
    let (head, body) = RequestHead::decode(&bytes::Bytes::from_static(future)).unwrap();
    assert_eq!(
        head,
        RequestHead { api: ApiKey::ApiVersions, version: 99, correlation_id: 7, client_id: None }
    );
    assert_eq!(&body[..], &[42]);
    let unknown =
        frame::decode_request(&bytes::Bytes::from_static(&[3, 0xe8, 0, 0, 0, 0, 0, 1])).unwrap_err();
    assert_eq!(*unknown.fault(), DecodeFault::UnknownApi(1000));
    let short = RequestHead::decode(&bytes::Bytes::from_static(&[0, 18, 0])).unwrap_err();
    assert!(matches!(short.fault(), DecodeFault::Truncated { needed: 2, remaining: 1 }), "{short}");
}

#[test]
fn errors_say_where_and_what() {
    use siltstone_kafka::{EncodeFault, fetch, metadata};
    let mut request = fetch::Request::default();
    request.forgotten_topics_data.push(Default::default());
    let error = request.encode(4).unwrap_err();
    assert_eq!((error.field(), error.fault()), ("Request.ForgottenTopicsData", &EncodeFault::NotInVersion));
    let error = metadata::Request { topics: None, ..Default::default() }.encode(0).unwrap_err();
    assert_eq!(error.fault(), &EncodeFault::Null);
    let topic = metadata::request::Topic { name: Some("x".repeat(32_768)), ..Default::default() };
    let error = metadata::Request { topics: Some(vec![topic]), ..Default::default() }.encode(12).unwrap_err();
    assert_eq!((error.field(), error.fault()), ("Topic.Name", &EncodeFault::StringTooLong(32_768)));
    assert_eq!(fetch::Request::default().encode(3).unwrap_err().fault(), &EncodeFault::UnsupportedVersion(3));

    let null_topics = bytes::Bytes::from_static(&[0xff; 4]);
    let error = metadata::Request::decode(&null_topics, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Metadata request version 0, Request.Topics at byte 4: null is not allowed"
    );
    let not_utf8 = bytes::Bytes::from_static(&[2, 0xff]);
    let error = Request::decode(ApiKey::ConsumerGroupHeartbeat, 0, &not_utf8).unwrap_err();
    assert_eq!((error.field(), error.fault()), ("Request.GroupId", &DecodeFault::Utf8));
    let long_varint = bytes::Bytes::from_static(&[0xff; 9]);
    let error = Request::decode(ApiKey::ConsumerGroupHeartbeat, 0, &long_varint).unwrap_err();
    assert_eq!(error.fault(), &DecodeFault::Varint);
}
