//! Each kind of damage, planted in a block.

use siltstone_log::{Encoding, RegistrationId, TopicId};
use siltstone_records::{BatchBuilder, NewRecord, Scratch};

use super::*;

const SEGMENT: SegmentId = SegmentId { registration: RegistrationId(5), number: 1 };

fn batch(base: i64, times: &[i64]) -> Bytes {
    let mut builder = BatchBuilder::new().base_offset(base);
    for timestamp in times {
        let value = Some(&b"some value"[..]);
        builder.push(&NewRecord { timestamp: *timestamp, key: None, value, headers: &[] }).unwrap();
    }
    builder.build(&mut Scratch::default()).unwrap()
}

/// Two batches: three records, then two.
fn bytes() -> Bytes {
    [batch(10, &[7, 9, 8]), batch(15, &[4, 5])].concat().into()
}

fn claim(merged: bool, records: u64) -> Claim {
    let raw = bytes();
    let block = BlockPlace { start: 0, length: raw.len() as u32, encoding: Encoding::Plain };
    let partition = PartitionId { topic: TopicId(7), index: 1 };
    let length = raw.len() as u32;
    Claim {
        shard: ShardId(3),
        partition,
        block,
        start: 0,
        length,
        records,
        max_timestamp: 9,
        base: Some(10),
        merged,
    }
}

fn look(claim: &Claim, stored: &Bytes, checksum: Option<u32>) -> Vec<Kind> {
    block(SEGMENT, &claim.block, checksum, stored, &[claim]).into_iter().map(|found| found.kind).collect()
}

#[test]
fn what_agrees_gives_no_finding() {
    let raw = bytes();
    let checksum = Some(crc32c::crc32c(&raw));
    assert_eq!(look(&claim(false, 5), &raw, checksum), []);
    assert_eq!(look(&claim(true, 7), &raw, checksum), []);
    assert_eq!(
        look(&Claim { max_timestamp: 99, ..claim(true, 7) }, &raw, checksum),
        [],
        "compaction took it"
    );
    let packed = Bytes::from(zstd::bulk::compress(&raw, 1).unwrap());
    let encoding = Encoding::Zstd { raw_length: raw.len() as u32 };
    let block = BlockPlace { start: 0, length: packed.len() as u32, encoding };
    assert_eq!(look(&Claim { block, ..claim(false, 5) }, &packed, Some(crc32c::crc32c(&packed))), []);
}

#[test]
fn claims_that_disagree_are_found() {
    let raw = bytes();
    for wrong in [
        claim(false, 6),
        claim(true, 6),
        Claim { base: Some(11), ..claim(true, 7) },
        Claim { max_timestamp: 8, ..claim(true, 7) },
        Claim { max_timestamp: 10, ..claim(false, 5) },
        Claim { length: raw.len() as u32 + 1, ..claim(false, 5) },
    ] {
        assert_eq!(look(&wrong, &raw, None), [Kind::Disagrees], "{wrong:?}");
    }
}

#[test]
fn damaged_bytes_are_found_with_and_without_a_footer() {
    let raw = bytes();
    let mut bad = raw.to_vec();
    bad[70] ^= 1;
    let bad = Bytes::from(bad);
    let checksum = Some(crc32c::crc32c(&raw));
    assert_eq!(look(&claim(false, 5), &bad, checksum), [Kind::Block]);
    assert_eq!(look(&claim(false, 5), &bad, None), [Kind::Batch]);
    assert_eq!(look(&Claim { start: 1, length: 99, ..claim(false, 5) }, &raw, checksum), [Kind::Batch]);
    let found = block(SEGMENT, &claim(false, 5).block, checksum, &bad, &[]);
    assert_eq!(found.len(), 1, "damage that no extent lies in counts, too");
    let block = BlockPlace { encoding: Encoding::Zstd { raw_length: 9 }, ..claim(false, 5).block };
    assert_eq!(look(&Claim { block, ..claim(false, 5) }, &raw, checksum), [Kind::Block]);
}

#[test]
fn a_footer_must_be_the_segment_s_and_hold_every_block() {
    let claim = claim(false, 5);
    let of = FooterBlock { partition: claim.partition, place: claim.block, checksum: 1 };
    let whole = Footer { id: SEGMENT, at: 0, blocks: vec![of] };
    let kinds = |f: &Footer| {
        footer(SEGMENT, f, std::slice::from_ref(&claim)).iter().map(|f| f.kind).collect::<Vec<_>>()
    };
    assert_eq!(kinds(&whole), []);
    let other = SegmentId { number: 2, ..SEGMENT };
    assert_eq!(kinds(&Footer { id: other, ..whole.clone() }), [Kind::Footer]);
    assert_eq!(kinds(&Footer { blocks: vec![], ..whole.clone() }), [Kind::Disagrees]);
    let partition = PartitionId { index: 9, ..of.partition };
    assert_eq!(kinds(&Footer { blocks: vec![FooterBlock { partition, ..of }], ..whole }), [Kind::Disagrees]);
}
