//! AddPartitionsToTxn and AddOffsetsToTxn, of clients that say what they are going to write to.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::PartitionId;
use siltstone_metadata::keys::{txn, txn_group, txn_partition};
use siltstone_metadata::transaction::{self, Refusal};
use siltstone_store::{KeyRange, Mutation};

use super::{Plan, TransactionError, Transactions, row};

impl Transactions {
    /// Adds partitions to a producer's transaction, which begins with them if none is open.
    ///
    /// # Errors
    /// See [`TransactionError`]: then none was added, unless it is `Unavailable`.
    pub async fn add_partitions(
        &self,
        id: &str,
        producer: (i64, i16),
        partitions: &[PartitionId],
    ) -> Result<(), TransactionError> {
        let keys: Vec<Bytes> =
            partitions.iter().map(|partition| txn_partition::key(producer.0, *partition)).collect();
        self.add(id, producer, &keys).await
    }

    /// Adds a group, some of whose offsets the transaction is going to commit.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn add_group(
        &self,
        id: &str,
        producer: (i64, i16),
        group: &str,
    ) -> Result<(), TransactionError> {
        let key = txn_group::key(producer.0, group);
        self.add(id, producer, &[key]).await
    }

    async fn add(&self, id: &str, producer: (i64, i16), keys: &[Bytes]) -> Result<(), TransactionError> {
        Transactions::check_id(id)?;
        self.patiently(|| self.try_add(id, producer, keys)).await
    }

    async fn try_add(
        &self,
        id: &str,
        (producer, epoch): (i64, i16),
        keys: &[Bytes],
    ) -> Result<(), TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?;
        let begun = transaction::add(found.as_ref(), producer, epoch, self.wall())?;
        let mut plan = begun.map_or_else(Plan::default, |row| Plan::of_row(id, &row));
        plan.reads.push(KeyRange::key(txn::key(id)));
        let sets = keys.iter().map(|key| Mutation::Set { key: key.clone(), value: Bytes::new() });
        plan.mutations.extend(sets);
        self.commit(snapshot.as_ref(), plan).await
    }

    /// Which of these partitions belong to a producer's open transaction.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn verify_partitions(
        &self,
        id: &str,
        producer: (i64, i16),
        partitions: &[PartitionId],
    ) -> Result<BTreeSet<PartitionId>, TransactionError> {
        Transactions::check_id(id)?;
        self.patiently(|| self.try_verify(id, producer, partitions)).await
    }

    async fn try_verify(
        &self,
        id: &str,
        (producer, epoch): (i64, i16),
        partitions: &[PartitionId],
    ) -> Result<BTreeSet<PartitionId>, TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        match row(snapshot.as_ref(), id).await? {
            Some(found) if found.producer_id == producer && found.epoch == epoch => {}
            Some(found) if found.producer_id == producer => return Err(Refusal::Fenced.into()),
            _ => return Err(Refusal::UnknownId.into()),
        }
        let mut added = BTreeSet::new();
        for partition in partitions {
            if snapshot.get(&txn_partition::key(producer, *partition)).await?.is_some() {
                added.insert(*partition);
            }
        }
        Ok(added)
    }
}
