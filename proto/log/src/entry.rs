//! Entries of a shard's log: what the fold consumes (design, section 3).
//!
//! ```text
//! entry     := version u8 (1) | kind u8 | body
//! append 1  := registration 16 | counter varint | at zigzag | segment number varint | placement u8 | segment length varint
//!              | blocks: count varint, block…
//! block     := topic 16 | partition varint | start varint | stored length varint | encoding u8 | raw length varint (only if encoded)
//!              | batches: count varint, batch…
//! batch     := flags u8 | bytes varint | records varint | max timestamp zigzag, relative to `at`
//!              | producer id varint, epoch varint, first sequence varint (only with flag 1)
//! trim 2    := topic 16 | partition varint | offset varint
//! created 3 := topic 16 | first partition varint | end partition varint | at zigzag
//! deleted 4 := topic 16
//! expire 5  := before zigzag | ids below varint
//! ended 6   := registration 16
//! feature 7 := level varint
//! txn end 8 := producer id varint | epoch varint | result u8 (0 abort, 1 commit) | at zigzag | topics: count varint, topic…
//! topic     := topic 16 | partitions: count varint, partition varint…
//! erase 9   := erasure 16 | topic 16 | keys: count varint, digest 16…
//! erased 10 := erasure 16 | topic 16
//! ```
//!
//! `placement` is 0 for an object, 1 for an inline segment; `encoding` 0 for bytes as they are, 1 for zstd over the block.
//! `flags`: 1 producer fields follow, 2 transactional, 4 void. Kind 8 and flag 4 come with feature level 3, kinds 9 and 10 with level 5. All times are milliseconds of the writer's clock since the Unix epoch.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::codec::{FormatError, Reader, Write};
use crate::erasure::{read_digests, read_erasure, write_digests};
use crate::marker::TxnEnd;
use crate::{ErasureId, KeyDigest, PartitionId, RegistrationId, SegmentId, TopicId};

/// The version that is written.
const VERSION: u8 = 1;
const FLAG_PRODUCER: u8 = 1;
const FLAG_TRANSACTIONAL: u8 = 2;
const FLAG_VOID: u8 = 4;
/// Fewest bytes of a block and of a batch, for bounding counts.
const LEAST_BLOCK: usize = 16 + 5;
const LEAST_BATCH: usize = 4;

/// One entry of a shard's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A flush's blocks for this shard: its manifest.
    Append(Append),
    /// Raises a partition's log start offset.
    Trim {
        /// The partition.
        partition: PartitionId,
        /// The first offset to keep.
        offset: i64,
    },
    /// Partitions `first..end` of a topic exist from here on; the shard takes those that fall on it.
    Created {
        /// The topic.
        topic: TopicId,
        /// First new partition.
        first: u32,
        /// The topic's number of partitions from now on.
        end: u32,
        /// When, by the creator's clock.
        at: i64,
    },
    /// A topic and all its partitions end.
    Deleted {
        /// The topic.
        topic: TopicId,
    },
    /// Forgets producers that wrote nothing since.
    Expire {
        /// Producers whose last batch is older are forgotten, milliseconds since the Unix epoch.
        before: i64,
        /// Every producer id given out so far is smaller.
        ids_below: i64,
    },
    /// A registration is over: later entries of it are void.
    Ended {
        /// Which.
        registration: RegistrationId,
    },
    /// Raises the feature level.
    Feature {
        /// To this.
        level: u32,
    },
    /// A transaction ends in this shard: each partition gets a control record.
    TxnEnd(TxnEnd),
    /// Records of these keys that the topic's partitions hold at this place in the order are to go. Later ones are new ones, and stay.
    Erase {
        /// Which erasure.
        erasure: ErasureId,
        /// The topic.
        topic: TopicId,
        /// The keys.
        keys: BTreeSet<KeyDigest>,
    },
    /// All records of an erasure are gone: there is nothing left to hide.
    Erased {
        /// Which erasure.
        erasure: ErasureId,
        /// The topic.
        topic: TopicId,
    },
}

