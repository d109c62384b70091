//! Erasures: records of some keys that go for good, and the receipt of it (the right to be forgotten).
//!
//! ```text
//! erasure := version u8 (1) | stamp 10 | topic 16 | name string | partitions varint | requested ms zigzag | named varint
//!            | keys: count varint, digest 16… | invisible time | scan u8 (0 waits, 1 under way, 2 done) | place | scanned time
//!            | completed time | topic deleted u8 (0, 1)
//! place   := only with scan 1: trash u8 (0, 1) | registration 16 | number varint
//! object  := version u8 (1) | inline u8 (0, 1) | length varint | records varint | found ms zigzag | deleted time
//!            | bytes of shards varint | shards (as in a segment row)
//! time    := u8 (0 none, 1: ms zigzag)
//! digest  := the first 16 bytes of the SHA-256 of: topic 16 | key
//! ```
//!
//! The stamp is that of the commit that asked for the erasure, filled in by the store. Keys themselves are never kept; what is completed has no
//! digests any more, only how many keys were `named`. A reader refuses more than 256 digests.

use std::collections::BTreeSet;
use std::fmt;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::codec::{FormatError, Reader, Write};
use crate::{SegmentId, ShardSet, TopicId};

const VERSION: u8 = 1;
/// Keys that one erasure names, at most: an entry with all of them goes to every shard of the topic in one transaction.
pub const MAX_ERASED_KEYS: usize = 256;
const DIGEST_BYTES: usize = 16;

/// An erasure: random, never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErasureId(pub u128);

/// What stands for a key in the metadata.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyDigest(pub [u8; DIGEST_BYTES]);

impl ErasureId {
    /// As a UUID.
    pub fn uuid(&self) -> Uuid {
        Uuid::from_u128(self.0)
    }
}

impl fmt::Debug for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid())
    }
}

impl fmt::Display for ErasureId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.uuid())
    }
}

impl KeyDigest {
    /// That of a key in a topic. The topic's id is in it, so that the same key of two topics doesn't show as the same.
    pub fn of(topic: TopicId, key: &[u8]) -> Self {
        let whole = Sha256::new().chain_update(topic.0.to_be_bytes()).chain_update(key).finalize();
        let mut digest = [0; DIGEST_BYTES];
        digest.iter_mut().zip(whole).for_each(|(to, from)| *to = from);
        KeyDigest(digest)
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// How far the search for objects that hold such records is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ErasureScan {
    /// It waits until the rows of all partitions know of the erasure.
    #[default]
    Waits,
    /// Under way: segments up to here are looked through; those in use first, then trash.
    Under {
        /// Trash is being looked through.
        trash: bool,
        /// The last one that was looked at.
        last: SegmentId,
    },
    /// All are looked through.
    Done,
}

/// An erasure as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasureRow {
    /// Where it was asked for; `None` before the store has filled it in.
    pub stamp: Option<[u8; 10]>,
    /// The topic.
    pub topic: TopicId,
    /// Its name at that time.
    pub name: String,
    /// How many partitions it had then.
    pub partitions: u32,
    /// When it was asked for, milliseconds since the Unix epoch.
    pub requested: i64,
    /// How many keys it named.
    pub named: u32,
    /// Their digests; none any more once it is completed.
    pub keys: BTreeSet<KeyDigest>,
    /// Since when no agent serves such records, ms.
    pub invisible: Option<i64>,
    /// The search for objects.
    pub scan: ErasureScan,
    /// When that was done, ms.
    pub scanned: Option<i64>,
    /// When the last object was gone, ms.
    pub completed: Option<i64>,
    /// The topic was deleted before that.
    pub topic_deleted: bool,
}

impl ErasureRow {
    /// What stands before the stamp, and what behind it.
    pub fn around_stamp(&self) -> (Vec<u8>, Vec<u8>) {
        let mut out = Vec::new();
        out.bytes(&self.topic.0.to_be_bytes());
        out.string(&self.name);
        out.varint(u64::from(self.partitions));
        out.zigzag(self.requested);
        out.varint(u64::from(self.named));
        write_digests(&mut out, &self.keys);
        write_time(&mut out, self.invisible);
        match self.scan {
            ErasureScan::Waits => out.u8(0),
            ErasureScan::Under { trash, last } => {
                out.u8(1);
                out.u8(u8::from(trash));
                out.segment(last);
            }
            ErasureScan::Done => out.u8(2),
        }
        write_time(&mut out, self.scanned);
        write_time(&mut out, self.completed);
        out.u8(u8::from(self.topic_deleted));
        (vec![VERSION], out)
    }

