//! What a commit of the write path takes from the transactions of its batches, and gives to them (design, section 6).
//!
//! The rows of the transactional ids are read with each try, and are in its read set: so a flush and the end of a transaction come one
//! after the other. A batch is void if its transaction isn't open, or isn't its producer's; clients of transaction version 2 begin theirs by writing.
//!
//! After a try of unknown outcome the next one may find the transaction ended: by then the batch is in the log, and the entry that now voids it
//! is a repeat and void itself, or it is not, and stays out.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use siltstone_log::{BatchMeta, PartitionId, TxnRow};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::keys::{txn, txn_partition};
use siltstone_metadata::transaction::{Admission, Claim, Refusal, admit};
use siltstone_store::{KeyRange, Mutation, Snapshot, StoreError};

use super::buffer::BatchTransaction;

/// A producer's id and epoch, and a partition that it writes to.
pub(super) type Touched = ((i64, i16), PartitionId);

/// The transactions that batches claim to belong to, by producer id and epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Claims(BTreeMap<(i64, i16), Vec<BatchTransaction>>);

impl Claims {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a batch's claim, if it makes one.
    pub(super) fn add(&mut self, meta: &BatchMeta, transaction: Option<BatchTransaction>) {
        if let (Some(producer), Some(transaction)) = (&meta.producer, transaction) {
            let same = self.0.entry((producer.id, producer.epoch)).or_default();
            if !same.contains(&transaction) {
                same.push(transaction);
            }
        }
    }

    pub(super) fn extend(&mut self, other: Claims) {
        for (producer, transactions) in other.0 {
            let same = self.0.entry(producer).or_default();
            for transaction in transactions {
                if !same.contains(&transaction) {
                    same.push(transaction);
                }
            }
        }
    }
}

/// What the rows say to all claims of a commit.
#[derive(Debug, Default)]
pub(super) struct Admissions {
    /// What must be unchanged when the commit lands.
    pub(super) reads: Vec<KeyRange>,
    begun: BTreeMap<Bytes, TxnRow>,
    refused: BTreeMap<(i64, i16), Refusal>,
    /// Clients of these have said what they add.
    explicit: BTreeSet<(i64, i16)>,
    not_added: BTreeSet<Touched>,
    adds: BTreeSet<(i64, PartitionId)>,
}

impl Admissions {
    /// Reads what there is to know. `now`: milliseconds since the Unix epoch.
    ///
    /// # Errors
    /// If the store does not answer.
    pub(super) async fn read(
        snapshot: &dyn Snapshot,
        claims: &Claims,
        touched: BTreeSet<Touched>,
        now: i64,
    ) -> Result<Self, StoreError> {
        let mut admissions = Admissions::default();
        for (producer, transactions) in &claims.0 {
            admissions.producer(snapshot, *producer, transactions, now).await?;
        }
        for (producer, partition) in touched {
            if admissions.refused.contains_key(&producer) {
                continue;
            }
            if !admissions.explicit.contains(&producer) {
                admissions.adds.insert((producer.0, partition));
                continue;
            }
            let key = txn_partition::key(producer.0, partition);
            if snapshot.get(&key).await?.is_none() {
                admissions.not_added.insert((producer, partition));
            }
            admissions.reads.push(KeyRange::key(key));
        }
        Ok(admissions)
    }

    /// Judges a producer: it is admitted if any of its claims is.
    async fn producer(
        &mut self,
        snapshot: &dyn Snapshot,
        producer: (i64, i16),
        transactions: &[BatchTransaction],
        now: i64,
    ) -> Result<(), StoreError> {
        let mut refusal = Refusal::UnknownId;
        for transaction in transactions {
            let key = txn::key(&transaction.id);
            let row = snapshot.get(&key).await?;
            self.reads.push(KeyRange::key(key.clone()));
            let Ok(row) = row.as_deref().map(TxnRow::decode).transpose() else {
                tracing::error!(id = &*transaction.id, "the row of a transactional id can't be read");
                refusal = Refusal::InvalidState;
                continue;
            };
            let (producer_id, epoch) = producer;
            let claim = Claim { producer_id, epoch, implicit: transaction.implicit };
            match admit(row.as_ref(), &claim, now) {
                Admission::Refused(why) => refusal = why,
                admitted => {
                    if !transaction.implicit {
                        self.explicit.insert(producer);
                    }
                    if let Admission::Begin(row) = admitted {
                        self.begun.insert(key, row);
                    }
                    return Ok(());
                }
            }
        }
        self.refused.insert(producer, refusal);
        Ok(())
    }

    /// Why batches of this producer are void in this partition, if they are.
    pub(super) fn refusal(&self, touched: &Touched) -> Option<Refusal> {
        if bugs::on(Bug::NothingIsVoid) {
            return None;
        }
        let refused = self.refused.get(&touched.0).copied();
        refused.or_else(|| self.not_added.contains(touched).then_some(Refusal::NotAdded))
    }

    /// Transactions that begin, and partitions that they touch.
    pub(super) fn mutations(&self) -> Vec<Mutation> {
        let begun = self
            .begun
            .iter()
            .map(|(key, row)| Mutation::Set { key: key.clone(), value: row.encode().into() });
        let adds = self.adds.iter().map(|(producer, partition)| Mutation::Set {
            key: txn_partition::key(*producer, *partition),
            value: Bytes::new(),
        });
        begun.chain(adds).collect()
    }
}

#[cfg(test)]
#[path = "transactions_tests.rs"]
mod tests;
