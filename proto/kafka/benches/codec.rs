//! How long the frequent messages take: `cargo bench -p siltstone-kafka [-- PART_OF_A_NAME]`. Prints nanoseconds; asserts
//! nothing.
#![allow(clippy::print_stdout, clippy::unwrap_used, missing_docs, reason = "a benchmark")]

use bytes::Bytes;
use siltstone_kafka::{ApiKey, Message, Records, Request, fetch, frame, metadata, produce};
use std::hint::black_box;
use std::time::Instant;
use uuid::Uuid;

fn time<T>(name: &str, rounds: u32, mut run: impl FnMut() -> T) {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    if wanted.is_some_and(|wanted| !name.contains(&wanted)) {
        return;
    }
    for _ in 0..rounds / 10 {
        black_box(run());
    }
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(run());
    }
    println!("{name:<58}{:>14.1} ns", start.elapsed().as_nanos() as f64 / f64::from(rounds));
}

fn produce_request() -> produce::Request {
    use produce::request::{Partition, Topic};
    let partition = |index| Partition { index, records: Some(Records::from(Bytes::from(vec![7; 16 << 10]))) };
    let topic = Topic {
        topic_id: Uuid::from_u128(1),
        partition_data: (0..3).map(partition).collect(),
        ..Topic::default()
    };
    produce::Request { acks: -1, timeout_ms: 30_000, topic_data: vec![topic], ..Default::default() }
}

fn fetch_request() -> fetch::Request {
    use fetch::request::{Partition, Topic};
    let partition = |partition| Partition {
        partition,
        fetch_offset: 1 << 33,
        partition_max_bytes: 1 << 20,
        ..Default::default()
    };
    let topic = Topic {
        topic_id: Uuid::from_u128(1),
        partitions: (0..3).map(partition).collect(),
        ..Topic::default()
    };
    fetch::Request { max_wait_ms: 500, min_bytes: 1, topics: vec![topic], ..Default::default() }
}

fn fetch_response() -> fetch::Response {
    use fetch::response::{Partition, Topic};
    let chunk = Bytes::from(vec![7; 64 << 10]);
    let partition = |partition_index| Partition {
        partition_index,
        aborted_transactions: None,
        records: Some((0..4).map(|_| chunk.clone()).collect()),
        ..Partition::default()
    };
    let topic = Topic {
        topic_id: Uuid::from_u128(1),
        partitions: (0..3).map(partition).collect(),
        ..Topic::default()
    };
    fetch::Response { responses: vec![topic], ..Default::default() }
}

fn metadata_response(partitions: i32) -> metadata::Response {
    use metadata::response::{Partition, Topic};
    let partition = |partition_index| Partition {
        partition_index,
        leader_epoch: 0,
        replica_nodes: vec![1, 2, 3],
        isr_nodes: vec![1, 2, 3],
        ..Partition::default()
    };
    let topic = |index: i32| Topic {
        name: Some(format!("topic-{index}")),
        topic_id: Uuid::from_u128(index as u128 + 1),
        partitions: (0..100).map(partition).collect(),
        ..Topic::default()
    };
    metadata::Response { topics: (0..partitions / 100).map(topic).collect(), ..Default::default() }
}

fn main() {
    let produce = produce_request();
    let framed = frame::encode_request(1, Some("rdkafka"), 13, &produce).unwrap().into_bytes().slice(4..);
    time("Produce request, 3 partitions: decode with header", 1_000_000, || {
        frame::decode_request(&framed).unwrap()
    });
    let fetch = fetch_request();
    let framed = frame::encode_request(1, Some("rdkafka"), 17, &fetch).unwrap().into_bytes().slice(4..);
    time("Fetch request, 3 partitions: decode with header", 1_000_000, || {
        frame::decode_request(&framed).unwrap()
    });
    time("Fetch request, 3 partitions: encode", 1_000_000, || {
        frame::encode_request(1, Some("me"), 17, &fetch).unwrap()
    });
    let response = fetch_response();
    time("Fetch response, 3 partitions of 4 chunks: encode", 1_000_000, || {
        frame::encode_response(1, 17, &response).unwrap()
    });
    let whole = frame::encode_response(1, 17, &response).unwrap().into_bytes().slice(4..);
    time("Fetch response, 3 partitions: decode", 1_000_000, || {
        frame::decode_response::<fetch::Response>(&whole, 17).unwrap()
    });
    let metadata = metadata_response(100_000);
    time("Metadata response, 100,000 partitions: encode", 50, || {
        frame::encode_response(1, 13, &metadata).unwrap()
    });
    let encoded = metadata.encode(13).unwrap().into_bytes();
    println!("{:<58}{:>14} bytes", "Metadata response, 100,000 partitions", encoded.len());
    time("Metadata response, 100,000 partitions: decode", 50, || {
        metadata::Response::decode(&encoded, 13).unwrap()
    });
    let lie = Bytes::from_static(&[0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0]);
    time("A request that lies: refuse", 1_000_000, || {
        Request::decode(ApiKey::Metadata, 12, &lie).unwrap_err()
    });
}
