//! A small Kafka client: what the `siltstone` command, its benchmark and tests of the whole need, against any Kafka-compatible server.
//!
//! [`Client`] knows the brokers and asks one of them; [`Connection`] pipelines requests on one socket; [`Producer`] and [`Consumer`] write and
//! read one topic. Guarantees: records of one partition stay in order, also over lost connections; with `idempotent` each is
//! written once; memory is bounded by the options; answers from the wire never end the process.
//!
//! Groups are listed, described and moved, but nobody here is a member of one.
//!
//! Deliberately not here: transactions, authentication, fetch sessions, old message formats.

mod admin;
mod cluster;
mod connection;
mod consumer;
mod erasures;
mod error;
mod group_members;
mod groups;
mod offsets;
mod partitioner;
mod producer;

pub use admin::{ConfigChange, ConfigEntry, NewTopic};
pub use cluster::{Client, Partition, Topic};
pub use connection::{Answer, Connection};
pub use consumer::{Consumer, ConsumerOptions, Polled};
pub use erasures::{Asked, Erasure, ErasureObject, ErasurePartition};
pub use error::Error;
pub use group_members::{GroupDescription, GroupMember};
pub use groups::{Committed, GroupListing, GroupOffsets};
pub use offsets::{EARLIEST, LATEST, OffsetAt};
pub use partitioner::{murmur2, partition_of_key};
pub use producer::{Delivery, Producer, ProducerOptions, Record};
