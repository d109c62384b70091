//! Footers of segments.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siltstone_log::fuzz_footer(data));