/// What a flush puts into one shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Whose flush it is.
    pub registration: RegistrationId,
    /// Counts the entries of this registration in this shard from 1, so that a repeat shows.
    pub counter: u64,
    /// The agent's clock at the flush, milliseconds since the Unix epoch.
    pub at: i64,
    /// The segment that holds the bytes.
    pub segment: SegmentPlace,
    /// In the segment's order.
    pub blocks: Vec<Block>,
}

/// Where a segment lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SegmentPlace {
    /// Which segment.
    pub id: SegmentId,
    /// In the metadata store, not in object storage.
    pub inline: bool,
    /// Length of the whole, bytes.
    pub length: u64,
}

/// How a block's bytes are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// As the producers sent them.
    Plain,
    /// One zstd frame over the block.
    Zstd {
        /// Length after decompression, bytes.
        raw_length: u32,
    },
}

/// Where a block lies in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BlockPlace {
    /// First byte.
    pub start: u64,
    /// Bytes as stored.
    pub length: u32,
    /// How they are stored.
    pub encoding: Encoding,
}

impl BlockPlace {
    /// Bytes of the block's batches.
    pub fn raw_length(&self) -> u32 {
        match self.encoding {
            Encoding::Plain => self.length,
            Encoding::Zstd { raw_length } => raw_length,
        }
    }

    /// Where its bytes are stored in the segment.
    pub fn stored(&self) -> Range<u64> {
        self.start..self.start + u64::from(self.length)
    }

    /// The stored bytes that `length` bytes of its batches from `start` on can be had from: just those, or all of the block if that is compressed.
    pub fn stored_part(&self, start: u32, length: u32) -> Range<u64> {
        match self.encoding {
            Encoding::Plain => {
                let from = self.start + u64::from(start);
                from..from + u64::from(length)
            }
            Encoding::Zstd { .. } => self.stored(),
        }
    }
}

/// The batches of one partition in one segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The partition.
    pub partition: PartitionId,
    /// Where the bytes are.
    pub place: BlockPlace,
    /// One by one, in order, without gaps between them.
    pub batches: Vec<BatchMeta>,
}

/// What the fold must know of one record batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchMeta {
    /// Its length, bytes.
    pub bytes: u32,
    /// Offsets that it takes: last offset delta + 1.
    pub records: u32,
    /// The largest timestamp of its records, milliseconds since the Unix epoch.
    pub max_timestamp: i64,
    /// The idempotent producer, if there is one.
    pub producer: Option<ProducerMeta>,
    /// Whether it belongs to a transaction.
    pub transactional: bool,
    /// Not to be appended: its transaction was found to have ended when its entry was sent, and its bytes were stored already.
    pub void: bool,
}

/// Who produced a batch, and which of its batches it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProducerMeta {
    /// Producer id, never negative.
    pub id: i64,
    /// Its epoch, never negative.
    pub epoch: i16,
    /// The first record's sequence number, never negative.
    pub first_sequence: i32,
}

