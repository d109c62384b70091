//! Ends of transactions: entries of kind 8, whose bytes the head of the entries' module shows (design, section 6).

use crate::PartitionId;
use crate::codec::{FormatError, Reader, Write};
use crate::entry::read_i64;

/// Fewest bytes of a topic, for bounding counts.
const LEAST_TOPIC: usize = 16 + 1;

/// The end of a transaction, as far as it concerns one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TxnEnd {
    /// What the control record says.
    pub marker: EndMarker,
    /// When, by the clock of who ended it, milliseconds since the Unix epoch: the control record's timestamp.
    pub at: i64,
    /// The partitions that the transaction touched. Those of one topic should stand together.
    pub partitions: Vec<PartitionId>,
}

/// What a transaction's control record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct EndMarker {
    /// The producer whose transaction it was, never negative.
    pub producer_id: i64,
    /// The epoch that the record carries: from here on batches of lower ones are refused.
    pub epoch: i16,
    /// Committed; else aborted.
    pub commit: bool,
}

impl TxnEnd {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.u8(8);
        self.marker.write(out);
        out.zigzag(self.at);
        let topics: Vec<_> = self.partitions.chunk_by(|a, b| a.topic == b.topic).collect();
        out.varint(topics.len() as u64);
        for partitions in topics {
            out.bytes(&partitions[0].topic.0.to_be_bytes());
            out.varint(partitions.len() as u64);
            partitions.iter().for_each(|partition| out.varint(u64::from(partition.index)));
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<TxnEnd, FormatError> {
        let marker = EndMarker::read(reader)?;
        let at = reader.zigzag("time")?;
        let mut partitions = Vec::new();
        for _ in 0..reader.count(LEAST_TOPIC, "topics")? {
            let topic = reader.topic()?;
            for _ in 0..reader.count(1, "partitions")? {
                partitions.push(PartitionId { topic, index: reader.partitions("partition")? });
            }
        }
        Ok(TxnEnd { marker, at, partitions })
    }
}

impl EndMarker {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.varint(self.producer_id as u64);
        out.varint(self.epoch as u64);
        out.u8(u8::from(self.commit));
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<EndMarker, FormatError> {
        let producer_id = read_i64(reader, "producer id")?;
        let epoch = reader.varint("producer epoch")?;
        let epoch = i16::try_from(epoch).map_err(|_| reader.invalid("producer epoch"))?;
        let commit = match reader.u8("transaction result")? {
            0 => false,
            1 => true,
            _ => return Err(reader.invalid("transaction result")),
        };
        Ok(EndMarker { producer_id, epoch, commit })
    }
}
