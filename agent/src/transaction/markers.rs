//! WriteTxnMarkers: an administrator ends a transaction in some partitions alone, where it hangs.
//!
//! The row of the transactional id stays as it is, as in Kafka: if the transaction does end later, these partitions get a second control record.

use siltstone_log::{EndMarker, PartitionId};
use siltstone_metadata::shard::PartitionState;

use super::{TransactionError, Transactions};

/// What an administrator asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdminMarker {
    /// What the control records say.
    pub marker: EndMarker,
    /// Where; each exists.
    pub partitions: Vec<PartitionId>,
}

impl Transactions {
    /// Whether a partition knows a newer epoch of the producer than the marker's.
    ///
    /// # Errors
    /// [`TransactionError::Unavailable`].
    pub async fn is_outdated(
        &self,
        marker: EndMarker,
        partition: PartitionId,
    ) -> Result<bool, TransactionError> {
        let shard = self.parts.followers.of(partition);
        let failed =
            |error: siltstone_metadata::follow::ShardError| TransactionError::Unavailable(error.to_string());
        shard.load(&[partition]).await.map_err(failed)?;
        shard.fresh().await.map_err(failed)?;
        let epoch = |state: &PartitionState| {
            state.row().producers.get(&marker.producer_id).map(|producer| producer.epoch)
        };
        let known = shard.partition(partition, epoch).map_err(failed)?;
        Ok(known.is_some_and(|known| known > marker.epoch))
    }

    /// Writes control records. Not tried again if it is not known whether they were written: a second time might end the producer's next transaction.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn write_markers(&self, wanted: AdminMarker) -> Result<(), TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let plan = self.markers(wanted.marker, self.wall(), wanted.partitions);
        self.commit(snapshot.as_ref(), plan).await
    }
}
