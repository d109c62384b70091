//! What is true, and what was promised.
//!
//! The oracle reads every shard's log as it grows, past all faults, before anything of it is cleared, and folds it from the beginning with
//! every partition loaded. Beside the fold it keeps what the fold must not decide by itself: which batch lies at which offset, by the bytes
//! that are really there, and what clients were told.

mod erasures;
mod keyed;
mod log;
mod promises;
mod shards;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use siltstone_configs::{BrokerLayers, Overrides, TopicConfig};
use siltstone_log::{ErasureId, PartitionId, RegistrationId, SegmentId, TopicId, TopicRow};
use siltstone_objects::testing::FaultyStore;
use siltstone_store::memory::MemoryStore;

use super::invariants::s5::Transactions;

pub(super) use erasures::keys_of;
pub(super) use keyed::{Clocks, KeyedLog, LogRecord, MAX_RECORDS_BYTES};
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
    /// Topics that are compacted by key, and their configs.
    pub(super) keyed: BTreeMap<TopicId, TopicConfig>,
    /// Topics that the logs say are deleted.
    pub(super) deleted: BTreeSet<TopicId>,
    /// When erasures were asked for: the stamps of their entries.
    pub(super) erasures: BTreeMap<ErasureId, [u8; 10]>,
    /// When segments that agents flushed were committed.
    pub(super) flushed: BTreeMap<SegmentId, [u8; 10]>,
    /// Lives of compactors.
    pub(super) compactors: BTreeSet<RegistrationId>,
    pub(super) clocks: Clocks,
    /// Entries seen, and void ones of them.
    pub(super) entries: (u64, u64),
}

impl Oracle {
    pub(super) fn new(store: MemoryStore, bucket: Arc<FaultyStore>, shards: u16, clocks: Clocks) -> Self {
        let shards = (0..shards).map(|shard| ShardHistory::new(shard, shards)).collect();
        Oracle {
            store,
            bucket,
            shards,
            logs: BTreeMap::new(),
            promises: Promises::default(),
            transactions: Transactions::default(),
            keyed: BTreeMap::new(),
            deleted: BTreeSet::new(),
            erasures: BTreeMap::new(),
            flushed: BTreeMap::new(),
            compactors: BTreeSet::new(),
            clocks,
            entries: (0, 0),
        }
    }

    /// A topic is there, as its row says. Before anything is written to it.
    pub(super) fn learn(&mut self, topic: &TopicRow) {
        let none = Overrides::new();
        let layers = BrokerLayers { broker: &none, cluster: &none, fixed: &none };
        let config = TopicConfig::resolve(&topic.configs, layers);
        if config.cleanup.compact {
            self.keyed.insert(topic.id, config);
        }
    }

    /// From the first batch or marker on the records of partitions are kept that are compacted by key.
    fn keep_records(&mut self, partition: PartitionId) {
        if self.keyed.contains_key(&partition.topic) {
            let log = self.logs.entry(partition).or_default();
            log.keyed.get_or_insert_with(|| Box::new(KeyedLog::new(self.clocks)));
        }
    }

    /// The configs and records of a partition that is compacted by key.
    pub(super) fn compacted(&self, partition: PartitionId) -> Option<(&TopicConfig, &KeyedLog)> {
        Some((self.keyed.get(&partition.topic)?, self.log(partition).keyed.as_deref()?))
    }

    /// A partition's log; an empty one if nothing was appended yet.
    pub(super) fn log(&self, partition: PartitionId) -> &PartitionLog {
        static EMPTY: PartitionLog = PartitionLog::EMPTY;
        self.logs.get(&partition).unwrap_or(&EMPTY)
    }
}
