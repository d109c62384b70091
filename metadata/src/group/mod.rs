//! Groups: pure machines of the protocols in which members share partitions.

pub mod classic;
pub mod consumer;
