//! Rows of a group of the consumer protocol (KIP-848): its head, and one row per member.
//!
//! ```text
//! consumer head   := version u8 (1) | group epoch varint | target epoch varint | topics digest u64
//! consumer member := version u8 (1) | instance optional | rack optional | client id string | client host string
//!                    | rebalance timeout ms varint | assignor optional | topics: count varint, string… | regex optional
//!                    | classic u8 (0 none, 1: session timeout ms varint, protocols: count varint, (name string, metadata bytes)…)
//!                    | epoch zigzag | previous epoch zigzag | state u8 (0 stable, 1 unrevoked, 2 unreleased)
//!                    | assigned partitions | revoking partitions | target u8 (0 as assigned, 1: partitions)
//! partitions      := topics: count varint, (topic 16, indices: count varint, (indices skipped before it varint)…)…
//! optional        := u8 (0 none, 1: string)
//! string, bytes   := length varint | UTF-8, or any bytes
//! ```

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::TopicId;
use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;
const LEAST_TOPIC: usize = 16 + 2;

/// Partitions by topic. No set is empty.
pub type Partitions = BTreeMap<TopicId, BTreeSet<u32>>;

/// What the members of a group of the consumer protocol have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConsumerHeadRow {
    /// Rises with every change of members, subscriptions or topics.
    pub epoch: i32,
    /// The epoch for which the members' targets were made; at most [`epoch`](Self::epoch).
    pub target_epoch: i32,
    /// A digest of the subscribed topics' names, ids and numbers of partitions, as of `epoch`.
    pub topics_digest: u64,
}

/// How far a member is on its way to its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConsumerMemberState {
    /// It has what it was to have in its epoch.
    #[default]
    Stable,
    /// It has yet to give up partitions before it may pass to the next epoch.
    Unrevoked,
    /// It is in the target's epoch and waits for partitions that others have yet to give up.
    Unreleased,
}

/// What is kept of a member that speaks the classic protocol.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClassicPart {
    /// Its session timeout, milliseconds.
    pub session_timeout_ms: i32,
    /// The assignors that it knows, each with its subscription in the embedded consumer protocol, by preference.
    pub protocols: Vec<(String, Bytes)>,
}

/// A member of a group of the consumer protocol.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ConsumerMemberRow {
    /// The instance id of a static member.
    pub instance: Option<String>,
    /// Where it is.
    pub rack: Option<String>,
    /// The client id of its last request.
    pub client_id: String,
    /// Where its last request came from.
    pub client_host: String,
    /// How long it may take to give up partitions, milliseconds.
    pub rebalance_timeout_ms: i32,
    /// The server-side assignor that it asks for.
    pub assignor: Option<String>,
    /// Topics that it subscribes to by name.
    pub topics: BTreeSet<String>,
    /// A regular expression for more topics.
    pub regex: Option<String>,
    /// What a member that speaks the classic protocol has beside.
    pub classic: Option<ClassicPart>,
    /// Its epoch: 0 before it has joined, -2 while a static member is away.
    pub epoch: i32,
    /// The epoch before, which it may still name if the last answer was lost.
    pub previous_epoch: i32,
    /// How far it is.
    pub state: ConsumerMemberState,
    /// What it owns and may go on owning.
    pub assigned: Partitions,
    /// What it may still own and must give up.
    pub revoking: Partitions,
    /// What it shall own.
    pub target: Partitions,
}

impl ConsumerHeadRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.varint(self.epoch.max(0) as u64);
        out.varint(self.target_epoch.max(0) as u64);
        out.bytes(&self.topics_digest.to_be_bytes());
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("consumer head", VERSION..=VERSION)?;
        let (epoch, target_epoch) =
            (unsigned(&mut reader, "group epoch")?, unsigned(&mut reader, "target epoch")?);
        if target_epoch > epoch {
            return Err(reader.invalid("target epoch"));
        }
        let row = ConsumerHeadRow { epoch, target_epoch, topics_digest: reader.u64("topics digest")? };
        reader.end("consumer head")?;
        Ok(row)
    }
}

