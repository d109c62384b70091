//! Kafka's topic and broker configs as Siltstone knows them.
//!
//! Each config is a row of a table ([`topic`], [`broker`]): name, type, default, what is allowed, the broker-level name, and what it
//! *means here*: it is [honoured](Meaning::Honoured), accepted without effect and why, or refused and why. The pages
//! `docs/configuration/topics.md` and `brokers.md` are generated from the tables.
//!
//! ```text
//!   text ── Definition::check ──▶ Normalised, or why not
//!   change + what is set ── alter_topic, alter_broker ──▶ what is set now, or why not
//!   what is set on the topic, for the broker, for all, by the agent's settings ── TopicConfig::resolve, describe_topic ──▶ what holds
//! ```
//!
//! Guarantees: nothing is silently ignored: a config that isn't known, or whose value would promise what Siltstone doesn't do, is an
//! error that names it. A value equal to the default is always accepted. No function panics on any text. What
//! [`alter_topic`] returns is what [`describe_topic`] shows.
//!
//! Deliberately not here: storing configs, wire formats, error codes (only which [class](ErrorClass) they are of), configs of groups,
//! of client metrics and of loggers, and the agent's own settings. No I/O, no async, no clock.

mod alter;
pub mod broker;
mod broker_config;
mod definition;
mod describe;
mod document;
mod error;
pub mod features;
mod kind;
mod layers;
mod reasons;
mod rule;
pub mod topic;
mod topic_config;
pub mod topic_name;
mod value;

pub use alter::{Change, Level, Operation, alter_broker, alter_topic, replace_broker, replace_topic};
pub use broker_config::{BrokerConfig, ClassicGroups, ConsumerGroups, Offsets, Transactions};
pub use definition::{Definition, Meaning, Scope, Synonym};
pub use describe::{Described, DescribedSynonym, describe_broker, describe_cluster, describe_topic};
pub use document::{broker_page, topic_page};
pub use error::{AlterError, ConfigError, ErrorClass};
pub use kind::{Kind, Source};
pub use layers::{BrokerLayers, Overrides, unusable_broker, unusable_topic};
pub use rule::Rule;
pub use topic_config::{Cleanup, Compression, TimestampType, TopicConfig, WriteMode};
pub use value::{MAX_VALUE_BYTES, Normalised, Value};

fn sorted(tables: &[&'static [Definition]]) -> Vec<&'static Definition> {
    let mut all: Vec<&'static Definition> = tables.iter().copied().flatten().collect();
    all.sort_by_key(|definition| definition.name);
    all
}

fn search(sorted: &[&'static Definition], name: &str) -> Option<&'static Definition> {
    let at = sorted.binary_search_by(|definition| definition.name.cmp(name)).ok()?;
    sorted.get(at).copied()
}
