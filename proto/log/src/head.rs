//! The head of a shard: what the fold keeps beside the partitions (design, section 3, "Checkpoints").
//!
//! ```text
//! head    := version u8 (1) | feature level varint | expired u8 (0 none, 1: position 12, before zigzag, ids below varint)
//!            | counters: count varint, (registration 16, last counter varint)…
//!            | topics: count varint, (topic 16, partitions varint)…
//! ```

use std::collections::BTreeMap;

use crate::codec::{FormatError, Reader, Write};
use crate::entry::read_i64;
use crate::{Position, RegistrationId, TopicId};

const VERSION: u8 = 1;

/// The last `Expire` entry of the shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expired {
    /// Where it stands.
    pub position: Position,
    /// Producers last used before were forgotten, milliseconds since the Unix epoch.
    pub before: i64,
    /// Producer ids given out until then are smaller.
    pub ids_below: i64,
}

/// State of a shard that belongs to no single partition.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShardHead {
    /// The feature level that the fold follows.
    pub level: u32,
    /// Producers' last expiry.
    pub expired: Option<Expired>,
    /// The last counter of each live registration's entries.
    pub counters: BTreeMap<RegistrationId, u64>,
    /// Topics that live, and how many partitions each has (in all shards).
    pub topics: BTreeMap<TopicId, u32>,
}

impl ShardHead {
    /// The head's bytes. May exceed what one value of the store takes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.varint(u64::from(self.level));
        match &self.expired {
            None => out.u8(0),
            Some(expired) => {
                out.u8(1);
                out.bytes(&expired.position.0);
                out.zigzag(expired.before);
                out.varint(expired.ids_below as u64);
            }
        }
        out.varint(self.counters.len() as u64);
        for (registration, counter) in &self.counters {
            out.bytes(&registration.0.to_be_bytes());
            out.varint(*counter);
        }
        out.varint(self.topics.len() as u64);
        for (topic, partitions) in &self.topics {
            out.bytes(&topic.0.to_be_bytes());
            out.varint(u64::from(*partitions));
        }
        out
    }

    /// Reads a head.
    ///
    /// # Errors
    /// If the bytes are not a head of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<ShardHead, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("shard head", 1..=VERSION)?;
        let level = reader.varint_u32("feature level")?;
        let expired = match reader.u8("expired")? {
            0 => None,
            1 => {
                let mut position = [0; 12];
                position.copy_from_slice(reader.take(12, "expire position")?);
                let before = reader.zigzag("expire before")?;
                Some(Expired {
                    position: Position(position),
                    before,
                    ids_below: read_i64(&mut reader, "ids below")?,
                })
            }
            _ => return Err(reader.invalid("expired")),
        };
        let mut counters = BTreeMap::new();
        for _ in 0..reader.count(17, "counters")? {
            counters.insert(reader.registration()?, reader.varint("counter")?);
        }
        let mut topics = BTreeMap::new();
        for _ in 0..reader.count(17, "topics")? {
            topics.insert(reader.topic()?, reader.partitions("partitions")?);
        }
        reader.end("shard head")?;
        Ok(ShardHead { level, expired, counters, topics })
    }
}
