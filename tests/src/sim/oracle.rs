//! What is true, and what was promised.
//!
//! The oracle reads every shard's log as it grows, past all faults, before anything of it is cleared, and folds it from the beginning with
//! every partition loaded. Beside the fold it keeps what the fold must not decide by itself: which batch lies at which offset, by the bytes
//! that are really there, and what clients were told.

mod log;
mod promises;
mod shards;

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_log::PartitionId;
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::MemoryStore;

use super::invariants::s5::Transactions;

pub(super) use log::{LogBatch, PartitionLog};
pub(super) use promises::Promises;
pub(super) use shards::{ShardHistory, at_once, comparable};

/// See the module's text.
pub(super) struct Oracle {
    pub(super) store: MemoryStore,
    pub(super) bucket: Arc<FaultyStore>,
    pub(super) shards: Vec<ShardHistory>,
    pub(super) logs: BTreeMap<PartitionId, PartitionLog>,
    pub(super) promises: Promises,
    pub(super) transactions: Transactions,
    /// Entries seen, and void ones of them.
    pub(super) entries: (u64, u64),
}

impl Oracle {
    pub(super) fn new(store: MemoryStore, bucket: Arc<FaultyStore>, shards: u16) -> Self {
        let shards = (0..shards).map(|shard| ShardHistory::new(shard, shards)).collect();
        Oracle {
            store,
            bucket,
            shards,
            logs: BTreeMap::new(),
            promises: Promises::default(),
            transactions: Transactions::default(),
            entries: (0, 0),
        }
    }

    /// A partition's log; an empty one if nothing was appended yet.
    pub(super) fn log(&self, partition: PartitionId) -> &PartitionLog {
        static EMPTY: PartitionLog = PartitionLog::EMPTY;
        self.logs.get(&partition).unwrap_or(&EMPTY)
    }
}
