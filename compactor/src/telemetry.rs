//! What a compactor counts.

use std::sync::atomic::{AtomicU64, Ordering};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

const READ: &str = "siltstone_compactor_read_bytes_total";
const SEGMENTS: &str = "siltstone_compactor_segments_total";
const WRITTEN: &str = "siltstone_compactor_written_bytes_total";
const MERGED: &str = "siltstone_compactor_merged_bytes_total";
const AMPLIFICATION: &str = "siltstone_compactor_write_amplification";
const JOBS: &str = "siltstone_compactor_jobs_total";
const COMPACTED: &str = "siltstone_compactor_compacted_bytes_total";
const TRIMS: &str = "siltstone_compactor_trims_total";
const RECLAIMED: &str = "siltstone_compactor_reclaimed_total";

/// Bytes that this process wrote, and bytes of flushed segments that it merged: the gauge is made of both.
static WRITTEN_BYTES: AtomicU64 = AtomicU64::new(0);
static FLUSHED_BYTES: AtomicU64 = AtomicU64::new(0);

/// Says what the metrics mean, once per process.
pub fn describe() {
    describe_counter!(READ, Unit::Bytes, "Bytes read of segments.");
    describe_counter!(SEGMENTS, "Segments written, by level.");
    describe_counter!(WRITTEN, Unit::Bytes, "Bytes of segments written, by level.");
    describe_counter!(
        MERGED,
        Unit::Bytes,
        "Stored bytes that merges replaced, by the level they were raised to."
    );
    describe_gauge!(
        AMPLIFICATION,
        "How often a flushed byte has been written, flush included, since this process began."
    );
    describe_counter!(JOBS, "Jobs that ended, by kind and result.");
    describe_counter!(COMPACTED, Unit::Bytes, "Bytes of batches that went in compaction by key.");
    describe_counter!(TRIMS, "Log starts raised for retention.");
    describe_counter!(RECLAIMED, "Segments that took a step towards their end, by step.");
}

/// Bytes read of segments.
pub fn read(bytes: u64) {
    counter!(READ).increment(bytes);
}

/// A segment was written.
pub fn written(level: u8, bytes: u64) {
    counter!(SEGMENTS, "level" => level.to_string()).increment(1);
    counter!(WRITTEN, "level" => level.to_string()).increment(bytes);
    WRITTEN_BYTES.fetch_add(bytes, Ordering::Relaxed);
}

/// A merge raised so many stored bytes to a level.
pub fn merged(level: u8, bytes: u64) {
    counter!(MERGED, "level" => level.to_string()).increment(bytes);
    if level == 1 {
        FLUSHED_BYTES.fetch_add(bytes, Ordering::Relaxed);
    }
    let (written, flushed) = (WRITTEN_BYTES.load(Ordering::Relaxed), FLUSHED_BYTES.load(Ordering::Relaxed));
    if flushed > 0 {
        gauge!(AMPLIFICATION).set(1.0 + written as f64 / flushed as f64);
    }
}

/// A job ended.
pub fn job(kind: &'static str, result: &'static str) {
    counter!(JOBS, "kind" => kind, "result" => result).increment(1);
}

/// Bytes of batches went in compaction by key.
pub fn compacted(bytes: u64) {
    counter!(COMPACTED).increment(bytes);
}

/// Log starts were raised for retention.
pub fn retained(partitions: u64) {
    counter!(TRIMS).increment(partitions);
}

/// Segments took a step towards their end.
pub fn reclaimed(step: &'static str, segments: u64) {
    counter!(RECLAIMED, "step" => step).increment(segments);
}
