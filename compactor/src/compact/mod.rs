//! Compaction by key, as Kafka's log cleaner promises it.