impl Entry {
    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Entry::Append(append) => return append.encode(),
            Entry::Trim { partition, offset } => {
                out.u8(2);
                out.partition(*partition);
                out.varint(*offset as u64);
            }
            Entry::Created { topic, first, end, at } => {
                out.u8(3);
                out.bytes(&topic.0.to_be_bytes());
                out.varint(u64::from(*first));
                out.varint(u64::from(*end));
                out.zigzag(*at);
            }
            Entry::Deleted { topic } => {
                out.u8(4);
                out.bytes(&topic.0.to_be_bytes());
            }
            Entry::Expire { before, ids_below } => {
                out.u8(5);
                out.zigzag(*before);
                out.varint(*ids_below as u64);
            }
            Entry::Ended { registration } => {
                out.u8(6);
                out.bytes(&registration.0.to_be_bytes());
            }
            Entry::Feature { level } => {
                out.u8(7);
                out.varint(u64::from(*level));
            }
            Entry::TxnEnd(end) => end.write(&mut out),
            Entry::Erase { erasure, topic, keys } => {
                out.u8(9);
                out.bytes(&erasure.0.to_be_bytes());
                out.bytes(&topic.0.to_be_bytes());
                write_digests(&mut out, keys);
            }
            Entry::Erased { erasure, topic } => {
                out.u8(10);
                out.bytes(&erasure.0.to_be_bytes());
                out.bytes(&topic.0.to_be_bytes());
            }
        }
        out
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// [`FormatError::UnknownVersion`] also for a kind that this program doesn't know: the shard must halt here, since
    /// skipping it would give a state that others don't have.
    pub fn decode(bytes: &[u8]) -> Result<Entry, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("shard-log entry", 1..=VERSION)?;
        let entry = match reader.u8("entry kind")? {
            1 => Entry::Append(Append::read(&mut reader)?),
            2 => {
                Entry::Trim { partition: reader.partition()?, offset: read_i64(&mut reader, "trim offset")? }
            }
            3 => Entry::Created {
                topic: reader.topic()?,
                first: reader.partitions("first partition")?,
                end: reader.partitions("end partition")?,
                at: reader.zigzag("creation time")?,
            },
            4 => Entry::Deleted { topic: reader.topic()? },
            5 => Entry::Expire {
                before: reader.zigzag("expire before")?,
                ids_below: read_i64(&mut reader, "ids below")?,
            },
            6 => Entry::Ended { registration: reader.registration()? },
            7 => Entry::Feature { level: reader.varint_u32("feature level")? },
            8 => Entry::TxnEnd(TxnEnd::read(&mut reader)?),
            9 => Entry::Erase {
                erasure: read_erasure(&mut reader)?,
                topic: reader.topic()?,
                keys: read_digests(&mut reader)?,
            },
            10 => Entry::Erased { erasure: read_erasure(&mut reader)?, topic: reader.topic()? },
            kind => {
                return Err(FormatError::UnknownVersion {
                    what: "shard-log entry kind",
                    version: u32::from(kind),
                });
            }
        };
        reader.end("shard-log entry")?;
        Ok(entry)
    }
}

/// A varint that must fit a non-negative i64.
pub(crate) fn read_i64(reader: &mut Reader<'_>, what: &'static str) -> Result<i64, FormatError> {
    let value = reader.varint(what)?;
    i64::try_from(value).map_err(|_| reader.invalid(what))
}

impl Append {
    /// The bytes of the entry that it is.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.write(&mut out);
        out
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.u8(1);
        out.bytes(&self.registration.0.to_be_bytes());
        out.varint(self.counter);
        out.zigzag(self.at);
        out.varint(self.segment.id.number);
        out.u8(u8::from(self.segment.inline));
        out.varint(self.segment.length);
        out.varint(self.blocks.len() as u64);
        for block in &self.blocks {
            block.write(out, self.at);
        }
    }

    fn read(reader: &mut Reader<'_>) -> Result<Append, FormatError> {
        let registration = reader.registration()?;
        let counter = reader.varint("counter")?;
        let at = reader.zigzag("time")?;
        let number = reader.varint("segment number")?;
        let inline = match reader.u8("placement")? {
            0 => false,
            1 => true,
            _ => return Err(reader.invalid("placement")),
        };
        let segment = SegmentPlace {
            id: SegmentId { registration, number },
            inline,
            length: reader.varint("segment length")?,
        };
        let count = reader.count(LEAST_BLOCK, "blocks")?;
        let blocks = (0..count).map(|_| Block::read(reader, at, segment.length)).collect::<Result<_, _>>()?;
        Ok(Append { registration, counter, at, segment, blocks })
    }
}

impl Block {
    fn write(&self, out: &mut Vec<u8>, at: i64) {
        out.partition(self.partition);
        self.place.write(out);
        out.varint(self.batches.len() as u64);
        for batch in &self.batches {
            batch.write(out, at);
        }
    }

