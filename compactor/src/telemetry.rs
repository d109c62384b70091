//! What a compactor counts.

use metrics::counter;

/// Bytes read of segments.
pub fn read(bytes: u64) {
    counter!("siltstone_compactor_read_bytes_total").increment(bytes);
}

/// A segment was written.
pub fn written(level: u8, bytes: u64) {
    counter!("siltstone_compactor_segments_total", "level" => level.to_string()).increment(1);
    counter!("siltstone_compactor_written_bytes_total", "level" => level.to_string()).increment(bytes);
}

/// A job ended.
pub fn job(kind: &'static str, result: &'static str) {
    counter!("siltstone_compactor_jobs_total", "kind" => kind, "result" => result).increment(1);
}

/// Bytes of batches went in compaction by key.
pub fn compacted(bytes: u64) {
    counter!("siltstone_compactor_compacted_bytes_total").increment(bytes);
}

/// Log starts were raised for retention.
pub fn retained(partitions: u64) {
    counter!("siltstone_compactor_trims_total").increment(partitions);
}

/// Segments took a step towards their end.
pub fn reclaimed(step: &'static str, segments: u64) {
    counter!("siltstone_compactor_reclaimed_total", "step" => step).increment(segments);
}