    /// The row's bytes, with the stamp that it has, which must be there by now.
    pub fn encode(&self) -> Vec<u8> {
        let (mut out, behind) = self.around_stamp();
        out.bytes(&self.stamp.unwrap_or_default());
        out.bytes(&behind);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a row of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<ErasureRow, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("erasure", VERSION..=VERSION)?;
        let mut stamp = [0; 10];
        stamp.copy_from_slice(reader.take(10, "stamp")?);
        let row = ErasureRow {
            stamp: Some(stamp),
            topic: reader.topic()?,
            name: reader.string("topic name")?,
            partitions: reader.partitions("partitions")?,
            requested: reader.zigzag("time of request")?,
            named: reader.varint_u32("named keys")?,
            keys: read_digests(&mut reader)?,
            invisible: read_time(&mut reader, "time of invisibility")?,
            scan: read_scan(&mut reader)?,
            scanned: read_time(&mut reader, "time of the scan")?,
            completed: read_time(&mut reader, "time of completion")?,
            topic_deleted: flag(&mut reader, "topic deleted")?,
        };
        reader.end("erasure")?;
        Ok(row)
    }
}

fn read_scan(reader: &mut Reader<'_>) -> Result<ErasureScan, FormatError> {
    Ok(match reader.u8("scan")? {
        0 => ErasureScan::Waits,
        1 => ErasureScan::Under { trash: flag(reader, "trash")?, last: reader.segment()? },
        2 => ErasureScan::Done,
        _ => return Err(reader.invalid("scan")),
    })
}

/// A segment that holds, or held, such records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErasedObject {
    /// In the metadata store, not in object storage.
    pub inline: bool,
    /// Bytes of the whole.
    pub length: u64,
    /// Records of these keys in it.
    pub records: u64,
    /// When it was found, milliseconds since the Unix epoch.
    pub found: i64,
    /// When it was known to be deleted, ms.
    pub deleted: Option<i64>,
    /// Shards that may refer to it.
    pub shards: ShardSet,
}

impl ErasedObject {
    /// The bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, u8::from(self.inline)];
        out.varint(self.length);
        out.varint(self.records);
        out.zigzag(self.found);
        write_time(&mut out, self.deleted);
        out.varint(self.shards.bytes().len() as u64);
        out.bytes(self.shards.bytes());
        out
    }

    /// Reads what [`ErasedObject::encode`] wrote.
    ///
    /// # Errors
    /// If the bytes are none of a version that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<ErasedObject, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("erased object", VERSION..=VERSION)?;
        let inline = flag(&mut reader, "inline")?;
        let length = reader.varint("length")?;
        let records = reader.varint("records")?;
        let found = reader.zigzag("time of finding")?;
        let deleted = read_time(&mut reader, "time of deletion")?;
        let count = reader.count(1, "shards")?;
        let shards = ShardSet::from_bytes(reader.take(count, "shards")?);
        reader.end("erased object")?;
        Ok(ErasedObject { inline, length, records, found, deleted, shards })
    }
}

pub(crate) fn write_digests(out: &mut Vec<u8>, keys: &BTreeSet<KeyDigest>) {
    out.varint(keys.len() as u64);
    keys.iter().for_each(|digest| out.bytes(&digest.0));
}

pub(crate) fn read_digests(reader: &mut Reader<'_>) -> Result<BTreeSet<KeyDigest>, FormatError> {
    let count = reader.count(DIGEST_BYTES, "keys")?;
    if count > MAX_ERASED_KEYS {
        return Err(reader.invalid("keys"));
    }
    let mut keys = BTreeSet::new();
    for _ in 0..count {
        let mut digest = [0; DIGEST_BYTES];
        digest.copy_from_slice(reader.take(DIGEST_BYTES, "key")?);
        keys.insert(KeyDigest(digest));
    }
    Ok(keys)
}

pub(crate) fn read_erasure(reader: &mut Reader<'_>) -> Result<ErasureId, FormatError> {
    reader.u128("erasure id").map(ErasureId)
}

fn write_time(out: &mut Vec<u8>, time: Option<i64>) {
    out.u8(u8::from(time.is_some()));
    if let Some(time) = time {
        out.zigzag(time);
    }
}

fn read_time(reader: &mut Reader<'_>, what: &'static str) -> Result<Option<i64>, FormatError> {
    if flag(reader, what)? { Ok(Some(reader.zigzag(what)?)) } else { Ok(None) }
}

fn flag(reader: &mut Reader<'_>, what: &'static str) -> Result<bool, FormatError> {
    match reader.u8(what)? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(reader.invalid(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_fixed() {
        let digest = KeyDigest::of(TopicId(0x1234), b"alice");
        // sha256(00…1234 61 6c 69 63 65), the first half, as another program computes it.
        assert_eq!(format!("{digest:?}"), "873bddcfa7b26c819f13a11c18e22c78");
        assert_ne!(digest, KeyDigest::of(TopicId(0x1235), b"alice"));
    }
}
