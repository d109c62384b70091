//! Rows of consumer groups.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    siltstone_log::fuzz_groups(data);
    siltstone_log::fuzz_transactions(data);
});
