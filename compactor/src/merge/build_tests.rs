//! Segments that merges make, read again.

use siltstone_log::{RegistrationId, TopicId};
use siltstone_records::{BatchBuilder, NewRecord, Scratch};

use super::*;

fn batch(records: usize, size: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        let value = vec![b'a' + n as u8 % 3; size];
        let record = NewRecord { timestamp: 1_000 + n as i64, key: None, value: Some(&value), headers: &[] };
        builder.push(&record).unwrap();
    }
    builder.build(&mut Scratch::new()).unwrap()
}

fn extent(base: i64, records: u64, length: usize, level: u8) -> Extent {
    let id = SegmentId { registration: RegistrationId(9), number: base as u64 };
    let block = BlockPlace { start: 0, length: length as u32, encoding: Encoding::Plain };
    let segment = SegmentPlace { id, inline: false, length: length as u64 };
    let place = ExtentPlace::Stored { segment, block, start: 0, level };
    Extent { base, records, bytes_before: base as u64 * 100, place, length: length as u32, max_timestamp: 0 }
}

fn builder(block_bytes: usize, compression: Option<i32>) -> SegmentBuilder {
    let id = SegmentId { registration: RegistrationId(1), number: 7 };
    SegmentBuilder::new(id, 5, BuildRules { block_bytes, compression, level: 1 })
}

const PARTITION: PartitionId = PartitionId { topic: TopicId(3), index: 1 };

/// Base offsets of the batches that an extent of the segment holds.
fn offsets(built: &Built, extent: &Extent) -> Vec<i64> {
    let whole: Vec<u8> = built.chunks.concat();
    assert_eq!(whole.len() as u64, built.place.length);
    let ExtentPlace::Stored { segment, block, level, .. } = extent.place else { panic!("a marker") };
    assert_eq!((segment, level), (built.place, 1));
    let stored = whole[block.start as usize..][..block.length as usize].to_vec();
    let raw = block.encoding.unpack(stored.into()).unwrap();
    assert_eq!(raw.len(), extent.length as usize);
    let all = siltstone_records::batches(raw).map(|batch| batch.unwrap());
    all.map(|batch| {
        assert!(batch.crc_is_valid());
        batch.base_offset
    })
    .collect()
}

#[test]
fn batches_keep_their_places_and_offsets_are_covered_without_a_hole() {
    let (a, b, c) = (batch(3, 100), batch(2, 400), batch(5, 10));
    for (block_bytes, compression, blocks) in [(1 << 20, None, 1), (600, None, 3), (1 << 20, Some(3), 1)] {
        let mut builder = builder(block_bytes, compression);
        builder.begin_run(ShardId(0), PARTITION);
        let ab: Bytes = [&a[..], &b[..]].concat().into();
        builder.extent(&extent(10, 5, ab.len(), 0), &ab).unwrap();
        builder.extent(&extent(15, 5, c.len(), 0), &c).unwrap();
        let built = builder.finish().unwrap();
        let new = &built.runs[0].new;
        assert_eq!(new.len(), blocks, "{block_bytes}");
        assert_eq!((new[0].base, new.last().unwrap().end()), (10, 20));
        assert!(new.windows(2).all(|pair| pair[0].end() == pair[1].base));
        let found: Vec<i64> = new.iter().flat_map(|extent| offsets(&built, extent)).collect();
        assert_eq!(found, [10, 13, 15]);
        assert_eq!(new[0].bytes_before, 1000);
        assert_eq!(built.runs[0].old.len(), 2);
        let footer = Footer::decode(built.chunks.last().unwrap()).unwrap();
        assert_eq!(footer.blocks.len(), blocks);
    }
}

#[test]
fn gaps_of_earlier_compaction_stay_gaps() {
    let mut first = batch(3, 50).to_vec();
    first[..8].copy_from_slice(&40_i64.to_be_bytes());
    let mut builder = builder(1 << 20, None);
    builder.begin_run(ShardId(0), PARTITION);
    builder.extent(&extent(30, 20, first.len(), 1), &first.into()).unwrap();
    let later = batch(2, 50);
    builder.extent(&extent(60, 2, later.len(), 0), &later).unwrap();
    builder.begin_run(ShardId(0), PARTITION);
    let empty = extent(70, 30, 0, 2);
    builder.extent(&empty, &Bytes::new()).unwrap();
    let built = builder.finish().unwrap();
    let new = &built.runs[0].new;
    assert_eq!((new.len(), new[0].base, new[0].end()), (1, 30, 62));
    assert_eq!(offsets(&built, &new[0]), [40, 60]);
    assert!(built.runs[1].new.is_empty(), "where nothing is, nothing is kept");
}

#[test]
fn damage_is_not_passed_on() {
    let whole = batch(3, 100);
    let try_with = |bytes: Vec<u8>, records: u64| {
        let mut builder = builder(1 << 20, None);
        builder.begin_run(ShardId(0), PARTITION);
        builder.extent(&extent(0, records, bytes.len(), 0), &bytes.into())
    };
    assert_eq!(try_with(whole.to_vec(), 3), Ok(()));
    let mut flipped = whole.to_vec();
    flipped[100] ^= 1;
    for (bytes, records) in
        [(flipped, 3), (whole.to_vec(), 4), (whole.to_vec(), 2), (whole[..90].to_vec(), 3)]
    {
        assert!(try_with(bytes, records).is_err());
    }
}
