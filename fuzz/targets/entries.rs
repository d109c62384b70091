//! Entries of shard logs.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siltstone_log::fuzz_entry(data));
