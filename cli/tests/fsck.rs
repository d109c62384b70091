//! fsck on a small cluster in this process: clean whatever the cluster does, and each kind of damage found and named.

#[path = "fsck/cluster.rs"]
mod cluster;

use std::collections::BTreeMap;

use bytes::Bytes;
use cluster::{Cluster, extents_of, kinds};
use siltstone_agent::produce::Placement;
use siltstone_compactor::fsck::finding::Kind;
use siltstone_compactor::fsck::repair::Repaired;
use siltstone_log::{
    AbortedRow, ChunkRow, Extent, PartitionId, PartitionRow, RegistrationId, SegmentId, SegmentRow, ShardId,
    ShardSet, TopicId, decode_extents, encode_extents, shard_of,
};
use siltstone_metadata::keys::{
    extent_chunk, inline_segment, partition_row, parts, segment_row, segment_trash, segment_use,
};
use siltstone_store::Mutation;

const SHARDS: u16 = 4;

/// A cluster that was written, merged and trimmed, and stands still: its first topic, and its second.
async fn settled() -> (Cluster, TopicId, TopicId) {
    let mut cluster = Cluster::start(SHARDS).await;
    let (objects, mixed) = (cluster.topic("objects", 2).await, cluster.topic("mixed", 2).await);
    for round in 0..6 {
        cluster.produce(objects, round % 2, Placement::Object, 5).await;
        cluster.produce(mixed, round % 2, Placement::Inline, 3).await;
    }
    cluster.work(4).await;
    // These stay as they are flushed.
    cluster.patient().await;
    for round in 0..4 {
        cluster.produce(objects, round % 2, Placement::Object, 2).await;
        cluster.produce(mixed, round % 2, Placement::Inline, 2).await;
    }
    cluster.checkpoint().await;
    cluster.stop().await;
    (cluster, objects, mixed)
}

