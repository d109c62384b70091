//! Rows of a group of the classic protocol: its head, and one row per member, as of its last complete generation.
//!
//! ```text
//! group head     := kind u8 (1 classic: classic head, 2 consumer: the head of the consumer protocol)
//! classic head   := version u8 (1) | generation zigzag | protocol type string | protocol optional | leader optional | since ms zigzag
//! classic member := version u8 (1) | instance optional | client id string | client host string
//!                   | session timeout ms varint | rebalance timeout ms varint
//!                   | protocols: count varint, (name string, metadata bytes)… | assignment bytes
//! optional       := u8 (0 none, 1: string)
//! string, bytes  := length varint | UTF-8, or any bytes
//! ```

use bytes::Bytes;

use super::consumer::ConsumerHeadRow;
use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;
const CLASSIC: u8 = 1;
const CONSUMER: u8 = 2;
/// A protocol takes two lengths, at least.
const LEAST_PROTOCOL: usize = 2;

/// What a group's members have in common, by the group's protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupHeadRow {
    /// JoinGroup and SyncGroup; or offsets alone, without members.
    Classic(ClassicHeadRow),
    /// ConsumerGroupHeartbeat (KIP-848).
    Consumer(ConsumerHeadRow),
}

/// What the members of a group of the classic protocol have in common.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicHeadRow {
    /// Rises with every rebalance.
    pub generation: i32,
    /// `consumer`, `connect`, …; empty if the group never had members.
    pub protocol_type: String,
    /// The assignor of this generation; none if the group is empty.
    pub protocol: Option<String>,
    /// The member that assigned.
    pub leader: Option<String>,
    /// When the group came into this state, milliseconds since the Unix epoch.
    pub since: i64,
}

/// A member of a group of the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ClassicMemberRow {
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// The client id of its last join.
    pub client_id: String,
    /// Where that came from.
    pub client_host: String,
    /// How long it may be silent, milliseconds.
    pub session_timeout_ms: u32,
    /// How long it may take to join again, milliseconds.
    pub rebalance_timeout_ms: u32,
    /// The assignors that it knows, by preference, each with its metadata.
    pub protocols: Vec<(String, Bytes)>,
    /// What the leader gave it.
    pub assignment: Bytes,
}

impl GroupHeadRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let (kind, rest) = match self {
            GroupHeadRow::Classic(head) => (CLASSIC, head.encode()),
            GroupHeadRow::Consumer(head) => (CONSUMER, head.encode()),
        };
        let mut out = vec![kind];
        out.extend(rest);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        match reader.u8("group kind")? {
            CLASSIC => Ok(GroupHeadRow::Classic(ClassicHeadRow::decode(&bytes[1..])?)),
            CONSUMER => Ok(GroupHeadRow::Consumer(ConsumerHeadRow::decode(&bytes[1..])?)),
            kind => Err(FormatError::UnknownVersion { what: "group", version: u32::from(kind) }),
        }
    }
}

impl ClassicHeadRow {
    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.zigzag(i64::from(self.generation));
        out.string(&self.protocol_type);
        optional(&mut out, self.protocol.as_deref());
        optional(&mut out, self.leader.as_deref());
        out.zigzag(self.since);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("classic head", VERSION..=VERSION)?;
        let generation = reader.zigzag("generation")?;
        let row = ClassicHeadRow {
            generation: i32::try_from(generation).map_err(|_| reader.invalid("generation"))?,
            protocol_type: reader.string("protocol type")?,
            protocol: read_optional(&mut reader, "protocol")?,
            leader: read_optional(&mut reader, "leader")?,
            since: reader.zigzag("since")?,
        };
        reader.end("classic head")?;
        Ok(row)
    }
}

