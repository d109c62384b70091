//! Offsets that a transaction has yet to commit: what their commit reads and writes beside them.

use bytes::Bytes;
use siltstone_log::TxnRow;
use siltstone_metadata::keys::{txn, txn_group};
use siltstone_metadata::transaction::{self, Admission, admit};
use siltstone_store::{KeyRange, Mutation, Snapshot};

use super::GroupError;
use super::offsets::OffsetTransaction;

/// What a transaction adds to a commit of offsets.
pub(super) struct Joined {
    pub(super) reads: Vec<KeyRange>,
    pub(super) mutations: Vec<Mutation>,
}

/// Lets a group take part in a transaction: what the commit of its pending offsets must read and write beside them.
pub(super) async fn join(
    snapshot: &dyn Snapshot,
    group: &str,
    transaction: &OffsetTransaction,
    now: i64,
) -> Result<Joined, GroupError> {
    let OffsetTransaction { id, claim } = transaction;
    let key = txn::key(id);
    let row = snapshot.get(&key).await?;
    let row = row.map(|bytes| TxnRow::decode(&bytes)).transpose();
    let row = row.map_err(|error| GroupError::Corrupt(error.to_string()))?;
    let mut joined = Joined { reads: vec![KeyRange::key(key.clone())], mutations: Vec::new() };
    match admit(row.as_ref(), claim, now) {
        Admission::Refused(refusal) => return Err(refusal.into()),
        Admission::Ongoing => {}
        Admission::Begin(row) => {
            joined.mutations.push(Mutation::Set { key, value: row.encode().into() });
        }
    }
    let group = txn_group::key(claim.producer_id, group);
    if claim.implicit {
        joined.mutations.push(Mutation::Set { key: group, value: Bytes::new() });
    } else if snapshot.get(&group).await?.is_some() {
        joined.reads.push(KeyRange::key(group));
    } else {
        return Err(transaction::Refusal::NotAdded.into());
    }
    Ok(joined)
}
