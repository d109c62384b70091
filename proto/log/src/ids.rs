//! The names of things that outlive a process: registrations, topics, partitions, segments, shards.

use std::fmt;

use uuid::Uuid;

/// An agent's life: random, ended once, never used again (design, section 2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistrationId(pub u128);

/// A topic's id, as Kafka has it: random, never zero, never used again after the topic is deleted.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub u128);

/// One partition of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicId,
    /// Which of its partitions, from 0.
    pub index: u32,
}

/// Most partitions of one topic. Decoders refuse more: the fold lists a new topic's partitions, so that the number must not be what
/// somebody happened to ask for.
pub const MAX_PARTITIONS: u32 = 1 << 20;

/// A place in a shard's log: the stamp of the commit that appended the entry (10 bytes), and which of its entries in this
/// shard it is (2 bytes). Ordered as bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(pub [u8; 12]);

impl Position {
    /// Before every entry.
    pub const ZERO: Position = Position([0; 12]);

    /// Entry `index` of the commit with this stamp.
    pub fn new(stamp: [u8; 10], index: u16) -> Self {
        let mut bytes = [0; 12];
        bytes[..10].copy_from_slice(&stamp);
        bytes[10..].copy_from_slice(&index.to_be_bytes());
        Position(bytes)
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A shard of the metadata, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

/// A segment: who wrote it, and which of its flushes it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId {
    /// The writer's registration.
    pub registration: RegistrationId,
    /// Counts the writer's segments from 1; every flush has a number of its own, inline or not.
    pub number: u64,
}

impl SegmentId {
    /// The object's name below the bucket's prefix: the registration's [`RegistrationId::object_prefix`], then the number in hexadecimal.
    pub fn object_name(&self) -> String {
        format!("{}/{:016x}", self.registration.object_prefix(), self.number)
    }
}

impl RegistrationId {
    /// Where the objects of this registration lie: `seg/<hash>/<registration>`, all hexadecimal. The hash spreads agents over an
    /// object store's prefixes, which are what it throttles; what an ended registration left over is found by listing this one prefix.
    pub fn object_prefix(&self) -> String {
        let hash = mix64((self.0 >> 64) as u64 ^ self.0 as u64) as u8;
        format!("seg/{hash:02x}/{:032x}", self.0)
    }
}

/// Which shard a partition lives in: the topic's hash picks the first partition's, and consecutive partitions
/// fall on consecutive shards (design, section 3). Fixed for ever: it decides where data is found.
pub fn shard_of(partition: PartitionId, shards: u16) -> ShardId {
    let first = mix64((partition.topic.0 >> 64) as u64 ^ partition.topic.0 as u64);
    let shards = u64::from(shards.max(1));
    let at = (first % shards + u64::from(partition.index) % shards) % shards;
    ShardId(at as u16)
}

/// A fixed 64-bit mixer (the finaliser of SplitMix64). Part of the format: it never changes.
pub fn mix64(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl TopicId {
    /// As a UUID.
    pub fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.0)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid())
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid())
    }
}

impl fmt::Debug for RegistrationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{:x}", self.registration, self.number)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_partitions_fall_on_consecutive_shards() {
        let topic = TopicId(0x1234_5678_9abc_def0_1122_3344_5566_7788);
        let at = |index| shard_of(PartitionId { topic, index }, 16).0;
        for index in 0..100 {
            assert_eq!((at(index) + 1) % 16, at(index + 1));
        }
    }

    #[test]
    fn object_names_are_fixed() {
        let id = SegmentId { registration: RegistrationId(0xabc), number: 0x1f };
        assert_eq!(id.object_name(), "seg/28/00000000000000000000000000000abc/000000000000001f");
        assert_eq!(mix64(1), 0x910a_2dec_8902_5cc1);
    }
}
