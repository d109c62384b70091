//! Reading extents from rows.

use siltstone_log::{
    BlockPlace, Encoding, Extent, ExtentPlace, PartitionId, RegistrationId, SegmentId, SegmentPlace, TopicId,
    encode_extents,
};
use siltstone_store::Mutation;

use super::kit::*;
use crate::keys::extent_chunk;
use crate::rows::{RowsError, chunk_at, chunks_from};

const P: PartitionId = PartitionId { topic: TopicId(5), index: 1 };

fn extent(base: i64, records: u64) -> Extent {
    let segment = SegmentId { registration: RegistrationId(1), number: base as u64 };
    Extent {
        base,
        records,
        bytes_before: 0,
        place: ExtentPlace::Stored {
            segment: SegmentPlace { id: segment, inline: false, length: 10 },
            block: BlockPlace { start: 0, length: 10, encoding: Encoding::Plain },
            start: 0,
            level: 0,
        },
        length: 10,
        max_timestamp: 0,
    }
}

/// Chunks 0..10 10..20, 20..25 25..30, then nothing up to 50, then 50..60 70..80.
async fn cluster() -> Cluster {
    let cluster = Cluster::new(1).await;
    let chunks =
        [[extent(0, 10), extent(10, 10)], [extent(20, 5), extent(25, 5)], [extent(50, 10), extent(70, 10)]];
    let mut all: Vec<(PartitionId, Vec<Extent>)> = chunks.iter().map(|chunk| (P, chunk.to_vec())).collect();
    // Neighbours that must never be found.
    all.push((PartitionId { index: 0, ..P }, vec![extent(40, 10)]));
    all.push((PartitionId { index: 2, ..P }, vec![extent(0, 100)]));
    for (id, chunk) in all {
        let key = extent_chunk::key(SHARD, id, chunk[0].base);
        cluster.put(vec![Mutation::Set { key, value: encode_extents(&chunk).into() }]).await;
    }
    cluster
}

#[tokio::test(start_paused = true)]
async fn the_chunk_that_holds_an_offset_or_follows_it_is_found() {
    let cluster = cluster().await;
    let snapshot = cluster.snapshot();
    let cases = [
        (0, Some(0)),
        (9, Some(0)),
        (19, Some(0)),
        (20, Some(20)),
        (29, Some(20)),
        (30, Some(50)),
        (49, Some(50)),
        (50, Some(50)),
        (65, Some(50)),
        (79, Some(50)),
        (80, None),
        (i64::MAX, None),
    ];
    for (offset, base) in cases {
        let chunk = chunk_at(snapshot.as_ref(), SHARD, P, offset).await.unwrap();
        assert_eq!(chunk.first().map(|first| first.base), base, "offset {offset}");
    }
}

#[tokio::test(start_paused = true)]
async fn chunks_are_read_on_over_gaps_up_to_a_limit() {
    let cluster = cluster().await;
    let snapshot = cluster.snapshot();
    let bases = async |offset, limit| {
        let all = chunks_from(snapshot.as_ref(), SHARD, P, offset, limit).await.unwrap();
        all.into_iter().map(|extent| extent.base).collect::<Vec<_>>()
    };
    assert_eq!(bases(5, 10).await, [0, 10, 20, 25, 50, 70]);
    assert_eq!(bases(5, 2).await, [0, 10, 20, 25]);
    assert_eq!(bases(29, 1).await, [20, 25]);
    assert_eq!(bases(35, 9).await, [50, 70]);
    assert!(bases(80, 9).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_chunk_that_can_not_be_read_is_an_error_that_names_it() {
    let cluster = cluster().await;
    let key = extent_chunk::key(SHARD, P, 20);
    cluster.put(vec![Mutation::Set { key, value: vec![1, 200].into() }]).await;
    let error = chunk_at(cluster.snapshot().as_ref(), SHARD, P, 22).await.unwrap_err();
    assert!(matches!(error, RowsError::Format { partition: P, offset: 22, .. }), "{error}");
    assert!(chunk_at(cluster.snapshot().as_ref(), SHARD, P, 5).await.is_ok());
}