#[tokio::test(start_paused = true)]
async fn nothing_is_wrong_with_a_cluster_at_work() {
    let mut cluster = Cluster::start(SHARDS).await;
    let (a, b) = (cluster.topic("a", 2).await, cluster.topic("b", 1).await);
    assert_eq!(cluster.found(true).await, []);
    for round in 0..12 {
        cluster.produce(a, round % 2, Placement::Object, 5).await;
        cluster.produce(b, 0, Placement::Inline, 1).await;
        assert_eq!(cluster.found(true).await, [], "round {round}");
        if round % 3 == 2 {
            cluster.checkpoint().await;
            assert_eq!(cluster.found(true).await, [], "checkpoint of round {round}");
            cluster.pass().await;
            assert_eq!(cluster.found(true).await, [], "pass of round {round}");
        }
    }
    cluster.trim(a, 0, 12).await;
    cluster.work(3).await;
    let report = cluster.report(true).await;
    assert_eq!(report.findings, []);
    let checked = report.checked;
    let counts =
        [checked.partitions, checked.extents, checked.segments, checked.objects, checked.read_segments];
    assert!(counts.iter().all(|count| *count > 0), "{checked:?}");
    cluster.delete("a").await;
    assert_eq!(cluster.found(true).await, []);
    for _ in 0..6 {
        cluster.work(1).await;
        assert_eq!(cluster.found(true).await, []);
    }
    cluster.stop().await;
    assert_eq!(cluster.found(true).await, []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_wrong_with_transactions_that_ended_either_way() {
    let mut cluster = Cluster::start(SHARDS).await;
    let topic = cluster.topic("t", 3).await;
    let partition = |index| PartitionId { topic, index };
    for round in 0..9 {
        let placement = if round % 2 == 0 { Placement::Object } else { Placement::Inline };
        let two = [partition(round % 3), partition((round + 1) % 3)];
        cluster.transaction(&two, placement, round % 3 != 1).await;
        cluster.produce(topic, round % 3, placement, 1).await;
        assert_eq!(cluster.found(true).await, [], "round {round}");
        if round % 3 == 2 {
            cluster.work(2).await;
            assert_eq!(cluster.found(true).await, [], "after round {round}");
        }
    }
    let aborted = (0..3).map(|index| cluster.row_of(partition(index)));
    let aborted: Vec<_> = futures::future::join_all(aborted).await;
    assert!(aborted.iter().any(|row| row.aborted.is_some()), "{aborted:?}");
    for index in 0..3 {
        cluster.trim(topic, index, 5).await;
    }
    cluster.work(3).await;
    assert_eq!(cluster.found(true).await, []);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_wrong_with_what_was_compacted_by_key() {
    let mut cluster = Cluster::start(SHARDS).await;
    let configs =
        [("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.01"), ("delete.retention.ms", "0")];
    let topic = cluster.topic_with("t", 2, &configs).await;
    let partition = |index| PartitionId { topic, index };
    for round in 0..8 {
        let placement = if round % 2 == 0 { Placement::Object } else { Placement::Inline };
        cluster.produce(topic, 0, placement, 3).await;
        cluster.transaction(&[partition(0), partition(1)], placement, round % 3 != 1).await;
        cluster.work(1).await;
        assert_eq!(cluster.found(true).await, [], "round {round}");
    }
    cluster.work(4).await;
    assert!(cluster.cleaned(partition(0)).await, "nothing was compacted");
    cluster.stop().await;
    assert_eq!(cluster.found(true).await, []);
}

#[tokio::test(start_paused = true)]
async fn objects_that_are_missing_cut_off_or_damaged_are_found() {
    let (cluster, objects, _) = settled().await;
    assert_eq!(cluster.found(true).await, []);
    let partition = PartitionId { topic: objects, index: 0 };
    let all = extents_of(&cluster, partition).await;
    let extent = *all.last().unwrap();
    let (id, whole) = cluster.segment_of(&extent).await;
    cluster.delete_object(id).await;
    let found = cluster.report(false).await.findings;
    let here = found.iter().find(|one| one.place.partition == Some(partition)).unwrap();
    assert_eq!((here.kind, here.place.segment), (Kind::MissingObject, Some(id)));
    assert_eq!(here.place.offsets, Some((extent.base, extent.end())));
    assert!(kinds(&found).keys().eq([&Kind::MissingObject]), "{found:?}");

    cluster.put(&id.object_name(), whole.slice(..whole.len() - 9)).await;
    assert!(kinds(&cluster.found(true).await).keys().eq([&Kind::WrongLength]));
    let mut bad = whole.to_vec();
    bad[70] ^= 1;
    cluster.put(&id.object_name(), bad.into()).await;
    assert_eq!(cluster.found(false).await, [], "only a deep look reads objects");
    let found = cluster.found(true).await;
    assert!(kinds(&found).keys().eq([&Kind::Block]) && found[0].place.segment == Some(id), "{found:?}");
    let mut bad = whole.to_vec();
    let end = bad.len();
    bad[end - 20] ^= 1;
    cluster.put(&id.object_name(), bad.into()).await;
    assert_eq!(kinds(&cluster.found(true).await), BTreeMap::from([(Kind::Footer, 1)]));
    cluster.put(&id.object_name(), whole).await;
    assert_eq!(cluster.found(true).await, []);
}

#[tokio::test(start_paused = true)]
async fn segments_that_the_metadata_has_wrong_are_found() {
    let (cluster, _, mixed) = settled().await;
    let partition = PartitionId { topic: mixed, index: 1 };
    let extent = *extents_of(&cluster, partition).await.last().unwrap();
    let place = extent.segment().unwrap();
    assert!(place.inline);
    let key = segment_row::key(place.id);
    let row = cluster.get(&key).await.unwrap();

    let range = parts::range(&inline_segment::prefix(place.id));
    let stored = cluster.range(&range).await;
    cluster.commit(vec![Mutation::ClearRange { range }]).await;
    let found = cluster.found(true).await;
    assert_eq!(kinds(&found), BTreeMap::from([(Kind::MissingInline, 1)]));
    assert_eq!(found[0].place.offsets, Some((extent.base, extent.end())));
    cluster.restore(stored).await;

    cluster.commit(vec![Mutation::Clear { key: key.clone() }]).await;
    // Without its row nothing explains its bytes but that they are used.
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::MissingRow, 1)]));
    let of = SegmentRow::decode(&row).unwrap();
    let nobody = SegmentRow { shards: ShardSet::of([], SHARDS), ..of };
    cluster.commit(vec![segment_row::set(place.id, &nobody)]).await;
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::RowWithoutShard, 1)]));
    cluster.commit(vec![Mutation::Set { key: key.clone(), value: b"?"[..].into() }]).await;
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::Undecodable, 1)]));
    cluster.restore(vec![(key, row)]).await;
    cluster.commit(vec![segment_trash::put(place.id, true, place.length)]).await;
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::TrashInUse, 1)]));
}

