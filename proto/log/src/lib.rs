//! Formats that outlive a process: shard-log entries, segments, checkpoint rows.
