//! Shards and their fold, the catalog, followers, checkpoints, leases.