impl ClassicMemberRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        optional(&mut out, self.instance.as_deref());
        out.string(&self.client_id);
        out.string(&self.client_host);
        out.varint(u64::from(self.session_timeout_ms));
        out.varint(u64::from(self.rebalance_timeout_ms));
        out.varint(self.protocols.len() as u64);
        for (name, metadata) in &self.protocols {
            out.string(name);
            blob(&mut out, metadata);
        }
        blob(&mut out, &self.assignment);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("classic member", VERSION..=VERSION)?;
        let instance = read_optional(&mut reader, "instance")?;
        let client_id = reader.string("client id")?;
        let client_host = reader.string("client host")?;
        let session_timeout_ms = reader.varint_u32("session timeout")?;
        let rebalance_timeout_ms = reader.varint_u32("rebalance timeout")?;
        let count = reader.count(LEAST_PROTOCOL, "protocols")?;
        let mut protocols = Vec::with_capacity(count);
        for _ in 0..count {
            protocols.push((reader.string("protocol")?, read_blob(&mut reader, "metadata")?));
        }
        let assignment = read_blob(&mut reader, "assignment")?;
        reader.end("classic member")?;
        Ok(ClassicMemberRow {
            instance,
            client_id,
            client_host,
            session_timeout_ms,
            rebalance_timeout_ms,
            protocols,
            assignment,
        })
    }
}

fn optional(out: &mut Vec<u8>, value: Option<&str>) {
    out.push(u8::from(value.is_some()));
    if let Some(value) = value {
        out.string(value);
    }
}

fn read_optional(reader: &mut Reader<'_>, what: &'static str) -> Result<Option<String>, FormatError> {
    match reader.u8(what)? {
        0 => Ok(None),
        1 => reader.string(what).map(Some),
        _ => Err(reader.invalid(what)),
    }
}

fn blob(out: &mut Vec<u8>, value: &[u8]) {
    out.varint(value.len() as u64);
    out.bytes(value);
}

fn read_blob(reader: &mut Reader<'_>, what: &'static str) -> Result<Bytes, FormatError> {
    let length = reader.count(1, what)?;
    Ok(Bytes::copy_from_slice(reader.take(length, what)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn member() -> impl Strategy<Value = ClassicMemberRow> {
        let protocols = prop::collection::vec((".{0,5}", prop::collection::vec(any::<u8>(), 0..20)), 0..4);
        (any::<Option<String>>(), any::<(String, String, u32, u32)>(), protocols, any::<Vec<u8>>()).prop_map(
            |(
                instance,
                (client_id, client_host, session_timeout_ms, rebalance_timeout_ms),
                protocols,
                assignment,
            )| {
                ClassicMemberRow {
                    instance,
                    client_id,
                    client_host,
                    session_timeout_ms,
                    rebalance_timeout_ms,
                    protocols: protocols.into_iter().map(|(name, bytes)| (name, bytes.into())).collect(),
                    assignment: assignment.into(),
                }
            },
        )
    }

    proptest! {
        #[test]
        fn heads_are_read_as_written(generation: i32, protocol_type: String, protocol: Option<String>, leader: Option<String>, since: i64) {
            let row = GroupHeadRow::Classic(ClassicHeadRow { generation, protocol_type, protocol, leader, since });
            prop_assert_eq!(GroupHeadRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn members_are_read_as_written(row in member()) {
            prop_assert_eq!(ClassicMemberRow::decode(&row.encode()), Ok(row));
        }

        #[test]
        fn rubbish_is_refused_or_read_whole(bytes: Vec<u8>) {
            drop((GroupHeadRow::decode(&bytes), ClassicMemberRow::decode(&bytes)));
        }
    }

    #[test]
    fn rows_of_version_1_open_for_ever() {
        let head = [1, 1, 6, 1, b'c', 1, 1, b'r', 0, 20];
        let row = ClassicHeadRow {
            generation: 3,
            protocol_type: "c".into(),
            protocol: Some("r".into()),
            leader: None,
            since: 10,
        };
        assert_eq!(GroupHeadRow::decode(&head), Ok(GroupHeadRow::Classic(row)));
        let member = [1, 1, 1, b'i', 1, b'c', 1, b'h', 10, 20, 1, 1, b'r', 2, 7, 8, 1, 9];
        let row = ClassicMemberRow {
            instance: Some("i".into()),
            client_id: "c".into(),
            client_host: "h".into(),
            session_timeout_ms: 10,
            rebalance_timeout_ms: 20,
            protocols: vec![("r".into(), Bytes::from_static(&[7, 8]))],
            assignment: Bytes::from_static(&[9]),
        };
        assert_eq!(ClassicMemberRow::decode(&member), Ok(row));
    }
}
