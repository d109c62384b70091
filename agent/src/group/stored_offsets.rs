//! Reading committed offsets: from the store, on any agent.

use siltstone_log::{OffsetRow, PartitionId};
use siltstone_metadata::keys::{group_offset, group_pending};
use siltstone_store::{KeyRange, Pages, Snapshot, StoreError};

use super::{GroupError, Groups};

/// A committed offset as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Of which partition.
    pub partition: PartitionId,
    /// None was ever committed, or it has expired.
    pub row: Option<OffsetRow>,
    /// A transaction is about to commit another.
    pub unstable: bool,
}

impl Groups {
    /// Reads offsets of some partitions, in their order. With `stable`, what a transaction is about to change is marked.
    ///
    /// # Errors
    /// If the store does not answer, or a row can't be read.
    pub async fn committed(
        &self,
        group: &str,
        partitions: &[PartitionId],
        stable: bool,
    ) -> Result<Vec<CommittedOffset>, GroupError> {
        let snapshot = self.parts.store.snapshot().await?;
        let pending = if stable { pending(snapshot.as_ref(), group).await? } else { Vec::new() };
        let mut found = Vec::with_capacity(partitions.len());
        for partition in partitions.iter().copied() {
            let row = snapshot.get(&group_offset::key(group, partition)).await?;
            let row = row.map(|bytes| decode(&bytes)).transpose()?;
            found.push(CommittedOffset { partition, row, unstable: pending.contains(&partition) });
        }
        Ok(found)
    }

    /// Reads all offsets of a group, in the order of topic ids. Partitions for which a first commit is pending are among them.
    ///
    /// # Errors
    /// If the store does not answer, or a row can't be read.
    pub async fn all_committed(&self, group: &str, stable: bool) -> Result<Vec<CommittedOffset>, GroupError> {
        let snapshot = self.parts.store.snapshot().await?;
        let mut pending = if stable { pending(snapshot.as_ref(), group).await? } else { Vec::new() };
        let mut found = Vec::new();
        for (key, bytes) in all(snapshot.as_ref(), group_offset::of(group)).await? {
            let Some(partition) = group_offset::parse(&key) else { continue };
            let unstable = pending.contains(&partition);
            pending.retain(|other| *other != partition);
            found.push(CommittedOffset { partition, row: Some(decode(&bytes)?), unstable });
        }
        let first = |partition| CommittedOffset { partition, row: None, unstable: true };
        found.extend(pending.into_iter().map(first));
        Ok(found)
    }
}

async fn pending(snapshot: &dyn Snapshot, group: &str) -> Result<Vec<PartitionId>, StoreError> {
    let rows = all(snapshot, group_pending::of(group)).await?;
    Ok(rows.iter().filter_map(|(key, _)| group_pending::parse(key)).collect())
}

/// All entries of a range.
pub(super) async fn all(
    snapshot: &dyn Snapshot,
    range: KeyRange,
) -> Result<Vec<siltstone_store::Entry>, StoreError> {
    let (mut entries, mut pages) = (Vec::new(), Pages::of(range));
    while let Some(page) = pages.next(snapshot).await? {
        entries.extend(page);
    }
    Ok(entries)
}

pub(super) fn decode(bytes: &[u8]) -> Result<OffsetRow, GroupError> {
    OffsetRow::decode(bytes).map_err(|error| GroupError::Corrupt(error.to_string()))
}
