//! Rows of groups.

pub mod consumer;
