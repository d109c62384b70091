//! The blocks of a flush, compressed on several threads.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, available_parallelism};

use bytes::Bytes;
use siltstone_log::{Packer, PartitionId};

use super::segment::{Batches, raw_length};

/// Compressing pays for a thread if it has so much to do: some milliseconds.
const BYTES_PER_THREAD: usize = 1 << 20;
/// Threads that compress one flush: others may be compressed at the same time.
const MOST_THREADS: usize = 4;

/// Each block in one zstd frame, if that pays. Large flushes on several processors: until they are uploaded their producers do nothing but wait.
pub(super) fn pack(blocks: &[(PartitionId, Batches)], level: i32) -> Vec<Option<Bytes>> {
    static PROCESSORS: LazyLock<usize> = LazyLock::new(|| available_parallelism().map_or(1, NonZero::get));
    let bytes: usize = blocks.iter().map(|(_, batches)| raw_length(batches) as usize).sum();
    let threads = (bytes / BYTES_PER_THREAD).min(*PROCESSORS).min(MOST_THREADS);
    let (next, done) = (AtomicUsize::new(0), Mutex::new(vec![None; blocks.len()]));
    let work = || {
        let Some(mut packer) = Packer::new(level) else { return };
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some((_, batches)) = blocks.get(at) else { return };
            let frame = frame(&mut packer, batches);
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

fn frame(packer: &mut Packer, batches: &Batches) -> Option<Bytes> {
    if batches.iter().any(|(batch, _)| batch.compressed) {
        return None;
    }
    packer.pack(batches.iter().flat_map(|(batch, _)| &batch.bytes).map(Bytes::as_ref))
}
