//! Bytes that lie: every one gets an error, none a panic, and none more memory than the caller allows.

// Helpers of tests are tests, which clippy's own exception for them doesn't see.
#![allow(clippy::unwrap_used)]

use std::io::Write;

use bytes::Bytes;
use siltstone_records::{
    Batch, BatchBuilder, Compression, FrameError, NewRecord, RecordFault, RecordsError, Refusal, Rules,
    Scratch, TimestampType, batches, control_batch, decompress, fuzz_batches, stored_header, validate,
};

const NOW: i64 = 1_700_000_000_000;

fn sample(codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new().compression(codec, None);
    for i in 0..5i64 {
        let value = format!("value {i} ").repeat(9).into_bytes();
        let headers = [("name", Some(&b"header"[..])), ("none", None)];
        let record =
            NewRecord { timestamp: NOW + i, key: Some(b"key"), value: Some(&value), headers: &headers };
        builder.push(&record).unwrap();
    }
    builder.build(&mut Scratch::new()).unwrap().to_vec()
}

/// Length and CRC made right again, so that what lies behind them is what gets tested.
fn sealed(mut bytes: Vec<u8>) -> Bytes {
    let length = bytes.len() as i32 - 12;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

fn with_body(codec: Compression, count: i32, body: &[u8]) -> Bytes {
    let mut bytes = sample(codec)[..61].to_vec();
    bytes[23..27].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[57..61].copy_from_slice(&count.to_be_bytes());
    bytes.extend_from_slice(body);
    sealed(bytes)
}

fn check(bytes: impl Into<Bytes>) -> Result<(), Refusal> {
    validate(&bytes.into(), &Rules::defaults(NOW), &mut Scratch::new()).map(drop)
}

fn patched(at: usize, with: &[u8]) -> Bytes {
    let mut bytes = sample(Compression::None);
    bytes[at..at + with.len()].copy_from_slice(with);
    sealed(bytes)
}

fn assert_invalid(bytes: Bytes, what: &str) {
    let found = check(bytes);
    assert!(matches!(found, Err(Refusal::InvalidRecord(_))), "{what}: {found:?}");
}

#[test]
fn truncation_at_every_byte_is_refused() {
    for codec in Compression::ALL {
        let bytes = Bytes::from(sample(codec));
        check(bytes.clone()).unwrap();
        for len in 0..bytes.len() {
            let cut = bytes.slice(..len);
            let found = check(cut.clone());
            assert!(matches!(found, Err(Refusal::InvalidRecord(_))), "{codec:?} at {len}: {found:?}");
            let framed = batches(cut).next();
            assert!(
                len == 0 || matches!(framed, Some(Err(FrameError::Truncated { at: 0, .. }))),
                "{framed:?}"
            );
        }
    }
}

#[test]
fn truncation_behind_a_right_length_and_crc_is_refused() {
    for codec in Compression::ALL {
        let bytes = sample(codec);
        for len in 61..bytes.len() {
            let found = check(sealed(bytes[..len].to_vec()));
            assert!(matches!(found, Err(Refusal::InvalidRecord(_))), "{codec:?} at {len}: {found:?}");
        }
    }
}

#[test]
fn every_flipped_bit_is_refused() {
    for codec in Compression::ALL {
        let bytes = sample(codec);
        // The leader epoch is the broker's to set, and nothing covers it.
        for bit in (0..bytes.len() * 8).filter(|bit| !(96..128).contains(bit)) {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            let found = check(flipped);
            assert!(found.is_err(), "{codec:?} bit {bit}");
            let under_crc = bit / 8 >= 21 || (17..21).contains(&(bit / 8));
            let codec_changed = bit / 8 == 22;
            if under_crc && !codec_changed {
                assert!(matches!(found, Err(Refusal::Corrupt(_))), "{codec:?} bit {bit}: {found:?}");
            }
        }
    }
}

#[test]
fn flipped_bits_behind_a_right_crc_never_panic() {
    for codec in Compression::ALL {
        let bytes = sample(codec);
        for bit in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            fuzz_batches(&flipped);
        }
    }
}

