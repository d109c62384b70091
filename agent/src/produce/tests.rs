//! The pure parts of the write path, and the committer's order.

use std::sync::Arc;

use bytes::Bytes;
use siltstone_log::{
    BatchMeta, Encoding, Entry, Footer, PartitionId, RegistrationId, SegmentId, TRAILER_BYTES, TopicId,
};
use siltstone_metadata::shard::Verdict;
use siltstone_store::Mutation;
use tokio::time::Instant;

use super::buffer::{Buffer, Buffered, NewBatch, Placement};
use super::commit::{self, Ready};
use super::committer::CommitQueue;
use super::packing::{self, BlockCompression};
use super::ticket::{self, Ticket, WriteError};

fn partition(index: u32) -> PartitionId {
    PartitionId { topic: TopicId(7), index }
}

fn buffered(index: u32, body: &[u8]) -> (Buffered, Ticket) {
    let (ticket, mut slots) = ticket::issue(1, None, Arc::default());
    let meta = BatchMeta {
        bytes: body.len() as u32,
        records: 3,
        max_timestamp: 5,
        producer: None,
        transactional: false,
        void: false,
    };
    let split = body.len() / 2;
    let batch = NewBatch {
        partition: partition(index),
        bytes: [Bytes::copy_from_slice(&body[..split]), Bytes::copy_from_slice(&body[split..])],
        meta,
        compressed: false,
        placement: Placement::Auto,
        transaction: None,
    };
    let slot = slots.pop().unwrap();
    (Buffered { batch, slot, connection: 1, droppable: true, arrived: Instant::now() }, ticket)
}

fn id(number: u64) -> SegmentId {
    SegmentId { registration: RegistrationId(9), number }
}

fn whole(chunks: &[Bytes]) -> Vec<u8> {
    chunks.concat()
}

#[tokio::test]
async fn a_segment_holds_its_blocks_by_partition_and_a_footer_that_finds_them() {
    let bodies: Vec<(u32, Vec<u8>)> =
        vec![(2, vec![2; 100]), (0, vec![10; 70]), (2, vec![3; 50]), (1, vec![1; 33])];
    let (batches, _tickets): (Vec<_>, Vec<_>) =
        bodies.iter().map(|(index, body)| buffered(*index, body)).unzip();
    let built = packing::build(id(4), 77, batches, BlockCompression::Off);
    let bytes = whole(&built.chunks);
    assert_eq!(bytes.len() as u64, built.length);
    let length = Footer::length(&bytes[bytes.len() - TRAILER_BYTES..]).unwrap();
    let footer = Footer::decode(&bytes[bytes.len() - length..]).unwrap();
    assert_eq!((footer.id, footer.at), (id(4), 77));
    let order: Vec<u32> = built.blocks.iter().map(|block| block.partition.index).collect();
    assert_eq!(order, [0, 1, 2]);
    for (block, indexed) in built.blocks.iter().zip(&footer.blocks) {
        assert_eq!((block.partition, block.place), (indexed.partition, indexed.place));
        let stored = &bytes[block.place.start as usize..][..block.place.length as usize];
        assert_eq!(crc32c::crc32c(stored), indexed.checksum);
        let expected: Vec<u8> = bodies
            .iter()
            .filter(|(index, _)| *index == block.partition.index)
            .flat_map(|(_, b)| b.clone())
            .collect();
        assert_eq!(stored, expected, "batches keep the order of their arrival");
    }
}

#[tokio::test]
async fn blocks_are_compressed_only_where_it_pays() {
    let text = b"the same words again and again, ".repeat(1000);
    let noise: Vec<u8> = (0..32_000u64).map(|n| (siltstone_log::mix64(n) >> 13) as u8).collect();
    let (batches, _tickets): (Vec<_>, Vec<_>) = [buffered(0, &text), buffered(1, &noise)].into_iter().unzip();
    let built = packing::build(id(1), 0, batches, BlockCompression::Auto { level: 1 });
    let bytes = whole(&built.chunks);
    let [text_block, noise_block] = &built.blocks[..] else { panic!("two blocks") };
    assert_eq!(text_block.place.encoding, Encoding::Zstd { raw_length: text.len() as u32 });
    let stored = bytes[text_block.place.start as usize..][..text_block.place.length as usize].to_vec();
    assert_eq!(text_block.place.encoding.unpack(stored.into()).as_deref(), Ok(text.as_slice()));
    assert_eq!(noise_block.place.encoding, Encoding::Plain);
}

#[tokio::test]
async fn large_flushes_are_compressed_on_several_threads_and_each_block_stays_in_its_place() {
    let texts: Vec<Vec<u8>> =
        (0..50).map(|n| format!("the words of block {n}, ").repeat(6_000 + n).into_bytes()).collect();
    let (batches, _tickets): (Vec<_>, Vec<_>) =
        texts.iter().enumerate().map(|(n, text)| buffered(n as u32, text)).unzip();
    let built = packing::build(id(1), 0, batches, BlockCompression::Auto { level: 1 });
    let bytes = whole(&built.chunks);
    assert_eq!(built.blocks.len(), texts.len());
    for (block, text) in built.blocks.iter().zip(&texts) {
        assert_eq!(block.place.encoding, Encoding::Zstd { raw_length: text.len() as u32 });
        let stored = bytes[block.place.start as usize..][..block.place.length as usize].to_vec();
        assert_eq!(block.place.encoding.unpack(stored.into()).as_deref(), Ok(text.as_slice()));
    }
}

