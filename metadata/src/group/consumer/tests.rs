//! The machine: each rule by itself, members of the classic protocol, conversions, and random histories.
#![allow(clippy::unwrap_used, reason = "tests")]

mod classic;
mod kit;
mod random;
mod rules;
mod subscriptions;
