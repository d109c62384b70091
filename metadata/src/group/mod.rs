//! Groups: pure machines of the protocols in which members share partitions.
//!
//! [`classic`] and [`consumer`] are the two protocols; [`Group`] is a group of either, which passes from one to the other.

pub mod classic;
pub mod consumer;
mod machine;

pub use machine::{Apart, Change, Context, Group, Kind, LoadError, Settings};
