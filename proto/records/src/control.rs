//! Control batches: the markers that end a transaction in a partition, exactly as Kafka writes them.
//!
//! Consumers skip them; in read_committed they tell which data to drop. Byte tables: docs/formats/record-batch.md.

use bytes::Bytes;

use crate::header::{HEADER_LEN, NO_SEQUENCE};
use crate::recompress::seal;
use crate::records::RecordView;
use crate::{Attributes, Header, MAGIC};

/// How a transaction ended. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Marker {
    /// Its records never count.
    Abort = 0,
    /// Its records count.
    Commit = 1,
}

/// What an end marker's record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndTransaction {
    /// How the transaction ended.
    pub marker: Marker,
    /// Epoch of the coordinator that ended it.
    pub coordinator_epoch: i32,
}

/// The batch that ends a transaction: one record, at offset 0 of leader epoch 0 (see [`crate::patched_prefix`]).
/// `timestamp` is in ms since 1970.
pub fn control_batch(marker: Marker, pid: i64, epoch: i16, coordinator_epoch: i32, timestamp: i64) -> Bytes {
    let mut body = Vec::with_capacity(17);
    // length, attributes, timestamp delta, offset delta; key: version 0 and type; value: version 0 and epoch; no headers
    body.extend_from_slice(&[0x20, 0, 0, 0, 0x08, 0, 0, 0, marker as u8, 0x0c, 0, 0]);
    body.extend_from_slice(&coordinator_epoch.to_be_bytes());
    body.push(0);
    let mut header = Header {
        base_offset: 0,
        length: 0,
        leader_epoch: 0,
        magic: MAGIC,
        crc: 0,
        attributes: Attributes::default().with_transactional(true).with_control(true),
        last_offset_delta: 0,
        base_timestamp: timestamp,
        max_timestamp: timestamp,
        producer_id: pid,
        producer_epoch: epoch,
        base_sequence: NO_SEQUENCE,
        count: 1,
    };
    let mut out = vec![0; HEADER_LEN];
    out.append(&mut body);
    seal(&mut header, &mut out);
    out.into()
}

/// The batch that the end of a transaction stands for where none is stored. Its coordinator's epoch is 0: there is no coordinator that could be late.
/// `at` is in ms since 1970.
pub fn end_batch(commit: bool, pid: i64, epoch: i16, at: i64) -> Bytes {
    control_batch(if commit { Marker::Commit } else { Marker::Abort }, pid, epoch, 0, at)
}

/// What the record of a control batch says, if it ends a transaction. `None` for other control records and for what is
/// none; later versions are read, as Kafka's rule is that they only add fields.
pub fn end_transaction(record: &RecordView<'_>) -> Option<EndTransaction> {
    let key: &[u8; 4] = record.key?.first_chunk()?;
    let value: &[u8; 6] = record.value?.first_chunk()?;
    let number = |bytes: [u8; 2]| i16::from_be_bytes(bytes);
    if number([key[0], key[1]]) < 0 || number([value[0], value[1]]) < 0 {
        return None;
    }
    let marker = match number([key[2], key[3]]) {
        0 => Marker::Abort,
        1 => Marker::Commit,
        _ => return None,
    };
    let coordinator_epoch = i32::from_be_bytes([value[2], value[3], value[4], value[5]]);
    Some(EndTransaction { marker, coordinator_epoch })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, BatchBuilder, NewRecord, Producer, Scratch};

    #[test]
    fn by_hand_and_by_builder_are_the_same_bytes() {
        let by_hand = control_batch(Marker::Commit, 7, 3, 0x0102_0304, 1_700_000_000_000);
        let mut builder = BatchBuilder::new().transactional(true).control(true).producer(Producer {
            id: 7,
            epoch: 3,
            base_sequence: NO_SEQUENCE,
        });
        let (key, value) = ([0, 0, 0, 1], [0, 0, 1, 2, 3, 4]);
        let record =
            NewRecord { timestamp: 1_700_000_000_000, key: Some(&key), value: Some(&value), headers: &[] };
        builder.push(&record).unwrap();
        assert_eq!(by_hand, builder.build(&mut Scratch::new()).unwrap());
    }

    #[test]
    fn an_end_of_a_transaction_is_a_marker_of_no_coordinator() {
        assert_eq!(end_batch(true, 7, 3, 11), control_batch(Marker::Commit, 7, 3, 0, 11));
        assert_eq!(end_batch(false, 7, 3, 11), control_batch(Marker::Abort, 7, 3, 0, 11));
    }

    #[test]
    fn a_marker_reads_back() {
        for (marker, epoch) in [(Marker::Commit, 0), (Marker::Abort, i32::MAX), (Marker::Abort, -1)] {
            let batch = Batch::parse(&control_batch(marker, 9, 1, epoch, 5)).unwrap();
            assert!(
                batch.crc_is_valid() && batch.attributes.is_control() && batch.attributes.is_transactional()
            );
            let records = batch.records(100, &mut Scratch::new()).unwrap();
            let record = records.iter().next().unwrap().unwrap();
            assert_eq!(end_transaction(&record), Some(EndTransaction { marker, coordinator_epoch: epoch }));
            assert_eq!(record.timestamp, 5);
        }
    }
}
