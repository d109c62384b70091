//! Several agents in one process, with real connections between them and one bucket that counts.
#![allow(clippy::unwrap_used, reason = "tests: helpers outside of test functions count as code")]

mod faults;
mod kit;
mod sharing;
mod tls;
