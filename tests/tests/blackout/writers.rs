//! Idempotent producers that know what they were told, and a reader that holds the server to it.

use std::time::Duration;

use bytes::Buf;
use siltstone_kafka::{fetch, frame, init_producer_id, produce};
use siltstone_log::TopicRow;
use tokio::task::JoinHandle;

use crate::kit::{Client, Server, fetch_from, idempotent, produce_to};

/// Requests under way at once; the window of idempotence holds five.
const WINDOW: usize = 3;
const PARTITIONS: i32 = 2;
/// How writes travel: as chance has it, in the metadata, in objects.
const TOPICS: [(&str, &str); 3] = [("auto", "auto"), ("inline", "inline"), ("object", "object")];
const PATIENCE: Duration = Duration::from_secs(60);
/// The part of a batch before its records.
const HEADER: usize = 61;

#[derive(Default)]
pub struct Producers {
    topics: Vec<TopicRow>,
    all: Vec<Producer>,
}

struct Producer {
    id: i64,
    topic: usize,
    partition: i32,
    /// Records sent so far, at least once.
    sent: usize,
    /// Offsets of the records acknowledged so far.
    told: Vec<i64>,
}

impl Producers {
    /// Makes topics and producers, in the first life.
    pub async fn begin(&mut self, server: &Server) {
        if !self.topics.is_empty() {
            return;
        }
        let mut client = server.client().await;
        for (topic, (name, write)) in TOPICS.iter().enumerate() {
            self.topics.push(server.topic(name, &[("siltstone.write", write)]).await);
            for partition in 0..PARTITIONS {
                let ask = init_producer_id::Request { transactional_id: None, ..Default::default() };
                let id = client.call(4, &ask).await.producer_id;
                self.all.push(Producer { id, topic, partition, sent: 0, told: Vec::new() });
            }
        }
    }

    /// All write until the power fails; gives what the trap gives.
    pub async fn write(&mut self, server: &Server, trap: JoinHandle<bool>) -> bool {
        let topics = &self.topics;
        let writing = self.all.iter_mut().map(|producer| producer.write(server, topics, usize::MAX));
        let mut writing = std::pin::pin!(futures::future::join_all(writing));
        let mut trap = std::pin::pin!(tokio::time::timeout(PATIENCE, trap));
        let died = tokio::select! {
            biased;
            died = &mut trap => died,
            _ = &mut writing => trap.await,
        };
        died.expect("the power fails in time").unwrap()
    }

    /// All send again what they have no answer for, and get one.
    pub async fn finish(&mut self, server: &Server) {
        for producer in &mut self.all {
            producer.write(server, &self.topics, producer.sent).await;
            assert_eq!(producer.told.len(), producer.sent, "all is answered once nothing fails");
        }
    }

    pub fn acknowledged(&self) -> usize {
        self.all.iter().map(|producer| producer.told.len()).sum()
    }

    pub fn unanswered(&self) -> usize {
        self.all.iter().map(|producer| producer.sent - producer.told.len()).sum()
    }

    /// Everything acknowledged is at its offset, once; everything is in order; there are no gaps.
    pub async fn check(&self, server: &Server, context: &str) {
        let mut client = server.client().await;
        for (number, producer) in self.all.iter().enumerate() {
            let topic = &self.topics[producer.topic];
            let place = format!("{context}, {} {}", topic.name, producer.partition);
            let found = read(&mut client, topic, producer.partition, &place).await;
            let offsets: Vec<i64> = found.iter().map(|(offset, _)| *offset).collect();
            assert_eq!(offsets, (0..offsets.len() as i64).collect::<Vec<_>>(), "{place}: offsets");
            for (at, (_, value)) in found.iter().enumerate() {
                assert!(*value == value_of(number, at), "{place}: record {at} is another, or damaged");
            }
            assert!(
                found.len() <= producer.sent,
                "{place}: {} records of {} sent",
                found.len(),
                producer.sent
            );
            for (at, told) in producer.told.iter().enumerate() {
                let there = found.get(at).map(|(offset, _)| offset);
                assert_eq!(there, Some(told), "{place}: the record {at} that was acknowledged");
            }
        }
    }
}

impl Producer {
    /// Sends from the first record without an answer on, until there are `most` or something fails.
    async fn write(&mut self, server: &Server, topics: &[TopicRow], most: usize) {
        let number = self.topic * PARTITIONS as usize + self.partition as usize;
        let mut client = server.client().await;
        let mut next = self.told.len();
        loop {
            while next < most && next < self.told.len() + WINDOW {
                let batch = idempotent(self.id, 0, next as i32, &[&value_of(number, next)]);
                let request = produce_to(&topics[self.topic].name, -1, &[(self.partition, batch)]);
                self.sent = self.sent.max(next + 1);
                if !client.try_send(9, &request).await {
                    return;
                }
                next += 1;
            }
            if self.told.len() == next {
                return;
            }
            let Some(answer) = client.frame().await else { return };
            let (_, response): (_, produce::Response) = frame::decode_response(&answer, 9).unwrap();
            let partition = &response.responses[0].partition_responses[0];
            if partition.error_code != 0 {
                return;
            }
            self.told.push(partition.base_offset);
        }
    }
}

/// Some are small, some fill many sectors and go into objects.
fn value_of(producer: usize, at: usize) -> Vec<u8> {
    let mut value = format!("{producer}-{at} ").into_bytes();
    let length = if (producer + at).is_multiple_of(4) { 90_000 } else { 20 + at % 700 };
    value.resize(length, b'a' + (at % 26) as u8);
    value
}

/// All records of a partition: offsets and values.
async fn read(client: &mut Client, topic: &TopicRow, partition: i32, place: &str) -> Vec<(i64, Vec<u8>)> {
    let mut found: Vec<(i64, Vec<u8>)> = Vec::new();
    loop {
        let next = found.last().map_or(0, |(offset, _)| offset + 1);
        let response: fetch::Response = client.fetch(12, &fetch_from(topic, &[(partition, next)])).await;
        let answer = &response.responses[0].partitions[0];
        assert_eq!(answer.error_code, 0, "{place}: fetching from {next}");
        if next >= answer.high_watermark {
            return found;
        }
        let records = answer.records.clone().expect("records");
        let bytes: Vec<u8> = records.chunks().flat_map(|chunk| chunk.to_vec()).collect();
        assert!(!bytes.is_empty(), "{place}: nothing at {next}, below the high watermark");
        found.extend(batches(&bytes).into_iter().filter(|(offset, _)| *offset >= next));
    }
}

/// Offset and value of batches of one record each.
fn batches(mut bytes: &[u8]) -> Vec<(i64, Vec<u8>)> {
    let mut found = Vec::new();
    while bytes.len() > HEADER {
        let length = 12 + (&bytes[8..]).get_i32() as usize;
        found.push(((&bytes[..]).get_i64(), value(&bytes[HEADER..length])));
        bytes = &bytes[length..];
    }
    found
}

/// The value of a record: length, attributes, deltas of time and offset, key, value.
fn value(mut record: &[u8]) -> Vec<u8> {
    varint(&mut record);
    record.advance(1);
    varint(&mut record);
    varint(&mut record);
    let key = varint(&mut record);
    record.advance(key);
    let length = varint(&mut record);
    record[..length].to_vec()
}

/// A number that is not negative.
fn varint(bytes: &mut &[u8]) -> usize {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = bytes.get_u8();
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return number >> 1;
        }
        shift += 7;
    }
}
