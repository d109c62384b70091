//! Record batches as clients send them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siltstone_records::fuzz_batches(data));
