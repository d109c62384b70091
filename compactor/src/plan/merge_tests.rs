//! When what is merged, by examples.

use siltstone_log::{BlockPlace, Encoding, ExtentPlace, RegistrationId, SegmentPlace, TopicId};

use super::*;
use crate::view::{PartitionView, ShardView};

fn rules() -> MergeRules {
    MergeRules {
        target_bytes: 1000,
        fan_in: 3,
        inline_bytes: 300,
        flushed_segments: 50,
        ..Default::default()
    }
}

fn extent(base: i64, segment: u64, length: u32, level: u8, segment_length: u64) -> Extent {
    let id = SegmentId { registration: RegistrationId(1), number: segment };
    let block = BlockPlace { start: 0, length, encoding: Encoding::Plain };
    let segment = SegmentPlace { id, inline: false, length: segment_length };
    let place = ExtentPlace::Stored { segment, block, start: 0, level };
    Extent { base, records: 10, bytes_before: 0, place, length, max_timestamp: 0 }
}

/// One view a partition, shard by shard in turn.
fn views(partitions: Vec<Vec<Extent>>) -> Views {
    let mut views = Views::new();
    for (n, extents) in partitions.into_iter().enumerate() {
        let mut view = PartitionView::default();
        for (ordinal, extent) in extents.iter().enumerate() {
            view.add(ordinal as u32, extent, &rules());
        }
        let shard: &mut ShardView = views.entry(ShardId(n as u16 % 2)).or_default();
        shard.partitions.insert(PartitionId { topic: TopicId(n as u128), index: 0 }, view);
    }
    views
}

fn flushed(base: i64, length: u32) -> Extent {
    extent(base, base as u64, length, 0, 1 << 20)
}

#[test]
fn what_was_flushed_waits_until_it_is_enough_or_old() {
    let few = views(vec![vec![flushed(0, 400), flushed(10, 400)], vec![flushed(0, 100)]]);
    assert_eq!(plan(&few, Duration::from_secs(1), &rules()), None);
    let old = plan(&few, Duration::from_secs(300), &rules()).unwrap();
    assert_eq!((old.level, old.batches.len(), old.batches[0].len()), (1, 1, 3));
    assert_eq!(old.why.to_string(), "flushed: 900 bytes in 2 segments, waiting for 300 s");
    let enough = views(vec![vec![flushed(0, 400), flushed(10, 400)], vec![flushed(0, 200)]]);
    assert!(plan(&enough, Duration::ZERO, &rules()).is_some());
    assert_eq!(plan(&Views::new(), Duration::from_secs(300), &rules()), None);
}

#[test]
fn a_merge_is_cut_into_segments_in_the_order_of_shards_and_partitions() {
    let many = |n: u32| (0..n).map(|k| flushed(i64::from(k) * 10, 300)).collect::<Vec<_>>();
    let three = vec![flushed(0, 300), flushed(10, 300), flushed(20, 200)];
    let all = views(vec![many(5), three, vec![flushed(0, 100)]]);
    let merge = plan(&all, Duration::ZERO, &rules()).unwrap();
    assert_eq!(merge.level, 1);
    let bases = |partition: u128| -> Vec<Vec<i64>> {
        let of = |batch: &Vec<Input>| {
            batch.iter().filter(|i| i.partition.topic == TopicId(partition)).map(|i| i.extent.base).collect()
        };
        merge.batches.iter().map(of).collect()
    };
    for batch in &merge.batches {
        assert!(batch.is_sorted_by_key(|i| (i.shard, i.partition, i.extent.base)));
    }
    // 2,400 bytes make two segments, each with its part of every partition, the oldest first.
    assert_eq!(bases(0), [vec![0, 10], vec![20, 30, 40]]);
    assert_eq!(bases(1), [vec![0], vec![10, 20]]);
    assert_eq!(bases(2), [vec![], vec![0]]);
    let backlog = plan(&views(vec![many(20)]), Duration::ZERO, &rules()).unwrap();
    let sizes = backlog.batches.iter().map(|batch| batch.len() * 300);
    assert!(
        backlog.batches.len() == 6 && sizes.max() <= Some(1250),
        "no batch reads much more than it writes"
    );
}

#[test]
fn a_batch_of_tiny_segments_still_fits_one_transaction() {
    let tiny = (0..50_000).map(|k| flushed(k * 10, 0)).collect::<Vec<_>>();
    let merge = plan(&views(vec![tiny]), Duration::from_secs(300), &rules()).unwrap();
    assert_eq!(merge.batches.iter().map(Vec::len).collect::<Vec<_>>(), [20_000, 20_000, 10_000]);
}

#[test]
fn levels_go_up_when_there_are_enough_segments() {
    let level1 = |n: u64| (0..n).map(|k| extent(k as i64 * 10, k, 100, 1, 1000)).collect::<Vec<_>>();
    assert_eq!(plan(&views(vec![level1(2)]), Duration::from_secs(999), &rules()), None);
    let merge = plan(&views(vec![level1(3)]), Duration::ZERO, &rules()).unwrap();
    assert_eq!((merge.level, merge.batches[0].len()), (TOP_LEVEL, 3));
    let small = |n: u64| (0..n).map(|k| extent(k as i64 * 10, k, 100, 2, 200)).collect::<Vec<_>>();
    assert_eq!(plan(&views(vec![small(2)]), Duration::ZERO, &rules()), None);
    assert_eq!(plan(&views(vec![small(3)]), Duration::ZERO, &rules()).unwrap().level, TOP_LEVEL);
    let settled = (0..9).map(|k| extent(k as i64 * 10, k, 100, 2, 1000)).collect::<Vec<_>>();
    assert_eq!(plan(&views(vec![settled]), Duration::from_secs(999), &rules()), None);
}

#[test]
fn what_is_not_due_says_what_it_waits_for() {
    let told = |views: &Views| -> Vec<_> {
        outlook(views, Duration::ZERO, &rules()).into_iter().map(|one| one.due).collect()
    };
    let nothing = || Err("there is nothing".to_owned());
    assert_eq!(told(&Views::new()), [nothing(), nothing(), nothing()]);
    let few = told(&views(vec![vec![flushed(0, 400)], vec![extent(0, 7, 100, 1, 1000)]]));
    let Err(waits) = &few[0] else { panic!("{few:?}") };
    assert!(waits.starts_with("waits for 600 bytes more, 300 of them in the metadata store, or 49 segments"));
    assert_eq!(few[1..], [Err("waits for 2 segments more".to_owned()), nothing()]);
    let enough = told(&views(vec![vec![flushed(0, 400), flushed(10, 600)]]));
    assert_eq!(enough[0], Ok("enough for a segment".to_owned()));
}
