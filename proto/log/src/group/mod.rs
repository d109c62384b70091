//! Rows of groups.

pub mod classic;
pub mod consumer;
pub mod offset;
