//! The metadata of a cluster: shards and their fold, the catalog, followers, checkpoints, leases.
//!
//! Layers, from pure to driven: [`keys`] (where things lie), [`shard`] (the fold), then `follow`, `catalog`, `checkpoint` and
//! `lease`, which move bytes between the fold and a [`siltstone_store::Store`].

pub mod ambient;
pub mod bugs;
pub mod catalog;
pub mod checkpoint;
pub mod erase;
pub mod follow;
pub mod group;
pub mod keys;
pub mod lease;
pub mod level;
pub mod rows;
pub mod shard;
pub mod transaction;
pub mod trim;

#[cfg(test)]
mod tests;
