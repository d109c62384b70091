//! The data plane as a client sees it: a server in this process, over stores in memory, spoken to in frames.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod apart;
mod bad_input;
mod connections;
mod consumer_groups;
mod ending;
mod erasing;
mod fetching;
mod group_writes;
mod kit;
mod neighbours;
mod outage;
mod producing;
mod transactions;
mod versions;