#[tokio::test(start_paused = true)]
async fn chunks_and_rows_that_are_wrong_are_found() {
    let (cluster, objects, _) = settled().await;
    let partition = PartitionId { topic: objects, index: 1 };
    let shard = shard_of(partition, SHARDS);
    let chunks = cluster.range(&extent_chunk::between(shard, partition, 0, i64::MAX)).await;
    let (key, value) = chunks.last().unwrap().clone();
    let extents = decode_extents(&value).unwrap();
    let set = |key: &Bytes, value: Vec<u8>| vec![Mutation::Set { key: key.clone(), value: value.into() }];

    cluster.commit(vec![Mutation::Clear { key: key.clone() }]).await;
    let found = kinds(&cluster.found(false).await);
    assert!(
        [Kind::Gap, Kind::Count, Kind::LastChunk].iter().all(|kind| found.contains_key(kind)),
        "{found:?}"
    );
    cluster.commit(set(&key, b"?".to_vec())).await;
    assert!(kinds(&cluster.found(false).await).contains_key(&Kind::Undecodable));
    let mut later = extents.clone();
    let last = later.last_mut().unwrap();
    *last = Extent { max_timestamp: last.max_timestamp + 1, ..*last };
    cluster.commit(set(&key, encode_extents(&later))).await;
    assert_eq!(cluster.found(false).await, []);
    assert_eq!(kinds(&cluster.found(true).await), BTreeMap::from([(Kind::Disagrees, 1)]));
    let mut twice = extents.clone();
    twice.extend(extents.last());
    cluster.commit(set(&key, encode_extents(&twice))).await;
    let found = kinds(&cluster.found(false).await);
    assert!(
        [Kind::Order, Kind::Count, Kind::LastChunk].iter().all(|kind| found.contains_key(kind)),
        "{found:?}"
    );
    cluster.restore(chunks).await;

    let prefix = partition_row::prefix(shard, partition);
    let range = parts::range(&prefix);
    let stored = cluster.range(&range).await;
    let row = PartitionRow::decode(&stored[0].1).unwrap();
    let aborted = Some(AbortedRow { chunk: ChunkRow { base: 3, extents: 1 }, last: 3 });
    cluster.commit(set(&stored[0].0, PartitionRow { aborted, ..row }.encode())).await;
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::Aborted, 1)]));
    cluster.commit(set(&stored[0].0, b"?".to_vec())).await;
    assert!(kinds(&cluster.found(false).await).contains_key(&Kind::Undecodable));
    cluster.restore(stored.clone()).await;

    let mut elsewhere = Vec::new();
    let other = ShardId((shard.0 + 1) % SHARDS);
    parts::set(&mut elsewhere, &partition_row::prefix(other, partition), &stored[0].1);
    cluster.commit(elsewhere).await;
    assert!(kinds(&cluster.found(false).await).contains_key(&Kind::Misplaced));
    let range = parts::range(&partition_row::prefix(other, partition));
    cluster.commit(vec![Mutation::ClearRange { range }]).await;

    let gone = PartitionId { topic: TopicId(99), index: 0 };
    let mut row = Vec::new();
    let value = PartitionRow::default().encode().into();
    parts::set(&mut row, &partition_row::prefix(shard_of(gone, SHARDS), gone), &value);
    cluster.commit(row).await;
    assert_eq!(kinds(&cluster.found(false).await), BTreeMap::from([(Kind::LeftoverPartition, 1)]));
}

#[tokio::test(start_paused = true)]
async fn what_is_left_over_or_counted_wrong_is_repaired_and_nothing_else() {
    let (mut cluster, objects, _) = settled().await;
    let partition = PartitionId { topic: objects, index: 0 };
    let shard = shard_of(partition, SHARDS);
    let extent = *extents_of(&cluster, partition).await.last().unwrap();
    let (used, whole) = cluster.segment_of(&extent).await;
    let nobody = RegistrationId(0x1234);
    let left = SegmentId { registration: nobody, number: 7 };
    let inline = SegmentId { registration: nobody, number: 8 };
    cluster.put(&left.object_name(), b"left"[..].into()).await;
    cluster.put("seg/ours/not", b"strange"[..].into()).await;
    let mut planted = vec![segment_use::add(shard, used, 1)];
    parts::set_new(&mut planted, &inline_segment::prefix(inline), &b"left"[..].into());
    cluster.commit(planted).await;
    // Something that can't be repaired, and must be left alone.
    let mut bad = whole.to_vec();
    bad[70] ^= 1;
    cluster.put(&used.object_name(), bad.into()).await;

    let report = cluster.report(true).await;
    let expected =
        [Kind::Block, Kind::Count, Kind::LeftoverObject, Kind::StrangeObject, Kind::LeftoverInline];
    assert_eq!(report.kinds(), expected.into_iter().map(|kind| (kind, 1)).collect(), "{:?}", report.findings);
    let repaired = cluster.repair(&report).await;
    let all = [Repaired::Recount(shard), Repaired::LookThrough(nobody), Repaired::Cleared(inline)];
    assert_eq!(repaired, all);
    // An agent counts, a compactor looks through.
    cluster.resume().await;
    cluster.work(4).await;
    cluster.stop().await;
    let found = cluster.found(true).await;
    // What is damaged is neither merged nor deleted.
    assert_eq!(kinds(&found), BTreeMap::from([(Kind::StrangeObject, 1), (Kind::Block, 1)]), "{found:?}");
}

#[tokio::test(start_paused = true)]
async fn a_cluster_that_changes_while_it_is_looked_at_gives_no_false_alarm() {
    let mut cluster = Cluster::start(SHARDS).await;
    let (a, b) = (cluster.topic("a", 2).await, cluster.topic("b", 1).await);
    let looks = tokio::spawn(cluster.slow_looks(12));
    let mut rounds = 0;
    while !looks.is_finished() {
        rounds += 1;
        cluster.produce(a, rounds % 2, Placement::Object, 5).await;
        cluster.produce(b, 0, Placement::Inline, 1).await;
        cluster.trim(a, 0, i64::from(rounds) * 2 - 20).await;
        cluster.nap().await;
        if rounds % 3 == 0 {
            cluster.pass().await;
        }
    }
    let reports = looks.await.unwrap();
    assert!(rounds > 12, "{rounds}");
    assert!(reports.iter().any(|report| report.checked.torn), "no look was slow enough to see a change");
    for report in &reports {
        assert!(report.is_clean(), "{:?}", report.findings);
    }
}