    fn read(reader: &mut Reader<'_>, at: i64, segment_length: u64) -> Result<Block, FormatError> {
        let partition = reader.partition()?;
        let place = BlockPlace::read(reader)?;
        if place.start.checked_add(u64::from(place.length)).is_none_or(|end| end > segment_length) {
            return Err(reader.invalid("block beyond its segment"));
        }
        let count = reader.count(LEAST_BATCH, "batches")?;
        let batches: Vec<_> = (0..count).map(|_| BatchMeta::read(reader, at)).collect::<Result<_, _>>()?;
        let total: u64 = batches.iter().map(|batch| u64::from(batch.bytes)).sum();
        if total != u64::from(place.raw_length()) {
            return Err(reader.invalid("batches' lengths"));
        }
        Ok(Block { partition, place, batches })
    }
}

impl BlockPlace {
    pub(crate) fn write(&self, out: &mut Vec<u8>) {
        out.varint(self.start);
        out.varint(u64::from(self.length));
        match self.encoding {
            Encoding::Plain => out.u8(0),
            Encoding::Zstd { raw_length } => {
                out.u8(1);
                out.varint(u64::from(raw_length));
            }
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<BlockPlace, FormatError> {
        let start = reader.varint("block start")?;
        let length = reader.varint_u32("block length")?;
        let encoding = match reader.u8("block encoding")? {
            0 => Encoding::Plain,
            1 => Encoding::Zstd { raw_length: reader.varint_u32("raw length")? },
            other => {
                return Err(FormatError::UnknownVersion {
                    what: "block encoding",
                    version: u32::from(other),
                });
            }
        };
        Ok(BlockPlace { start, length, encoding })
    }
}

impl BatchMeta {
    fn write(&self, out: &mut Vec<u8>, at: i64) {
        let flags = if self.producer.is_some() { FLAG_PRODUCER } else { 0 }
            | if self.transactional { FLAG_TRANSACTIONAL } else { 0 }
            | if self.void { FLAG_VOID } else { 0 };
        out.u8(flags);
        out.varint(u64::from(self.bytes));
        out.varint(u64::from(self.records));
        out.zigzag(self.max_timestamp.wrapping_sub(at));
        if let Some(producer) = &self.producer {
            out.varint(producer.id as u64);
            out.varint(producer.epoch as u64);
            out.varint(producer.first_sequence as u64);
        }
    }

    fn read(reader: &mut Reader<'_>, at: i64) -> Result<BatchMeta, FormatError> {
        let flags = reader.u8("batch flags")?;
        if flags & !(FLAG_PRODUCER | FLAG_TRANSACTIONAL | FLAG_VOID) != 0 {
            return Err(FormatError::UnknownVersion { what: "batch flags", version: u32::from(flags) });
        }
        let bytes = reader.varint_u32("batch bytes")?;
        let records = reader.varint_u32("batch records")?;
        if records == 0 || records > i32::MAX as u32 {
            return Err(reader.invalid("batch records"));
        }
        let max_timestamp = reader.zigzag("batch timestamp")?.wrapping_add(at);
        let producer = if flags & FLAG_PRODUCER != 0 { Some(ProducerMeta::read(reader)?) } else { None };
        Ok(BatchMeta {
            bytes,
            records,
            max_timestamp,
            producer,
            transactional: flags & FLAG_TRANSACTIONAL != 0,
            void: flags & FLAG_VOID != 0,
        })
    }
}

impl ProducerMeta {
    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<ProducerMeta, FormatError> {
        let id = read_i64(reader, "producer id")?;
        let epoch = reader.varint("producer epoch")?;
        let first_sequence = reader.varint("sequence")?;
        Ok(ProducerMeta {
            id,
            epoch: i16::try_from(epoch).map_err(|_| reader.invalid("producer epoch"))?,
            first_sequence: i32::try_from(first_sequence).map_err(|_| reader.invalid("sequence"))?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_plain_block_is_read_by_itself_and_a_compressed_block_as_a_whole() {
        let plain = BlockPlace { start: 100, length: 50, encoding: Encoding::Plain };
        assert_eq!((plain.stored(), plain.stored_part(10, 5)), (100..150, 110..115));
        let packed = BlockPlace { encoding: Encoding::Zstd { raw_length: 500 }, ..plain };
        assert_eq!((packed.stored(), packed.stored_part(400, 100)), (100..150, 100..150));
    }
}
