//! Transactions: the drivers around the rules of `metadata/transaction`.
//!
//! ```text
//! API ─▶ Transactions ─▶ snapshot: row of the transactional id ─▶ rule ─▶ one commit that reads what was read ─▶ answer
//!                           └ to end: its partitions, groups, pending offsets      └ again if anything changed meanwhile
//! ```
//!
//! Guarantees: every step is one commit, on whichever agent; the end of a transaction appends to the logs of all shards that it touched and moves its groups'
//! offsets in that commit, so that no reader ever sees part of it (S5). Nothing is kept in memory but what the sweeper has seen. A commit of
//! unknown outcome is decided about again by what the row says then: each rule knows its own work, and each commit reads and writes the row, so that of two tries
//! at most one takes effect.
//!
//! Deliberately not here: batches (the write path reads the row itself), the offsets of a transaction until they are committed (`group/offsets`), and
//! what the fold makes of an end.

mod add;
mod describe;
mod end;
mod error;
mod init;
mod markers;
mod sweep;

use std::sync::Arc;
use std::time::Duration;

use siltstone_log::{ShardId, TxnRow};
use siltstone_metadata::ambient::Ambient;
use siltstone_metadata::catalog::Catalog;
use siltstone_metadata::follow::Followers;
use siltstone_metadata::keys::{cluster, txn};
use siltstone_metadata::transaction::Decision;
use siltstone_store::{Commit, CommitError, KeyRange, Mutation, Snapshot, Store};
use tokio::time::Instant;

pub use describe::{DescribedTransaction, ListFilter, ListedTransaction};
pub use error::TransactionError;
pub use markers::AdminMarker;
pub(crate) use sweep::Sweeper;

use crate::producer_ids::ProducerIds;

/// Longest transactional id, bytes: it is a key.
pub const MAX_TRANSACTIONAL_ID: usize = 4000;
/// How long a step is tried before its client is told to ask again.
const PATIENCE: Duration = Duration::from_secs(5);
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// What transactions work with.
pub(crate) struct TransactionsParts {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) ambient: Ambient,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) followers: Followers,
    pub(crate) producer_ids: Arc<ProducerIds>,
}

/// The transactions of the cluster, as this agent deals with them.
pub struct Transactions {
    parts: TransactionsParts,
}

impl std::fmt::Debug for Transactions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transactions")
    }
}

/// A change put together from a snapshot.
#[derive(Debug, Default)]
struct Plan {
    reads: Vec<KeyRange>,
    mutations: Vec<Mutation>,
    /// Whose logs it appends to.
    shards: Vec<ShardId>,
}

impl Plan {
    /// A plan that writes a transactional id's row.
    fn of_row(id: &str, row: &TxnRow) -> Plan {
        let set = Mutation::Set { key: txn::key(id), value: row.encode().into() };
        Plan { mutations: vec![set], ..Plan::default() }
    }

    fn with(mut self, other: Plan) -> Plan {
        self.reads.extend(other.reads);
        self.mutations.extend(other.mutations);
        self.shards.extend(other.shards);
        self
    }
}

impl Transactions {
    pub(crate) fn new(parts: TransactionsParts) -> Arc<Self> {
        Arc::new(Transactions { parts })
    }

    /// Whether this can be a transactional id.
    ///
    /// # Errors
    /// [`TransactionError::InvalidId`].
    pub fn check_id(id: &str) -> Result<(), TransactionError> {
        if (1..=MAX_TRANSACTIONAL_ID).contains(&id.len()) { Ok(()) } else { Err(TransactionError::InvalidId) }
    }

    fn wall(&self) -> i64 {
        self.parts.ambient.clock.now()
    }

    /// Tries until it is done, refused, or patience is over.
    async fn patiently<T, F>(&self, mut attempt: impl FnMut() -> F) -> Result<T, TransactionError>
    where
        F: Future<Output = Result<T, TransactionError>>,
    {
        let until = Instant::now() + PATIENCE;
        let mut pause = FIRST_PAUSE;
        loop {
            let why = match attempt().await {
                Err(TransactionError::Unavailable(why)) => why,
                done => return done,
            };
            if Instant::now() >= until {
                return Err(TransactionError::Unavailable(why));
            }
            let spread = Duration::from_micros((self.parts.ambient.chance.next() % 1000) as u64);
            tokio::time::sleep(pause + spread).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Asks a rule, with a new producer id once it says that it needs one.
    async fn decide<T, E>(
        &self,
        mut rule: impl FnMut(Option<i64>) -> Result<Decision<T>, E>,
    ) -> Result<T, TransactionError>
    where
        TransactionError: From<E>,
    {
        if let Decision::Made(made) = rule(None)? {
            return Ok(made);
        }
        let fresh = self.parts.producer_ids.take().await;
        let fresh = fresh.map_err(|error| TransactionError::Unavailable(error.to_string()))?;
        match rule(Some(fresh))? {
            Decision::Made(made) => Ok(made),
            Decision::NeedsId => Err(TransactionError::Corrupt("a rule wants a second producer id".into())),
        }
    }

    /// Commits what was decided on `snapshot`. Only a known success is one; the reads must hold the row of the transactional id.
    async fn commit(&self, snapshot: &dyn Snapshot, plan: Plan) -> Result<(), TransactionError> {
        let Plan { mut reads, mutations, mut shards } = plan;
        reads.push(KeyRange::key(cluster::key()));
        let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
        let committed = self.parts.store.commit(commit).await.map_err(|error| match error {
            CommitError::TooLarge(why) => TransactionError::TooLarge(why),
            error => TransactionError::Unavailable(error.to_string()),
        })?;
        shards.dedup();
        shards.iter().for_each(|shard| self.parts.followers.shard(*shard).appended(committed.version));
        Ok(())
    }
}

/// The row of a transactional id.
async fn row(snapshot: &dyn Snapshot, id: &str) -> Result<Option<TxnRow>, TransactionError> {
    let bytes = snapshot.get(&txn::key(id)).await?;
    bytes.map(|bytes| decode(&bytes)).transpose()
}

fn decode(bytes: &[u8]) -> Result<TxnRow, TransactionError> {
    TxnRow::decode(bytes).map_err(|error| TransactionError::Corrupt(error.to_string()))
}

#[cfg(test)]
mod tests;
