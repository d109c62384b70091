//! A compactor beside an agent: what is merged, trimmed or deleted, as a reader and as the bucket see it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod erase;
mod kit;

use siltstone_agent::produce::Placement;
use siltstone_log::{PartitionId, RegistrationId, SegmentId, ShardId, TopicRow};
use siltstone_metadata::keys::{
    condemned_topic, extent_chunk, inline_segment, segment_row, segment_trash, segment_use,
};
use siltstone_store::KeyRange;

use kit::{GRACE, Setup, ids};

fn objects(setup: &Setup) -> usize {
    setup.bucket.names().len()
}

#[tokio::test(start_paused = true)]
async fn what_is_merged_reads_as_before_from_a_tenth_of_the_objects() {
    let mut setup = Setup::new().await;
    let all = ids(&setup.topic("t", 6, &[]).await);
    for round in 0..120 {
        let placement = if round % 4 == 0 { Placement::Inline } else { Placement::Object };
        setup.write(&all, placement, 900).await;
    }
    let mut before = Vec::new();
    for partition in &all {
        before.push(setup.read(*partition, 0).await);
    }
    assert!(before.iter().all(|records| records.len() == 120));
    assert_eq!(objects(&setup), 90);
    setup.work(12 + GRACE.as_secs()).await;
    assert!(objects(&setup) <= 9, "{} objects are left", objects(&setup));
    assert_eq!(setup.keys(inline_segments()).await, 0, "nothing is left in the metadata store");
    assert_eq!(setup.keys(segment_row::all()).await, objects(&setup));
    // Also by an agent's reader whose chunks are from before: it looks again.
    for (partition, before) in all.iter().zip(&before) {
        assert_eq!(&setup.read(*partition, 0).await, before);
        assert_eq!(&setup.read(*partition, 50).await, &before[50..]);
    }
}

fn inline_segments() -> KeyRange {
    let id = SegmentId { registration: RegistrationId(0), number: 0 };
    KeyRange::prefix(inline_segment::prefix(id).slice(..1))
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_started_before_a_merge_ends_without_an_error() {
    let mut setup = Setup::new().await;
    let all = ids(&setup.topic("t", 2, &[]).await);
    for _ in 0..60 {
        setup.write(&all, Placement::Object, 3_000).await;
    }
    // Until the fold lets go of what it holds: from now on the reader goes by chunks.
    setup.work(3).await;
    let whole = setup.read(all[0], 0).await;
    let mut seen = Vec::new();
    for step in 0..60 {
        let next = setup.read(all[0], step).await.swap_remove(0);
        seen.push(next);
        if step % 3 == 0 {
            setup.work(1).await;
        }
    }
    assert_eq!(seen, whole);
    assert!(objects(&setup) < 10, "{} objects: there was no merge", objects(&setup));
}

async fn leftovers(setup: &Setup) -> Vec<usize> {
    let mut counts = vec![objects(setup), setup.keys(segment_row::all()).await];
    counts.push(setup.keys(segment_trash::all()).await);
    counts.push(setup.keys(inline_segments()).await);
    for shard in (0..3).map(ShardId) {
        counts.push(setup.keys(segment_use::of_shard(shard)).await);
        counts.push(setup.keys(extent_chunk::of_shard(shard)).await);
        counts.push(setup.keys(condemned_topic::of_shard(shard)).await);
    }
    counts
}

#[tokio::test(start_paused = true)]
async fn a_deleted_topic_leaves_nothing_behind() {
    let mut setup = Setup::new().await;
    let topic = setup.topic("t", 7, &[]).await;
    for round in 0..30 {
        let placement = if round % 2 == 0 { Placement::Inline } else { Placement::Object };
        setup.write(&ids(&topic), placement, 500).await;
    }
    setup.work(5).await;
    // Some of it is merged, some is not in rows yet.
    setup.write(&ids(&topic), Placement::Object, 500).await;
    setup.write(&ids(&topic), Placement::Inline, 500).await;
    setup.engine.changes().delete("t", topic.id).await.unwrap();
    setup.work(10 + GRACE.as_secs()).await;
    assert_eq!(leftovers(&setup).await, vec![0; 13]);
}

#[tokio::test(start_paused = true)]
async fn retention_that_is_lowered_takes_effect_within_a_minute() {
    let mut setup = Setup::new().await;
    let topic = setup.topic("t", 3, &[]).await;
    let all = ids(&topic);
    for _ in 0..20 {
        setup.write(&all, Placement::Object, 2_000).await;
    }
    setup.work(60).await;
    let bounds = setup.engine.reader().fresh_bounds(all[0]).await.unwrap();
    assert_eq!((bounds.log_start, bounds.high_watermark), (0, 20));
    let lower = |row: &mut TopicRow| {
        row.configs.insert("retention.ms".to_owned(), "30000".to_owned());
        Ok(())
    };
    setup.engine.changes().alter("t", lower).await.unwrap();
    setup.work(10).await;
    for partition in &all {
        let bounds = setup.engine.reader().fresh_bounds(*partition).await.unwrap();
        assert_eq!((bounds.log_start, bounds.high_watermark), (20, 20));
    }
    setup.work(5 + GRACE.as_secs()).await;
    assert_eq!(objects(&setup), 0, "and the bytes are given back");
    // What comes now stays for its time.
    setup.write(&all, Placement::Object, 100).await;
    setup.work(10).await;
    assert_eq!(setup.read(all[1], 20).await.len(), 1);
    setup.work(40).await;
    assert_eq!(setup.engine.reader().fresh_bounds(all[1]).await.unwrap().log_start, 21);
}

#[tokio::test(start_paused = true)]
async fn bytes_beyond_the_size_that_is_kept_go() {
    let mut setup = Setup::new().await;
    let topic = setup.topic("t", 1, &[("retention.bytes", "20000")]).await;
    let partition: PartitionId = ids(&topic)[0];
    for _ in 0..50 {
        setup.write(&[partition], Placement::Object, 1_000).await;
    }
    setup.work(10).await;
    let left =
        setup.read(partition, setup.engine.reader().fresh_bounds(partition).await.unwrap().log_start).await;
    let bytes: usize = left.iter().map(|(_, batch)| batch.len() + 16).sum();
    assert!((20_000..40_000).contains(&bytes), "{bytes} bytes are left");
    assert_eq!(left.last().unwrap().0, 49);
}
