//! Tests of what moves bytes between the fold and a store, over the store in memory, in virtual time.

mod catalog;
mod checkpoints;
mod chunks;
mod erasures;
mod follow;
mod followers;
mod halts;
mod keys_page;
pub(crate) mod kit;
mod leases;
mod registrations;
mod restores;
mod standings;
mod storms;
mod trims;
mod turns;
