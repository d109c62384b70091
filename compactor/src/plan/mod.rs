//! What is to be done, and why. Pure: views of shards and a time in, jobs out.

pub mod merge;
pub mod reclaim;
pub mod release;
pub mod retention;
