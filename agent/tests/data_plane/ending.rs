//! A registration that others end, under load: what clients were told holds on the engine that comes after.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use siltstone_kafka::{Records, fetch, frame, produce};
use siltstone_log::TopicRow;
use siltstone_metadata::lease;
use siltstone_records::{Batch, batches};
use siltstone_store::memory::{Faults, MemoryStore};

use crate::kit::{DEADLINE, Server, batch, fetch_from, foundations, produce_to};

const CLIENTS: u64 = 8;
const WINDOW: u64 = 5;

/// What a client was told of a batch, which its checksum names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Told {
    At(i32, i64),
    Refused(i16),
    /// The connection closed instead.
    Nothing,
}

fn crc(batch: &Bytes) -> u32 {
    Batch::parse(batch).unwrap().header().crc
}

/// Produces, a window at a time, until the server closes the connection.
async fn produce_until_closed(
    server: Arc<Server>,
    client: u64,
    acknowledged: Arc<AtomicU64>,
) -> BTreeMap<u32, Told> {
    let mut connection = server.client().await;
    let mut told = BTreeMap::new();
    for round in 0u64.. {
        let mut window = Vec::new();
        for number in 0..WINDOW {
            let partition = (number % 2) as i32;
            let bytes = batch(&[format!("{client}/{round}/{number}").as_bytes()]);
            told.insert(crc(&bytes), Told::Nothing);
            window.push((partition, crc(&bytes)));
            if !connection.try_send(9, &produce_to("t", -1, &[(partition, bytes)])).await {
                return told;
            }
        }
        for (partition, crc) in window {
            let Some(answer) = connection.frame().await else { return told };
            let (_, response): (_, produce::Response) = frame::decode_response(&answer, 9).unwrap();
            let answer = &response.responses[0].partition_responses[0];
            let outcome = match answer.error_code {
                0 => Told::At(partition, answer.base_offset),
                code => Told::Refused(code),
            };
            acknowledged.fetch_add(u64::from(answer.error_code == 0), Ordering::Relaxed);
            told.insert(crc, outcome);
        }
    }
    told
}

/// Every batch of the topic: its checksum, and where it lies.
async fn read_all(server: &Server, topic: &TopicRow) -> Vec<(u32, Told)> {
    let mut client = server.client().await;
    let mut found = Vec::new();
    for partition in 0..2 {
        let mut next = 0;
        loop {
            let request = fetch::Request { min_bytes: 0, ..fetch_from(topic, &[(partition, next)]) };
            let response = client.fetch(12, &request).await;
            let answer = response.responses[0].partitions[0].clone();
            assert_eq!(answer.error_code, 0);
            for batch in batches(answer.records.map(Records::into_bytes).unwrap_or_default()) {
                let header = *batch.unwrap().header();
                assert_eq!(header.base_offset, next, "offsets without a gap");
                found.push((header.crc, Told::At(partition, next)));
                next += i64::from(header.last_offset_delta) + 1;
            }
            if next == answer.high_watermark {
                break;
            }
        }
    }
    found
}

fn judge(told: &BTreeMap<u32, Told>, found: &[(u32, Told)], context: &str) {
    let mut at: BTreeMap<u32, Vec<Told>> = BTreeMap::new();
    found.iter().for_each(|(crc, place)| at.entry(*crc).or_default().push(*place));
    for (crc, told) in told {
        let places = at.remove(crc).unwrap_or_default();
        match told {
            Told::At(..) => assert_eq!(places, [*told], "{context}: acknowledged"),
            Told::Refused(code) => {
                assert!(places.is_empty(), "{context}: refused with {code}, and at {places:?}")
            }
            Told::Nothing => assert!(places.len() <= 1, "{context}: sent once, and at {places:?}"),
        }
    }
    assert!(at.is_empty(), "{context}: nobody sent these: {at:?}");
}

async fn end_under_load(seed: u64, faults: Faults) {
    let context = format!("seed {seed}");
    let foundations = foundations(MemoryStore::new(seed, faults));
    let mut server = Server::over(foundations.clone(), 64 << 20).await;
    let topic = server.topic("t", &[]).await;
    let served = std::mem::replace(&mut server.served, tokio::spawn(async {}));
    let server = Arc::new(server);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let clients: Vec<_> = (0..CLIENTS)
        .map(|client| tokio::spawn(produce_until_closed(server.clone(), client, acknowledged.clone())))
        .collect();
    let enough = async {
        while acknowledged.load(Ordering::Relaxed) < 20 + seed % 100 * 7 {
            tokio::time::sleep(Duration::from_micros(200)).await;
        }
    };
    tokio::time::timeout(DEADLINE, enough).await.expect("batches are acknowledged");
    let (id, shards) = (server.engine.registration().id, server.engine.cluster().shards);
    let end =
        async { while !lease::end(foundations.store.as_ref(), id, shards, None).await.unwrap_or(false) {} };
    tokio::time::timeout(DEADLINE, end).await.expect("it can be ended");
    tokio::time::timeout(DEADLINE, served).await.expect("the server ends by itself").unwrap();
    let mut told = BTreeMap::new();
    for client in clients {
        told.extend(tokio::time::timeout(DEADLINE, client).await.expect("connections are closed").unwrap());
    }
    let after = Server::over(foundations, 64 << 20).await;
    judge(&told, &read_all(&after, &topic).await, &context);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_registration_that_is_ended_from_outside_closes_all_connections_first() {
    for seed in 0..12 {
        let delay = Duration::ZERO..=Duration::from_millis(3);
        end_under_load(seed, Faults { delay: delay.clone(), answer_delay: delay, ..Faults::none() }).await;
    }
}

/// The same while commits answer "unknown", whether they were applied or not, or will be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn also_while_commits_are_unknown() {
    for seed in 100..112 {
        let delay = Duration::ZERO..=Duration::from_millis(2);
        let faults = Faults {
            delay: delay.clone(),
            answer_delay: delay,
            unknown_applied: 0.2,
            unknown_never: 0.1,
            unknown_late: 0.1,
            late: Duration::ZERO..=Duration::from_millis(50),
            ..Faults::none()
        };
        end_under_load(seed, faults).await;
    }
}
