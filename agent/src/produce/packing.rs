//! The blocks of a flush, compressed on several threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use bytes::Bytes;
use siltstone_log::{Packer, PartitionId, SegmentId};

use super::buffer::Buffered;
use super::segment::{self, Batches, Built, raw_length};

/// Compressing pays for a thread if it has so much to do: some milliseconds.
const BYTES_PER_THREAD: usize = 1 << 20;
/// Threads that compress one flush: others may be compressed at the same time.
const MOST_THREADS: usize = 4;

/// Whether blocks whose batches the producers did not compress are compressed at flush.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCompression {
    /// Never: where storage costs little, processor time is the better saving.
    Off,
    /// With zstd at this level, where a sample shrinks to 70 % or less.
    Auto {
        /// zstd's; negative ones are the fast ones.
        level: i32,
    },
}

/// Builds segment `id` of these batches, which keep their order within each partition.
pub(super) fn build(id: SegmentId, at: i64, batches: Vec<Buffered>, compression: BlockCompression) -> Built {
    let blocks = segment::blocks(batches);
    let packed = match compression {
        BlockCompression::Off => None,
        BlockCompression::Auto { level } => Some(pack(&blocks, level)),
    };
    segment::build(id, at, blocks, packed)
}

/// Each block in one zstd frame, if that pays. Large flushes on several processors: until they are uploaded their producers do nothing but wait.
fn pack(blocks: &[(PartitionId, Batches)], level: i32) -> Vec<Option<Bytes>> {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get));
    let plain: Vec<usize> = (0..blocks.len()).filter(|at| is_plain(&blocks[*at].1)).collect();
    let bytes: usize = plain.iter().map(|at| raw_length(&blocks[*at].1) as usize).sum();
    let threads = (bytes / BYTES_PER_THREAD).min(*PROCESSORS).min(MOST_THREADS);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; blocks.len()]));
    let work = || {
        let Some(mut packer) = Packer::new(level) else { return };
        while let Some(&at) = plain.get(next.fetch_add(1, Ordering::Relaxed)) {
            let chunks = blocks[at].1.iter().flat_map(|(batch, _)| &batch.bytes);
            let frame = packer.pack(chunks.map(Bytes::as_ref));
            done.lock().unwrap_or_else(PoisonError::into_inner)[at] = frame;
        }
    };
    thread::scope(|scope| {
        for _ in 1..threads {
            // What one that can't be had would have done, the others do.
            thread::Builder::new().name("pack".to_owned()).spawn_scoped(scope, work).ok();
        }
        work();
    });
    done.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Whether the producers compressed none of it.
fn is_plain(batches: &Batches) -> bool {
    batches.iter().all(|(batch, _)| !batch.compressed)
}
