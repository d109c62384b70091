//! Rows of the catalog and entries of its log: topics, configs, cluster (design, sections 2 and 3).
//!
//! ```text
//! topic row     := version u8 (1) | name string | id 16 | partitions varint | replication factor zigzag | created zigzag
//!                  | configs: count varint, (name string, value string)…
//! configs row   := version u8 (1) | configs: count varint, (name string, value string)…
//! cluster row   := version u8 (1) | cluster id string | incarnation 16 | shards varint | created zigzag | feature level varint
//! catalog entry := version u8 (1) | kind u8 | body:  1 topic row … | 2 removed: id 16, name string | 3 broker configs: node string, configs
//!                  | 4 feature level varint
//! string        := length varint | UTF-8
//! ```

use std::collections::BTreeMap;

use crate::TopicId;
use crate::codec::{FormatError, Reader, Write};

const VERSION: u8 = 1;

/// Config names and values, as they were set.
pub type Configs = BTreeMap<String, String>;

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRow {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
    /// How many partitions it has, at most [`crate::MAX_PARTITIONS`].
    pub partitions: u32,
    /// What its creator asked for; kept and shown, nothing more.
    pub replication_factor: i16,
    /// When it was created, milliseconds since the Unix epoch.
    pub created: i64,
    /// What was set for it.
    pub configs: Configs,
}

/// What a cluster is, from its first start on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterRow {
    /// As Kafka clients see it.
    pub cluster_id: String,
    /// Changes when the metadata is restored from a backup.
    pub incarnation: u128,
    /// How many shards, fixed.
    pub shards: u16,
    /// When it was made, milliseconds since the Unix epoch.
    pub created: i64,
    /// The finalized feature level.
    pub level: u32,
}

/// A change of the catalog, for agents that follow it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CatalogEntry {
    /// A topic is new, or has changed to this.
    Topic(TopicRow),
    /// A topic is gone.
    Removed {
        /// Its id.
        id: TopicId,
        /// Its name.
        name: String,
    },
    /// The configs of a broker are now these.
    Broker {
        /// The node id, or empty for the default of all.
        node: String,
        /// All of them.
        configs: Configs,
    },
    /// The feature level is now this.
    Feature {
        /// The level.
        level: u32,
    },
}

fn write_configs(out: &mut Vec<u8>, configs: &Configs) {
    out.varint(configs.len() as u64);
    for (name, value) in configs {
        out.string(name);
        out.string(value);
    }
}

fn read_configs(reader: &mut Reader<'_>) -> Result<Configs, FormatError> {
    let count = reader.count(2, "configs")?;
    (0..count).map(|_| Ok((reader.string("config name")?, reader.string("config value")?))).collect()
}

/// The bytes of a broker's configs.
pub fn encode_configs(configs: &Configs) -> Vec<u8> {
    let mut out = vec![VERSION];
    write_configs(&mut out, configs);
    out
}

/// Reads a broker's configs.
///
/// # Errors
/// If the bytes are not such a row.
pub fn decode_configs(bytes: &[u8]) -> Result<Configs, FormatError> {
    let mut reader = Reader::new(bytes);
    reader.version("configs row", 1..=VERSION)?;
    let configs = read_configs(&mut reader)?;
    reader.end("configs row")?;
    Ok(configs)
}

impl TopicRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.string(&self.name);
        out.bytes(&self.id.0.to_be_bytes());
        out.varint(u64::from(self.partitions));
        out.zigzag(i64::from(self.replication_factor));
        out.zigzag(self.created);
        write_configs(out, &self.configs);
    }

    fn read(reader: &mut Reader<'_>) -> Result<TopicRow, FormatError> {
        let name = reader.string("topic name")?;
        let id = reader.topic()?;
        let partitions = reader.partitions("partitions")?;
        let factor = reader.zigzag("replication factor")?;
        let replication_factor = i16::try_from(factor).map_err(|_| reader.invalid("replication factor"))?;
        let created = reader.zigzag("created")?;
        Ok(TopicRow { name, id, partitions, replication_factor, created, configs: read_configs(reader)? })
    }

    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        self.write(&mut out);
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a topic row.
    pub fn decode(bytes: &[u8]) -> Result<TopicRow, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("topic row", 1..=VERSION)?;
        let row = TopicRow::read(&mut reader)?;
        reader.end("topic row")?;
        Ok(row)
    }
}

impl ClusterRow {
    /// The row's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.string(&self.cluster_id);
        out.bytes(&self.incarnation.to_be_bytes());
        out.varint(u64::from(self.shards));
        out.zigzag(self.created);
        out.varint(u64::from(self.level));
        out
    }

    /// Reads a row.
    ///
    /// # Errors
    /// If the bytes are not a cluster row.
    pub fn decode(bytes: &[u8]) -> Result<ClusterRow, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("cluster row", 1..=VERSION)?;
        let cluster_id = reader.string("cluster id")?;
        let incarnation = reader.u128("incarnation")?;
        let shards = reader.varint("shards")?;
        let shards = u16::try_from(shards).ok().filter(|n| *n > 0).ok_or_else(|| reader.invalid("shards"))?;
        let created = reader.zigzag("created")?;
        let level = reader.varint_u32("feature level")?;
        reader.end("cluster row")?;
        Ok(ClusterRow { cluster_id, incarnation, shards, created, level })
    }
}

impl CatalogEntry {
    /// The entry's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            CatalogEntry::Topic(row) => {
                out.u8(1);
                row.write(&mut out);
            }
            CatalogEntry::Removed { id, name } => {
                out.u8(2);
                out.bytes(&id.0.to_be_bytes());
                out.string(name);
            }
            CatalogEntry::Broker { node, configs } => {
                out.u8(3);
                out.string(node);
                write_configs(&mut out, configs);
            }
            CatalogEntry::Feature { level } => {
                out.u8(4);
                out.varint(u64::from(*level));
            }
        }
        out
    }

    /// Reads an entry.
    ///
    /// # Errors
    /// If the bytes are not an entry of a kind that this program knows.
    pub fn decode(bytes: &[u8]) -> Result<CatalogEntry, FormatError> {
        let mut reader = Reader::new(bytes);
        reader.version("catalog entry", 1..=VERSION)?;
        let entry = match reader.u8("catalog entry kind")? {
            1 => CatalogEntry::Topic(TopicRow::read(&mut reader)?),
            2 => CatalogEntry::Removed { id: reader.topic()?, name: reader.string("topic name")? },
            3 => CatalogEntry::Broker { node: reader.string("node")?, configs: read_configs(&mut reader)? },
            4 => CatalogEntry::Feature { level: reader.varint_u32("feature level")? },
            kind => {
                return Err(FormatError::UnknownVersion {
                    what: "catalog entry kind",
                    version: u32::from(kind),
                });
            }
        };
        reader.end("catalog entry")?;
        Ok(entry)
    }
}
