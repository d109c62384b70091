//! The agent: everything between a Kafka client's socket and the two stores.
//!
//! `produce` and `fetch` are the two ways through; `group` coordinates consumer groups; `transaction` drives transactions; `kafka` speaks the protocol; `neighbours` shares pages with the other agents of the zone; `placement` says which agent clients are sent to, `zones` where clients are; `telemetry` shows it from outside; `engine` holds an agent's life together, `erasure` asks for erasures.

pub mod engine;
pub mod erasure;
pub mod fetch;
pub mod group;
pub mod kafka;
pub mod neighbours;
pub mod placement;
pub mod produce;
mod producer_ids;
pub mod telemetry;
pub mod transaction;
pub mod zones;
