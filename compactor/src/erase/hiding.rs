//! What is being erased, as a worker knew it at one moment: whatever it rewrites goes by that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{
    ErasedObject, ErasureId, ErasureRow, ErasureScan, PartitionId, Position, SegmentId, ShardSet,
};
use siltstone_metadata::erase;
use siltstone_metadata::keys::erasure;
use siltstone_metadata::shard::Hidden;
use siltstone_store::{KeyRange, RangeLimit, Store};

use super::EraseJobError;
use crate::view::Views;

/// Objects on the list that one worker has in mind, at most: others come when these are gone.
const MOST_DIRTY: usize = 10_000;

/// A segment that must go.
#[derive(Debug, Clone, Default)]
pub struct Dirty {
    /// For which erasures.
    pub erasures: Vec<ErasureId>,
    /// Shards that may refer to it.
    pub shards: ShardSet,
}

/// Erasures under way, and what they mean for the partitions that a worker looks after.
#[derive(Debug, Clone, Default)]
pub struct Hiding {
    /// Changes with every request.
    pub(crate) last: Option<Bytes>,
    /// Not completed.
    pub unfinished: Vec<(ErasureId, ErasureRow)>,
    /// Segments that are known to hold such records.
    pub dirty: BTreeMap<SegmentId, Dirty>,
    hidden: BTreeMap<PartitionId, Hidden>,
    waits: BTreeSet<PartitionId>,
}

impl Hiding {
    /// As it is now; without any partition.
    ///
    /// # Errors
    /// See [`EraseJobError`].
    pub async fn read(store: &dyn Store) -> Result<Hiding, EraseJobError> {
        let snapshot = store.snapshot().await?;
        let last = snapshot.get(&erasure::last()).await?;
        let mut unfinished = Vec::new();
        if last.is_some() {
            unfinished = erase::list(snapshot.as_ref()).await?;
            unfinished.retain(|(_, row)| row.completed.is_none());
        }
        drop(snapshot);
        let mut hiding = Hiding { last, unfinished, ..Hiding::default() };
        let ids: Vec<ErasureId> = hiding.unfinished.iter().map(|(id, _)| *id).collect();
        for id in ids {
            hiding.add_dirty(store, id).await?;
        }
        Ok(hiding)
    }

    async fn add_dirty(&mut self, store: &dyn Store, id: ErasureId) -> Result<(), EraseJobError> {
        let mut range = erasure::objects(id);
        while self.dirty.len() < MOST_DIRTY {
            let page = store.snapshot().await?.range(&range, RangeLimit::default()).await?;
            for (key, value) in &page.entries {
                let Some(segment) = erasure::parse_object(key) else { continue };
                let object = ErasedObject::decode(value)?;
                if object.deleted.is_none() {
                    let dirty = self.dirty.entry(segment).or_default();
                    dirty.erasures.push(id);
                    dirty.shards = object.shards;
                }
            }
            match page.entries.last() {
                Some((last, _)) if page.more => range.begin = KeyRange::key(last.clone()).end,
                _ => break,
            }
        }
        Ok(())
    }

    /// Takes in what partitions' rows say. A partition whose row is from before a request doesn't tell where that ends: it has to wait.
    pub fn take_in(&mut self, views: &Views) {
        (self.hidden, self.waits) = (BTreeMap::new(), BTreeSet::new());
        let partitions = views.values().flat_map(|view| &view.partitions);
        for (partition, view) in partitions {
            let of_topic = self.unfinished.iter().filter(|(_, row)| row.topic == partition.topic);
            let behind = |row: &ErasureRow| {
                let asked = Position::new(row.stamp.unwrap_or_default(), 0);
                view.horizon.is_none_or(|horizon| horizon < asked)
            };
            if of_topic.into_iter().any(|(_, row)| behind(row)) {
                self.waits.insert(*partition);
            }
            if let Some(hidden) = &view.hidden {
                self.hidden.insert(*partition, hidden.clone());
            }
        }
    }

    /// Whether a search for objects is due or under way: as long as it is, nothing is thrown away that it has to look at.
    pub fn searches(&self) -> bool {
        self.unfinished.iter().any(|(_, row)| row.scan != ErasureScan::Done)
    }

    /// What to leave out of a partition; `None`: nothing.
    pub fn of(&self, partition: PartitionId) -> Option<&Hidden> {
        self.hidden.get(&partition)
    }

    /// Whether a partition must not be rewritten yet.
    pub fn waits(&self, partition: PartitionId) -> bool {
        self.waits.contains(&partition)
    }
}