impl ConsumerMemberRow {
    /// The row's bytes. They may be more than one value of the store holds.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        write_optional(&mut out, self.instance.as_deref());
        write_optional(&mut out, self.rack.as_deref());
        out.string(&self.client_id);
        out.string(&self.client_host);
        out.varint(self.rebalance_timeout_ms.max(0) as u64);
        write_optional(&mut out, self.assignor.as_deref());
        out.varint(self.topics.len() as u64);
        self.topics.iter().for_each(|topic| out.string(topic));
        write_optional(&mut out, self.regex.as_deref());
        write_classic(&mut out, self.classic.as_ref());
        out.zigzag(i64::from(self.epoch));
        out.zigzag(i64::from(self.previous_epoch));
        out.u8(state_code(self.state));
        write_partitions(&mut out, &self.assigned);
        write_partitions(&mut out, &self.revoking);
        let as_assigned = self.target == self.assigned;
        out.u8(u8::from(!as_assigned));
        if !as_assigned {
            write_partitions(&mut out, &self.target);
        }
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// The bytes are not such a row.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("consumer member", VERSION..=VERSION)?;
        let mut row = ConsumerMemberRow {
            instance: read_optional(&mut reader, "instance")?,
            rack: read_optional(&mut reader, "rack")?,
            client_id: reader.string("client id")?,
            client_host: reader.string("client host")?,
            rebalance_timeout_ms: unsigned(&mut reader, "rebalance timeout")?,
            assignor: read_optional(&mut reader, "assignor")?,
            topics: read_topics(&mut reader)?,
            regex: read_optional(&mut reader, "regex")?,
            classic: read_classic(&mut reader)?,
            epoch: epoch(&mut reader, "epoch")?,
            previous_epoch: epoch(&mut reader, "previous epoch")?,
            state: read_state(&mut reader)?,
            assigned: read_partitions(&mut reader)?,
            revoking: read_partitions(&mut reader)?,
            target: Partitions::new(),
        };
        row.target = match reader.u8("target")? {
            0 => row.assigned.clone(),
            1 => read_partitions(&mut reader)?,
            _ => return Err(reader.invalid("target")),
        };
        reader.end("consumer member")?;
        Ok(row)
    }
}

fn unsigned(reader: &mut Reader<'_>, what: &'static str) -> Result<i32, FormatError> {
    let value = reader.varint(what)?;
    i32::try_from(value).map_err(|_| reader.invalid(what))
}

fn epoch(reader: &mut Reader<'_>, what: &'static str) -> Result<i32, FormatError> {
    let value = reader.zigzag(what)?;
    i32::try_from(value).map_err(|_| reader.invalid(what))
}

fn write_optional(out: &mut Vec<u8>, value: Option<&str>) {
    out.u8(u8::from(value.is_some()));
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

fn read_topics(reader: &mut Reader<'_>) -> Result<BTreeSet<String>, FormatError> {
    let count = reader.count(1, "topics")?;
    (0..count).map(|_| reader.string("topic")).collect()
}

fn write_classic(out: &mut Vec<u8>, classic: Option<&ClassicPart>) {
    out.u8(u8::from(classic.is_some()));
    let Some(classic) = classic else { return };
    out.varint(classic.session_timeout_ms.max(0) as u64);
    out.varint(classic.protocols.len() as u64);
    for (name, metadata) in &classic.protocols {
        out.string(name);
        out.varint(metadata.len() as u64);
        out.bytes(metadata);
    }
}

fn read_classic(reader: &mut Reader<'_>) -> Result<Option<ClassicPart>, FormatError> {
    match reader.u8("classic")? {
        0 => return Ok(None),
        1 => {}
        _ => return Err(reader.invalid("classic")),
    }
    let session_timeout_ms = unsigned(reader, "session timeout")?;
    let count = reader.count(2, "protocols")?;
    let protocol = |_| {
        let name = reader.string("protocol")?;
        let len = reader.count(1, "protocol metadata")?;
        Ok((name, Bytes::copy_from_slice(reader.take(len, "protocol metadata")?)))
    };
    let protocols = (0..count).map(protocol).collect::<Result<_, FormatError>>()?;
    Ok(Some(ClassicPart { session_timeout_ms, protocols }))
}

fn state_code(state: ConsumerMemberState) -> u8 {
    match state {
        ConsumerMemberState::Stable => 0,
        ConsumerMemberState::Unrevoked => 1,
        ConsumerMemberState::Unreleased => 2,
    }
}

fn read_state(reader: &mut Reader<'_>) -> Result<ConsumerMemberState, FormatError> {
    match reader.u8("member state")? {
        0 => Ok(ConsumerMemberState::Stable),
        1 => Ok(ConsumerMemberState::Unrevoked),
        2 => Ok(ConsumerMemberState::Unreleased),
        _ => Err(reader.invalid("member state")),
    }
}

fn write_partitions(out: &mut Vec<u8>, partitions: &Partitions) {
    let topics = || partitions.iter().filter(|(_, indices)| !indices.is_empty());
    out.varint(topics().count() as u64);
    for (topic, indices) in topics() {
        out.bytes(&topic.0.to_be_bytes());
        out.varint(indices.len() as u64);
        let mut next = 0;
        for index in indices {
            out.varint(u64::from(index - next));
            next = index.saturating_add(1);
        }
    }
}

fn read_partitions(reader: &mut Reader<'_>) -> Result<Partitions, FormatError> {
    let mut partitions = Partitions::new();
    for _ in 0..reader.count(LEAST_TOPIC, "topics")? {
        let topic = reader.topic()?;
        let count = reader.count(1, "partitions")?;
        let mut indices = BTreeSet::new();
        let mut next = Some(0_u32);
        for _ in 0..count {
            let distance = reader.varint_u32("partition")?;
            let index = next.and_then(|next| next.checked_add(distance));
            let index = index.ok_or_else(|| reader.invalid("partition"))?;
            indices.insert(index);
            next = index.checked_add(1);
        }
        if indices.is_empty() || partitions.insert(topic, indices).is_some() {
            return Err(reader.invalid("topic"));
        }
    }
    Ok(partitions)
}