#[test]
fn headers_that_disagree_are_refused() {
    let max = i32::MAX.to_be_bytes();
    assert_invalid(patched(57, &max), "count at its maximum");
    assert_invalid(patched(23, &max), "last offset delta at its maximum");
    assert_invalid(patched(57, &[0, 0, 0, 0]), "no records");
    assert_invalid(patched(57, &(-1i32).to_be_bytes()), "a negative count");
    assert_invalid(patched(0, &1i64.to_be_bytes()), "a base offset");
    assert_invalid(patched(43, &5i64.to_be_bytes()), "a producer id without sequence and epoch");
    assert_invalid(patched(43, &(-2i64).to_be_bytes()), "a producer id below none");
    assert_invalid(patched(21, &[0, 0x10]), "a transaction without a producer");
    assert_invalid(patched(21, &[0, 0x20]), "a control batch");
    assert_invalid(patched(21, &[0, 0x40]), "a delete horizon");
    assert_invalid(control_batch(siltstone_records::Marker::Commit, 1, 1, 0, NOW), "a real control batch");
    let mut two = sample(Compression::None);
    two.extend(sample(Compression::None));
    assert_invalid(two.into(), "two batches");
    let mut huge = sample(Compression::None)[..61].to_vec();
    huge[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
    huge[57..61].copy_from_slice(&max);
    assert_invalid(sealed(huge), "counts that agree, and no records");
}

#[test]
fn refusals_tell_apart_what_kafka_does() {
    for codec in 5..8u8 {
        assert_eq!(check(patched(21, &[0, codec])), Err(Refusal::UnsupportedCompression { codec }));
    }
    let rules = Rules { zstd_allowed: false, ..Rules::defaults(NOW) };
    let zstd = validate(&sample(Compression::Zstd).into(), &rules, &mut Scratch::new());
    assert_eq!(zstd.map(drop), Err(Refusal::UnsupportedCompression { codec: 4 }));
    for magic in 0..2u8 {
        assert_eq!(check(patched(16, &[magic])), Err(Refusal::UnsupportedMagic { magic: magic as i8 }));
    }
    assert!(matches!(check(patched(16, &[3])), Err(Refusal::Corrupt(_))));
    let mut short = sample(Compression::None);
    short[8..12].copy_from_slice(&48i32.to_be_bytes());
    assert!(matches!(check(short), Err(Refusal::Corrupt(_))));
    let bytes = Bytes::from(sample(Compression::None));
    let size = bytes.len();
    let exact = Rules { max_message_bytes: size, ..Rules::defaults(NOW) };
    assert!(validate(&bytes, &exact, &mut Scratch::new()).is_ok());
    let less = Rules { max_message_bytes: size - 1, ..exact };
    let found = validate(&bytes, &less, &mut Scratch::new()).map(drop);
    assert_eq!(found, Err(Refusal::TooLarge { size, max: size - 1 }));
}

#[test]
fn timestamps_and_keys_are_judged_record_by_record() {
    let mut builder = BatchBuilder::new();
    for (timestamp, key) in
        [(NOW, Some(&b"k"[..])), (NOW - 11, None), (NOW + 21, Some(b"k")), (-1, Some(b"k"))]
    {
        builder.push(&NewRecord { timestamp, key, ..NewRecord::default() }).unwrap();
    }
    let bytes = builder.build(&mut Scratch::new()).unwrap();
    let check = |rules: &Rules| validate(&bytes, rules, &mut Scratch::new()).map(drop);
    let free = Rules::defaults(NOW);
    assert_eq!(check(&free), Ok(()));
    let compacted = Rules { compacted: true, ..free };
    assert_eq!(check(&compacted), Err(Refusal::InvalidRecords { faults: vec![(1, RecordFault::NoKey)] }));
    let late = |timestamp| RecordFault::Timestamp { timestamp, earliest: NOW - 10, latest: NOW + 20 };
    let narrow = Rules { timestamp_before_max_ms: 10, timestamp_after_max_ms: 20, ..free };
    let faults = vec![(1, late(NOW - 11)), (2, late(NOW + 21))];
    assert_eq!(check(&narrow), Err(Refusal::InvalidTimestamp { faults }));
    let faults = vec![(1, RecordFault::NoKey), (2, late(NOW + 21))];
    assert_eq!(check(&Rules { compacted: true, ..narrow }), Err(Refusal::InvalidTimestamp { faults }));
    let append = Rules { timestamp_type: TimestampType::LogAppend, ..narrow };
    let checked = validate(&bytes, &append, &mut Scratch::new()).unwrap();
    assert_eq!((checked.max_timestamp, checked.max_timestamp_delta), (NOW, Some(0)));
    let stored = [&stored_header(&checked).unwrap()[..], &bytes[61..]].concat();
    assert!(Batch::parse(&stored.into()).unwrap().crc_is_valid());
}

#[test]
fn a_producer_may_not_set_the_append_time() {
    let mut builder = BatchBuilder::new().log_append_time(NOW);
    builder.push(&NewRecord { timestamp: NOW, ..NewRecord::default() }).unwrap();
    let bytes = builder.build(&mut Scratch::new()).unwrap();
    let faults = vec![(0, RecordFault::LogAppendTime)];
    assert_eq!(check(bytes), Err(Refusal::InvalidTimestamp { faults }));
}

#[test]
fn a_wrong_max_timestamp_is_put_right() {
    let bytes = patched(35, &7i64.to_be_bytes());
    let checked = validate(&bytes, &Rules::defaults(NOW), &mut Scratch::new()).unwrap();
    assert_eq!((checked.max_timestamp, checked.max_timestamp_delta), (NOW + 4, Some(4)));
    let stored = [&stored_header(&checked).unwrap()[..], &bytes[61..]].concat();
    assert_eq!(stored, sample(Compression::None));
}

#[test]
fn records_that_lie_are_refused() {
    let body = |body: &[u8]| with_body(Compression::None, 1, body);
    check(body(&[12, 0, 0, 0, 1, 1, 0])).unwrap();
    let long = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    for (what, bytes) in [
        ("a length that overflows", &long[..]),
        ("a negative length", &[1, 0, 0, 0, 1, 1, 0]),
        ("a length too small", &[10, 0, 0, 0, 1, 1, 0]),
        ("a length too large", &[14, 0, 0, 0, 1, 1, 0]),
        ("a byte left over", &[12, 0, 0, 0, 1, 1, 0, 0]),
        ("an offset delta of 1", &[12, 0, 0, 2, 1, 1, 0]),
        ("an offset delta of -1", &[12, 0, 0, 1, 1, 1, 0]),
        ("a key length of -2", &[12, 0, 0, 0, 3, 1, 0]),
        ("a key beyond the record", &[12, 0, 0, 0, 40, 1, 0]),
        ("a key at the maximum", &[20, 0, 0, 0, 0xfe, 0xff, 0xff, 0xff, 0x0f, 1, 0]),
        ("headers at the maximum", &[20, 0, 0, 0, 1, 1, 0xfe, 0xff, 0xff, 0xff, 0x0f]),
        ("minus one headers", &[12, 0, 0, 0, 1, 1, 1]),
        ("a header without a name", &[16, 0, 0, 0, 1, 1, 2, 1, 0]),
    ] {
        assert_invalid(body(bytes), what);
    }
    // Ten bytes of timestamp delta, the last with bits that 64 don't have.
    let mut delta = vec![30, 0];
    delta.extend([0xff; 9]);
    delta.extend([2, 0, 1, 1, 0]);
    assert_invalid(body(&delta), "a timestamp delta that overflows");
    (delta[2], delta[11]) = (0xfe, 1);
    assert_invalid(body(&delta), "a timestamp delta beyond what the base leaves");
}

/// 1 GiB of zeros under each codec, made without holding it.
fn bomb(codec: Compression) -> Vec<u8> {
    let zeros = vec![0u8; 1 << 20];
    let mib = 1 << 10;
    match codec {
        Compression::None => Vec::new(),
        Compression::Gzip => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            (0..mib).for_each(|_| out.write_all(&zeros).unwrap());
            out.finish().unwrap()
        }
        Compression::Zstd => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            (0..mib).for_each(|_| out.write_all(&zeros).unwrap());
            out.finish().unwrap()
        }
        Compression::Lz4 => {
            let mut out = lz4_flex::frame::FrameEncoder::new(Vec::new());
            (0..mib / 16).for_each(|_| out.write_all(&zeros).unwrap());
            out.finish().unwrap()
        }
        Compression::Snappy => {
            // One raw block, and its framed twin many times over.
            let block = snap::raw::Encoder::new().compress_vec(&zeros).unwrap();
            let mut out = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
            for _ in 0..mib / 16 {
                out.extend((block.len() as u32).to_be_bytes());
                out.extend(&block);
            }
            out
        }
    }
}

