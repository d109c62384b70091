//! Rows and entries of the catalog.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siltstone_log::fuzz_catalog(data));