#[tokio::test]
async fn large_manifests_are_split_into_entries_below_the_limit_with_counters_in_order() {
    let (batches, _tickets): (Vec<_>, Vec<_>) = (0..6_000).map(|n| buffered(n % 2, &[n as u8; 10])).unzip();
    let built = packing::build(id(1), 0, batches, BlockCompression::Off);
    let place = built.place(id(1), false);
    let ready = Ready::new(place, 0, built, 16);
    let mut counters = Default::default();
    let (plan, numbered) = commit::plan(vec![ready], RegistrationId(9), &mut counters, 16);
    let mutations = plan.mutations();
    let mut seen: Vec<(u64, usize)> = Vec::new();
    for mutation in &mutations {
        if let Mutation::SetVersionstampedKey { value, .. } = mutation {
            assert!(value.len() <= siltstone_store::limits::VALUE_BYTES);
            let Entry::Append(append) = Entry::decode(value).unwrap() else { panic!("an append") };
            seen.push((append.counter, append.blocks.iter().map(|block| block.batches.len()).sum()));
        }
    }
    assert_eq!(seen.iter().map(|(_, batches)| batches).sum::<usize>(), 6_000);
    assert!(seen.len() >= 4, "several entries for each of two shards: {seen:?}");
    assert_eq!(numbered.len(), seen.len());
    for shard in counters.keys() {
        let of: Vec<u64> =
            numbered.iter().filter(|(at, _, _)| at == shard).map(|(_, counter, _)| *counter).collect();
        assert_eq!(of, (1..=of.len() as u64).collect::<Vec<_>>());
    }
}

fn enter(queue: &CommitQueue, number: u64, partitions: &[u32], connections: &[u64]) -> Ready {
    let partitions = partitions.iter().map(|index| partition(*index));
    queue.enter(number, partitions.collect(), connections.iter().copied().collect());
    let (batch, _) = buffered(0, b"0123456789");
    let built = packing::build(id(number), 0, vec![batch], BlockCompression::Off);
    Ready::new(built.place(id(number), false), 0, built, 16)
}

fn taken(queue: &CommitQueue) -> Vec<u64> {
    queue.take().iter().map(|ready| ready.place.id.number).collect()
}

#[tokio::test]
async fn a_slow_upload_holds_up_only_what_must_come_after_it() {
    let queue = CommitQueue::default();
    let first = enter(&queue, 1, &[0], &[1]);
    let same_partition = enter(&queue, 2, &[0, 1], &[2]);
    let same_connection = enter(&queue, 3, &[2], &[1]);
    let behind_the_second = enter(&queue, 4, &[1], &[4]);
    let free = enter(&queue, 5, &[5], &[5]);
    for (number, ready) in [(2, same_partition), (3, same_connection), (4, behind_the_second), (5, free)] {
        queue.ready(number, ready);
    }
    assert_eq!(taken(&queue), [5]);
    queue.ready(1, first);
    assert_eq!(taken(&queue), [1, 2, 3, 4]);
}

#[tokio::test]
async fn a_failed_upload_lets_the_others_go_on() {
    let queue = CommitQueue::default();
    let _failed = enter(&queue, 1, &[0], &[1]);
    let next = enter(&queue, 2, &[0], &[1]);
    queue.ready(2, next);
    assert!(taken(&queue).is_empty());
    queue.failed(1);
    assert_eq!(taken(&queue), [2]);
}

#[tokio::test]
async fn closed_connections_leave_nothing_but_what_needs_no_answer() {
    let mut buffer = Buffer::default();
    let (mut kept, kept_ticket) = buffered(0, &[1; 10]);
    kept.droppable = false;
    let (dropped, dropped_ticket) = buffered(0, &[2; 20]);
    let (mut other, _other_ticket) = buffered(0, &[3; 30]);
    other.connection = 2;
    [kept, dropped, other].into_iter().for_each(|batch| buffer.push(batch));
    for slot in buffer.remove(|held| held.connection == 1 && held.droppable) {
        slot.resolve(Err(WriteError::Closed));
    }
    assert_eq!(dropped_ticket.outcomes().await, [Err(WriteError::Closed)]);
    assert_eq!(buffer.bytes(), 40);
    let rest = buffer.take(usize::MAX, usize::MAX);
    assert_eq!(rest.len(), 2);
    for buffered in rest {
        buffered.slot.resolve(Ok(Verdict::Appended { base_offset: 5 }));
    }
    assert_eq!(kept_ticket.outcomes().await, [Ok(Verdict::Appended { base_offset: 5 })]);
}

#[tokio::test]
async fn what_is_dropped_unanswered_is_answered_as_ended() {
    let (batch, ticket) = buffered(0, b"x");
    drop(batch);
    assert_eq!(ticket.outcomes().await, [Err(WriteError::Ended)]);
}

#[tokio::test]
async fn taking_stops_at_the_limit_and_takes_at_least_one() {
    let mut buffer = Buffer::default();
    let (batches, _tickets): (Vec<_>, Vec<_>) = (0..4).map(|n| buffered(n, &[0; 100])).unzip();
    batches.into_iter().for_each(|batch| buffer.push(batch));
    assert_eq!(buffer.take(10, usize::MAX).len(), 1);
    assert_eq!(buffer.take(250, usize::MAX).len(), 2);
    assert_eq!(buffer.bytes(), 100);
}
