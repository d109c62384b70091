//! Batches that real clients made and a real broker stored: they must parse, and give the records that were sent.

// Helpers of tests are tests, which clippy's own exception for them doesn't see.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use siltstone_records::{
    Batch, BatchBuilder, Compression, Marker, Producer, RecordView, Rules, Scratch, TimestampType, batches,
    control_batch, end_transaction, patched_prefix, stored_header, validate, with_log_append_time,
};

const CAP: usize = 1 << 20;

fn fixture(name: &str) -> Vec<Batch> {
    let path = format!("{}/fixtures/{name}.bin", env!("CARGO_MANIFEST_DIR"));
    let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
    batches(bytes.into()).map(|batch| batch.unwrap()).collect()
}

fn one(name: &str) -> Batch {
    let mut all = fixture(name);
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

fn assert_java_record(i: i64, record: &RecordView<'_>) {
    assert_eq!((record.offset, i64::from(record.offset_delta)), (i, i));
    let key = format!("key-{i}").into_bytes();
    assert_eq!(record.key, (i % 5 != 4).then_some(&key[..]));
    let value = format!("value-{i}-").repeat((i % 50) as usize).into_bytes();
    assert_eq!(record.value, (i % 7 != 6).then_some(&value[..]));
    let number = i.to_string().into_bytes();
    let mut headers: Vec<(&[u8], Option<&[u8]>)> = Vec::new();
    if i % 3 == 0 {
        headers.push((b"n", Some(&number)));
    }
    if i % 6 == 0 {
        headers.push((b"null", None));
    }
    assert_eq!(record.headers().collect::<Vec<_>>(), headers);
}

#[test]
fn javas_batches_give_the_records_that_were_sent() {
    for codec in Compression::ALL {
        let batch = one(&format!("java-{}", codec.name()));
        assert_eq!(batch.attributes.compression(), Ok(codec));
        assert!(batch.crc_is_valid() && batch.producer().is_some());
        let records = batch.records(CAP, &mut Scratch::new()).unwrap();
        let all: Vec<_> = records.iter().map(Result::unwrap).collect();
        assert_eq!(all.len(), 200);
        for (i, record) in (0..).zip(&all) {
            assert_java_record(i, record);
            assert_eq!(record.timestamp, 1_700_000_000_000 + i * 37 % 200);
        }
    }
}

#[test]
fn javas_batches_pass_validation() {
    let mut scratch = Scratch::new();
    for codec in Compression::ALL {
        let batch = one(&format!("java-{}", codec.name()));
        let checked = validate(batch.bytes(), &Rules::defaults(1_700_000_000_000), &mut scratch).unwrap();
        assert_eq!((checked.count, checked.compression), (200, codec));
        assert_eq!(checked.max_timestamp, 1_700_000_000_199);
        assert_eq!(checked.max_timestamp_delta, (0..200).find(|i| i * 37 % 200 == 199));
        assert_eq!(checked.producer.map(|p| (p.epoch, p.base_sequence)), Some((0, 0)));
        assert_eq!(stored_header(&checked), None);
    }
}

#[test]
fn librdkafkas_batches_pass_and_give_the_records_that_were_sent() {
    let mut scratch = Scratch::new();
    for codec in Compression::ALL {
        let batch = one(&format!("librdkafka-{}", codec.name()));
        let checked = validate(batch.bytes(), &Rules::defaults(batch.max_timestamp), &mut scratch).unwrap();
        assert_eq!((checked.count, checked.compression, checked.producer), (50, codec, None));
        let records = batch.records(CAP, &mut scratch).unwrap();
        for (i, record) in records.iter().map(Result::unwrap).enumerate() {
            assert_eq!(record.key, Some(format!("key-{i}").as_bytes()));
            assert_eq!(record.value, Some(format!("value-{i}-{}", "abc".repeat(10)).as_bytes()));
            assert_eq!(record.headers().collect::<Vec<_>>(), [(&b"h"[..], Some(&b"1"[..]))]);
        }
    }
}

#[test]
fn a_log_append_time_header_is_byte_for_byte_kafkas() {
    let (sent, stored) = (one("java-zstd"), one("java-append"));
    assert_eq!(stored.attributes.timestamp_type(), TimestampType::LogAppend);
    // The two were sent by different producers, which the header says: make the first the second's.
    let sent = Batch::parse(&rebuilt(&sent, stored.producer().unwrap())).unwrap();
    assert_eq!(sent.body(), stored.body());
    let body = stored.body().len();
    assert_eq!(with_log_append_time(&sent.header_bytes(), body, stored.max_timestamp), stored.header_bytes());
    let records = stored.records(CAP, &mut Scratch::new()).unwrap();
    assert!(records.iter().all(|record| record.unwrap().timestamp == stored.max_timestamp));
}

/// The same bytes by another producer, CRC computed anew.
fn rebuilt(batch: &Batch, producer: Producer) -> Bytes {
    let mut bytes = batch.bytes().to_vec();
    bytes[43..51].copy_from_slice(&producer.id.to_be_bytes());
    bytes[51..53].copy_from_slice(&producer.epoch.to_be_bytes());
    bytes[53..57].copy_from_slice(&producer.base_sequence.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes.into()
}

#[test]
fn control_batches_are_byte_for_byte_kafkas() {
    let all = fixture("java-transactions");
    assert_eq!(all.iter().map(|b| b.attributes.is_control()).collect::<Vec<_>>(), [false, true, false, true]);
    for (batch, expected) in [(&all[1], Marker::Commit), (&all[3], Marker::Abort)] {
        let records = batch.records(CAP, &mut Scratch::new()).unwrap();
        let found = end_transaction(&records.iter().next().unwrap().unwrap()).unwrap();
        assert_eq!(found.marker, expected);
        let producer = batch.producer().unwrap();
        assert_eq!(producer.base_sequence, -1);
        let (pid, epoch) = (producer.id, producer.epoch);
        let ours = control_batch(expected, pid, epoch, found.coordinator_epoch, batch.max_timestamp);
        let ours = Batch::parse(&ours).unwrap();
        let prefix = patched_prefix(&ours.header_bytes(), batch.base_offset, batch.leader_epoch);
        assert_eq!([&prefix[..], &ours.bytes()[16..]].concat(), batch.bytes()[..]);
    }
}

#[test]
fn the_builder_makes_javas_bytes() {
    let java = one("java-none");
    let mut builder = BatchBuilder::new().producer(java.producer().unwrap());
    for record in &java.records(CAP, &mut Scratch::new()).unwrap() {
        builder.push_copy(&record.unwrap()).unwrap();
    }
    assert_eq!(builder.len(), java.total_len());
    assert_eq!(builder.build(&mut Scratch::new()).unwrap(), java.bytes());
}
