//! What is being erased, as a worker knew it at one moment: whatever it rewrites goes by that.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{
    ErasedObject, ErasureId, ErasureRow, ErasureScan, PartitionId, Position, SegmentId, ShardSet,
};
use siltstone_metadata::erase;
use siltstone_metadata::keys::erasure;
use siltstone_metadata::shard::Hidden;
use siltstone_store::{Pages, Store};

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
        let mut pages = Pages::of(erasure::objects(id));
        while self.dirty.len() < MOST_DIRTY
            && let Some(page) = pages.next_fresh(store).await?
        {
            for (key, value) in &page {
                let Some(segment) = erasure::parse_object(key) else { continue };
                let object = ErasedObject::decode(value)?;
                if object.deleted.is_none() {
                    let dirty = self.dirty.entry(segment).or_default();
                    dirty.erasures.push(id);
                    dirty.shards = object.shards;
                }
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

#[cfg(test)]
mod tests {
    use siltstone_log::{ErasedRow, PartitionRow, ShardId, TopicId};

    use super::*;
    use crate::view::{PartitionView, ShardView};

    const TOPIC: TopicId = TopicId(7);

    fn asked(stamp: u8) -> (ErasureId, ErasureRow) {
        let row = ErasureRow {
            stamp: Some([stamp; 10]),
            topic: TOPIC,
            name: "t".to_owned(),
            partitions: 3,
            requested: 0,
            named: 1,
            keys: BTreeSet::new(),
            invisible: None,
            scan: ErasureScan::Waits,
            scanned: None,
            completed: None,
            topic_deleted: false,
        };
        (ErasureId(u128::from(stamp)), row)
    }

    fn view(partition: PartitionId, horizon: u8, erasures: &[u8]) -> PartitionView {
        let erased = ErasedRow { upto: 10, keys: Default::default() };
        let row = PartitionRow {
            horizon: Position::new([horizon; 10], 0),
            erasures: erasures.iter().map(|id| (ErasureId(u128::from(*id)), erased.clone())).collect(),
            ..PartitionRow::default()
        };
        PartitionView::default().with_row(partition, &row, 1)
    }

    #[test]
    fn partitions_whose_rows_are_older_than_a_request_wait() {
        let at = |topic, index| PartitionId { topic, index };
        let (behind, knows, empty) = (at(TOPIC, 0), at(TOPIC, 1), at(TOPIC, 2));
        let other = at(TopicId(8), 0);
        let partitions = [
            (behind, view(behind, 5, &[])),
            (knows, view(knows, 6, &[6])),
            (empty, view(empty, 6, &[])),
            (other, view(other, 1, &[])),
        ];
        let views = Views::from([(ShardId(0), ShardView { partitions: partitions.into() })]);
        let mut hiding = Hiding { unfinished: vec![asked(6)], ..Hiding::default() };
        hiding.take_in(&views);
        let waits = [behind, knows, empty, other].map(|partition| hiding.waits(partition));
        assert_eq!(waits, [true, false, false, false]);
        let hides = [behind, knows, empty, other].map(|partition| hiding.of(partition).is_some());
        assert_eq!(hides, [false, true, false, false]);
        hiding.unfinished.push(asked(7));
        hiding.take_in(&views);
        assert!(hiding.waits(knows), "it knows of one, and not of the other");
    }

    #[test]
    fn nothing_is_thrown_away_while_a_search_is_due() {
        let mut hiding = Hiding { unfinished: vec![asked(1), asked(2)], ..Hiding::default() };
        assert!(hiding.searches());
        hiding.unfinished.iter_mut().for_each(|(_, row)| row.scan = ErasureScan::Done);
        assert!(!hiding.searches() && !Hiding::default().searches());
    }
}
