//! Kafka requests, header and body, of every API and version.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| siltstone_kafka::testing::fuzz_request(data));
