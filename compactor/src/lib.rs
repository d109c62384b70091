//! The background half of the log (design, section 7): merge, retention, compaction by key, reclaim.

pub mod compact;