#[test]
fn bombs_of_every_codec_stop_at_the_cap_and_leave_nothing_behind() {
    const CAP: usize = 3 << 20;
    for codec in &Compression::ALL[1..] {
        let bomb = bomb(*codec);
        let mut scratch = Scratch::new();
        let rules = Rules { max_decompressed: CAP, max_message_bytes: usize::MAX, ..Rules::defaults(NOW) };
        let found = decompress(*codec, &bomb, CAP, &mut scratch);
        assert_eq!(found, Err(RecordsError::TooLarge { max: CAP }), "{codec:?}");
        // Zeros are records of length 0, whose first byte is already missing its end.
        let walked = validate(&with_body(*codec, i32::MAX, &bomb), &rules, &mut scratch).map(drop);
        assert!(matches!(walked, Err(Refusal::InvalidRecord(_))), "{codec:?}: {walked:?}");
        let batch = Batch::parse(&with_body(*codec, i32::MAX, &bomb)).unwrap();
        assert_eq!(batch.records(CAP, &mut scratch).map(drop), Err(RecordsError::TooLarge { max: CAP }));
        assert!(scratch.held() < 6 << 20, "{codec:?} holds {}", scratch.held());
    }
}

#[test]
fn a_bomb_that_is_a_proper_record_stops_at_the_cap() {
    const CAP: usize = 3 << 20;
    let value = vec![0u8; CAP + 100];
    for codec in &Compression::ALL[1..] {
        let mut scratch = Scratch::new();
        let mut builder = BatchBuilder::new().compression(*codec, None);
        builder.push(&NewRecord { timestamp: NOW, value: Some(&value), ..NewRecord::default() }).unwrap();
        let bytes = builder.build(&mut scratch).unwrap();
        let rules = Rules { max_decompressed: CAP, ..Rules::defaults(NOW) };
        let found = validate(&bytes, &rules, &mut scratch).map(drop);
        assert_eq!(found, Err(Refusal::TooLargeDecompressed { max: CAP }), "{codec:?}");
        let enough = Rules { max_decompressed: CAP + 200, ..rules };
        assert!(validate(&bytes, &enough, &mut scratch).is_ok(), "{codec:?}");
    }
}

