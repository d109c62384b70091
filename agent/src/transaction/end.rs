//! The end of a transaction: its row, an entry for each shard that it touched, and its groups' offsets, in one commit.

use std::collections::BTreeMap;

use siltstone_log::{EndMarker, Entry, PartitionId, ShardId, TxnEnd, shard_of};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::keys::{
    group_offset, group_pending, shard_log, shard_tick, txn, txn_group, txn_partition,
};
use siltstone_metadata::transaction::{self, End, EndRequest};
use siltstone_store::{KeyRange, Mutation, Snapshot, limits, read_all};

use super::{Plan, TransactionError, Transactions, row};

/// Partitions of one entry: some 25 bytes each at most, so that an entry is a value of the store in any case.
const PER_ENTRY: usize = 3000;

impl Transactions {
    /// Commits or aborts a transaction: with which producer id and epoch its producer goes on.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn end(&self, id: &str, request: EndRequest) -> Result<(i64, i16), TransactionError> {
        Transactions::check_id(id)?;
        let request = &request;
        self.patiently(|| self.try_end(id, request)).await
    }

    async fn try_end(&self, id: &str, request: &EndRequest) -> Result<(i64, i16), TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?;
        let now = self.wall();
        let made = self.decide(|fresh| transaction::end(found.as_ref(), request, fresh, now)).await?;
        let ended = match (made, found) {
            (End::Now(ended), _) => ended,
            (End::Already, Some(found)) => return Ok((found.producer_id, found.epoch)),
            (End::Already, None) => return Err(TransactionError::NotFound),
        };
        let mut plan = Plan::of_row(id, &ended.row);
        plan.reads.push(KeyRange::key(txn::key(id)));
        let plan = plan.with(self.ending(snapshot.as_ref(), ended.marker, now).await?);
        self.commit(snapshot.as_ref(), plan).await?;
        Ok((ended.row.producer_id, ended.row.epoch))
    }

    /// What ends the transaction that `snapshot` shows of a producer, but for the row. `now`: milliseconds since the Unix epoch.
    pub(super) async fn ending(
        &self,
        snapshot: &dyn Snapshot,
        marker: EndMarker,
        now: i64,
    ) -> Result<Plan, TransactionError> {
        let producer = marker.producer_id;
        let partitions = partitions(snapshot, producer).await?;
        let mut plan = self.markers(marker, now, partitions);
        let groups = txn_group::of(producer);
        for (key, _) in read_all(snapshot, &groups, limits::COMMIT_BYTES).await? {
            let group = txn_group::parse(&key);
            let group = group.ok_or_else(|| TransactionError::Corrupt("a group's key".into()))?;
            offsets(snapshot, group, marker, &mut plan).await?;
        }
        for range in [txn_partition::of(producer), groups] {
            plan.mutations.push(Mutation::ClearRange { range: range.clone() });
            if !bugs::on(Bug::PartitionsUnread) {
                plan.reads.push(range);
            }
        }
        Ok(plan)
    }

    /// Control records for these partitions. Topics that have been deleted are no matter: the fold passes over them.
    pub(super) fn markers(&self, marker: EndMarker, at: i64, partitions: Vec<PartitionId>) -> Plan {
        let mut shards: BTreeMap<ShardId, Vec<PartitionId>> = BTreeMap::new();
        for partition in partitions {
            shards.entry(shard_of(partition, self.parts.followers.count())).or_default().push(partition);
        }
        let mut plan = Plan::default();
        for (shard, partitions) in shards {
            for (index, some) in (0..).zip(partitions.chunks(PER_ENTRY)) {
                let entry = Entry::TxnEnd(TxnEnd { marker, at, partitions: some.to_vec() });
                plan.mutations.push(shard_log::append(shard, index, entry.encode()));
            }
            plan.mutations.push(shard_tick::tick(shard));
            plan.shards.push(shard);
        }
        plan
    }
}

/// The partitions of a producer's open transaction.
pub(super) async fn partitions(
    snapshot: &dyn Snapshot,
    producer: i64,
) -> Result<Vec<PartitionId>, TransactionError> {
    let entries = read_all(snapshot, &txn_partition::of(producer), limits::COMMIT_BYTES).await?;
    let all = entries.iter().map(|(key, _)| txn_partition::parse(key)).collect::<Option<Vec<_>>>();
    all.ok_or_else(|| TransactionError::Corrupt("a partition's key".into()))
}

/// Commits or drops what a transaction has pending in a group.
async fn offsets(
    snapshot: &dyn Snapshot,
    group: &str,
    marker: EndMarker,
    plan: &mut Plan,
) -> Result<(), TransactionError> {
    let pending = group_pending::of_producer(group, marker.producer_id);
    if marker.commit || bugs::on(Bug::AbortCommitsOffsets) {
        for (key, value) in read_all(snapshot, &pending, limits::COMMIT_BYTES).await? {
            let partition = group_pending::parse(&key);
            let partition = partition.ok_or_else(|| TransactionError::Corrupt("an offset's key".into()))?;
            plan.mutations.push(Mutation::Set { key: group_offset::key(group, partition), value });
        }
    }
    plan.mutations.push(Mutation::ClearRange { range: pending.clone() });
    plan.reads.push(pending);
    Ok(())
}
