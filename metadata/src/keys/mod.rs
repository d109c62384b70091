//! The key families of the metadata store: one file each, with layout, writer, reader and lifetime on its first lines.
//!
//! The first byte of a key is its family; numbers are big-endian, so that keys sort as their parts do.

pub mod aborted_chunk;
pub mod beat;
pub mod broker_configs;
pub mod catalog_floor;
pub mod catalog_log;
pub mod catalog_tick;
pub mod cleaned;
pub mod cluster;
pub mod condemned_topic;
pub mod ended_registration;
pub mod erasure;
pub mod extent_chunk;
pub mod group_head;
pub mod group_member;
pub mod group_offset;
pub mod group_owner;
pub mod group_pending;
pub mod inline_segment;
pub mod lease;
pub mod partition_row;
pub mod parts;
pub mod producer_ids;
pub mod registration;
pub mod roster_log;
pub mod roster_tick;
pub mod segment_row;
pub mod segment_trash;
pub mod segment_use;
pub mod shard_counted;
pub mod shard_floor;
pub mod shard_head;
pub mod shard_log;
pub mod shard_tick;
pub mod shard_voids;
pub mod standing;
pub mod topic_id;
pub mod topic_name;
pub mod txn;
pub mod txn_group;
pub mod txn_partition;

use bytes::Bytes;
use siltstone_log::{PartitionId, RegistrationId, SegmentId, ShardId};

/// The family bytes, each used once.
mod family {
    pub(super) const CLUSTER: u8 = 0x01;
    pub(super) const REGISTRATION: u8 = 0x02;
    pub(super) const BEAT: u8 = 0x03;
    pub(super) const STANDING: u8 = 0x04;
    pub(super) const ROSTER_TICK: u8 = 0x05;
    pub(super) const ROSTER_LOG: u8 = 0x06;
    pub(super) const SHARD_LOG: u8 = 0x10;
    pub(super) const SHARD_TICK: u8 = 0x11;
    pub(super) const SHARD_FLOOR: u8 = 0x12;
    pub(super) const SHARD_HEAD: u8 = 0x13;
    pub(super) const SHARD_VOIDS: u8 = 0x14;
    pub(super) const PARTITION_ROW: u8 = 0x20;
    pub(super) const EXTENT_CHUNK: u8 = 0x21;
    pub(super) const ABORTED_CHUNK: u8 = 0x22;
    pub(super) const INLINE_SEGMENT: u8 = 0x30;
    pub(super) const SEGMENT_ROW: u8 = 0x31;
    pub(super) const SEGMENT_USE: u8 = 0x32;
    pub(super) const SEGMENT_TRASH: u8 = 0x33;
    pub(super) const CLEANED: u8 = 0x34;
    pub(super) const CONDEMNED_TOPIC: u8 = 0x35;
    pub(super) const SHARD_COUNTED: u8 = 0x36;
    pub(super) const ENDED_REGISTRATION: u8 = 0x37;
    pub(super) const ERASURE: u8 = 0x38;
    pub(super) const ERASURE_DETAIL: u8 = 0x39;
    pub(super) const TOPIC_NAME: u8 = 0x40;
    pub(super) const TOPIC_ID: u8 = 0x41;
    pub(super) const BROKER_CONFIGS: u8 = 0x42;
    pub(super) const CATALOG_LOG: u8 = 0x43;
    pub(super) const CATALOG_TICK: u8 = 0x44;
    pub(super) const CATALOG_FLOOR: u8 = 0x45;
    pub(super) const PRODUCER_IDS: u8 = 0x46;
    pub(super) const LEASE_OWNER: u8 = 0x50;
    pub(super) const LEASE_BEAT: u8 = 0x51;
    pub(super) const GROUP_OWNER: u8 = 0x60;
    pub(super) const GROUP_HEAD: u8 = 0x61;
    pub(super) const GROUP_MEMBER: u8 = 0x62;
    pub(super) const GROUP_OFFSET: u8 = 0x63;
    pub(super) const GROUP_PENDING: u8 = 0x64;
    pub(super) const TXN: u8 = 0x70;
    pub(super) const TXN_PARTITION: u8 = 0x72;
    pub(super) const TXN_GROUP: u8 = 0x73;
}

/// Puts a key together.
struct Key(Vec<u8>);

impl Key {
    fn new(family: u8) -> Self {
        let mut bytes = Vec::with_capacity(48);
        bytes.push(family);
        Key(bytes)
    }

    fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Text that something may follow: a zero byte in it is written as `00 FF`, its end as `00 01`. Sorts as the text does.
    fn text(mut self, text: &str) -> Self {
        for byte in text.bytes() {
            self.0.push(byte);
            if byte == 0 {
                self.0.push(0xff);
            }
        }
        self.raw(&[0, 1])
    }

    fn shard(self, shard: ShardId) -> Self {
        self.raw(&shard.0.to_be_bytes())
    }

    fn partition(self, partition: PartitionId) -> Self {
        self.raw(&partition.topic.0.to_be_bytes()).raw(&partition.index.to_be_bytes())
    }

    fn registration(self, registration: RegistrationId) -> Self {
        self.raw(&registration.0.to_be_bytes())
    }

    fn segment(self, segment: SegmentId) -> Self {
        self.registration(segment.registration).raw(&segment.number.to_be_bytes())
    }

    fn done(self) -> Bytes {
        self.0.into()
    }
}

/// Reads what [`Key::text`] wrote, and what follows it. `None` if it isn't that.
fn parse_text(bytes: &[u8]) -> Option<(String, &[u8])> {
    let mut text = Vec::new();
    let mut at = 0;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (0, Some(0xff)) => {
                text.push(0);
                at += 2;
            }
            (0, Some(1)) => return Some((String::from_utf8(text).ok()?, &bytes[at + 2..])),
            (0, _) => return None,
            (byte, _) => {
                text.push(byte);
                at += 1;
            }
        }
    }
}

/// The shard of a key that consists of its family and a shard.
pub(crate) fn shard_in(key: &[u8]) -> Option<ShardId> {
    let [_, high, low] = key else { return None };
    Some(ShardId(u16::from_be_bytes([*high, *low])))
}

/// Reads what [`Key::segment`] wrote, if that is all there is.
fn parse_segment(bytes: &[u8]) -> Option<SegmentId> {
    let (registration, number) = bytes.split_at_checked(16)?;
    Some(SegmentId {
        registration: RegistrationId(u128::from_be_bytes(registration.try_into().ok()?)),
        number: u64::from_be_bytes(number.try_into().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_in_keys_sort_as_texts_and_never_run_into_what_follows() {
        let texts = ["", "\0", "\0\0", "\0a", "\u{1}", "a", "a\0", "a\0b", "aa", "b", "ä", "\u{10ffff}"];
        let key = |text: &str| Key::new(1).text(text).raw(b"rest").done();
        for (index, text) in texts.iter().enumerate() {
            assert_eq!(parse_text(&key(text)[1..]), Some(((*text).to_owned(), &b"rest"[..])));
            for later in &texts[index + 1..] {
                assert!(key(text) < key(later), "{text:?} {later:?}");
                assert!(!key(later).starts_with(&Key::new(1).text(text).done()), "{text:?} {later:?}");
            }
        }
        assert_eq!(parse_text(b"abc"), None);
        assert_eq!(parse_text(b"abc\0"), None);
    }
}