#[test]
fn lz4_that_java_cannot_read_is_refused() {
    let records = &sample(Compression::None)[61..];
    let with = |info| {
        let mut out = lz4_flex::frame::FrameEncoder::with_frame_info(info, Vec::new());
        out.write_all(records).unwrap();
        out.finish().unwrap()
    };
    let info = lz4_flex::frame::FrameInfo::new().content_checksum(true).block_checksums(true);
    let independent = with(info.clone());
    check(with_body(Compression::Lz4, 5, &independent)).unwrap();
    let linked = with(info.clone().block_mode(lz4_flex::frame::BlockMode::Linked));
    assert_invalid(with_body(Compression::Lz4, 5, &linked), "linked blocks");
    let read = decompress(Compression::Lz4, &linked, 1 << 20, &mut Scratch::new());
    assert_eq!(read.as_deref(), Ok(records));
    let without_end = with(lz4_flex::frame::FrameInfo::new());
    let without_end = &without_end[..without_end.len() - 4];
    assert_invalid(with_body(Compression::Lz4, 5, without_end), "no end mark");
}

#[test]
fn a_thousand_faults_are_enough() {
    let mut builder = BatchBuilder::new();
    for _ in 0..5000 {
        builder.push(&NewRecord { timestamp: NOW, ..NewRecord::default() }).unwrap();
    }
    let bytes = builder.build(&mut Scratch::new()).unwrap();
    let rules = Rules { compacted: true, ..Rules::defaults(NOW) };
    let refusal = validate(&bytes, &rules, &mut Scratch::new()).unwrap_err();
    assert_eq!(refusal.faults().len(), 1000);
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { cases: 2000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn arbitrary_bytes_never_panic(data in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
        fuzz_batches(&data);
    }

    #[test]
    fn damaged_bodies_never_panic(
        codec in 0..5usize, at in 61..200usize, with in proptest::collection::vec(proptest::prelude::any::<u8>(), 1..20)
    ) {
        let mut bytes = sample(Compression::ALL[codec]);
        let at = at.min(bytes.len());
        bytes.splice(at..(at + with.len()).min(bytes.len()), with);
        fuzz_batches(&bytes);
    }
}
