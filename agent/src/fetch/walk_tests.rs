//! Walking extents whose bytes lie in pieces of any size.

use siltstone_log::{BlockPlace, Encoding, RegistrationId, SegmentId, SegmentPlace};
use siltstone_records::{BatchBuilder, NewRecord, Scratch, batches};

use super::*;

fn batch(records: usize, size: usize) -> Bytes {
    let mut builder = BatchBuilder::new();
    for n in 0..records {
        let value = vec![n as u8; size];
        builder
            .push(&NewRecord { timestamp: 1_000 + n as i64, key: None, value: Some(&value), headers: &[] })
            .unwrap();
    }
    builder.build(&mut Scratch::new()).unwrap()
}

/// Batches of different sizes, small ones among them.
fn sample() -> (Vec<Bytes>, Vec<u8>) {
    let all: Vec<Bytes> =
        [(3, 10), (1, 2_000), (5, 700), (1, 1), (2, 3_000)].map(|(n, size)| batch(n, size)).to_vec();
    let whole = all.concat();
    (all, whole)
}

fn extent(length: usize, records: u64) -> Extent {
    let id = SegmentId { registration: RegistrationId(1), number: 2 };
    Extent {
        base: 100,
        records,
        bytes_before: 0,
        place: ExtentPlace::Stored {
            segment: SegmentPlace { id, inline: false, length: 1 << 20 },
            block: BlockPlace { start: 0, length: length as u32, encoding: Encoding::Plain },
            start: 0,
            level: 0,
        },
        length: length as u32,
        max_timestamp: 0,
    }
}

fn rope(bytes: &[u8], piece: usize) -> Rope {
    let mut rope = Rope::new();
    bytes.chunks(piece).for_each(|chunk| rope.push(Bytes::copy_from_slice(chunk)));
    rope
}

#[test]
fn offsets_are_set_and_nothing_else_however_the_bytes_are_cut() {
    let (all, whole) = sample();
    for piece in [1, 7, 61, 1000, 4096, whole.len()] {
        let (extent, rope) = (extent(whole.len(), 12), rope(&whole, piece));
        let mut walk = Walk::new(&extent, &rope);
        let mut pieces = Pieces::default();
        while let Some(found) = walk.next().unwrap() {
            walk.check(&found).unwrap();
            walk.take(&found, &mut pieces);
        }
        pieces.flush();
        let served: Bytes = pieces.pieces.concat().into();
        assert_eq!(served.len(), pieces.bytes);
        let mut base = 100;
        let mut count = 0;
        for (served, sent) in batches(served).zip(&all) {
            let served = served.unwrap();
            assert_eq!((served.base_offset, served.leader_epoch), (base, 0));
            assert!(served.crc_is_valid());
            assert_eq!(served.bytes()[16..], sent[16..], "pieces of {piece}");
            base = served.last_offset() + 1;
            count += 1;
        }
        assert_eq!((base, count), (112, all.len()));
    }
}

#[test]
fn damage_is_found_and_named() {
    let (all, whole) = sample();
    let walk_all = |bytes: &[u8], records: u64| -> Result<(), String> {
        let (extent, rope) = (extent(bytes.len(), records), rope(bytes, 500));
        let mut walk = Walk::new(&extent, &rope);
        while let Some(found) = walk.next()? {
            walk.check(&found)?;
        }
        Ok(())
    };
    assert_eq!(walk_all(&whole, 12), Ok(()));
    let starts: Vec<usize> =
        all.iter().scan(0, |at, batch| Some(std::mem::replace(at, *at + batch.len()))).collect();
    for at in (0..whole.len()).step_by(7) {
        let within = at - starts.iter().rev().find(|start| **start <= at).unwrap();
        if matches!(within, 0..8 | 12..16) {
            continue; // base offset and leader epoch are set anew at every fetch
        }
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        let error = walk_all(&damaged, 12).expect_err("every other flip is found");
        assert!(error.contains("object seg/"), "{error}");
    }
    assert!(walk_all(&whole[..whole.len() - 1], 12).is_err());
    assert!(walk_all(&whole, 11).is_err());
    assert!(walk_all(&whole, 13).is_err());
}

fn merged(extent: Extent) -> Extent {
    let ExtentPlace::Stored { segment, block, start, .. } = extent.place else { unreachable!() };
    Extent { place: ExtentPlace::Stored { segment, block, start, level: 1 }, ..extent }
}

/// What the compactor writes carries its offsets, and may have gaps anywhere.
#[test]
fn merged_batches_keep_their_own_offsets() {
    let (all, _) = sample();
    let (mut whole, mut expected, mut base) = (Vec::new(), Vec::new(), 103);
    for batch in &all {
        let mut batch = batch.to_vec();
        batch[..8].copy_from_slice(&i64::to_be_bytes(base));
        expected.push(base);
        let header: &[u8; HEADER_LEN] = batch[..HEADER_LEN].try_into().unwrap();
        base += i64::from(Header::parse(header).last_offset_delta) + 1 + 5;
        whole.extend_from_slice(&batch);
    }
    let walked = |records: u64| -> Result<Vec<i64>, String> {
        let (extent, rope) = (merged(extent(whole.len(), records)), rope(&whole, 100));
        let mut walk = Walk::new(&extent, &rope);
        let mut found = Vec::new();
        while let Some(batch) = walk.next()? {
            walk.check(&batch)?;
            found.push(batch.base);
        }
        Ok(found)
    };
    assert_eq!(walked(1000), Ok(expected));
    assert!(walked(8).is_err(), "beyond the extent");
    let (first, rope) = (extent(whole.len(), 1000), rope(&whole, 100));
    let before = merged(Extent { base: 104, ..first });
    assert!(Walk::new(&before, &rope).next().is_err(), "before the extent");
}
