//! The sweeper: ends transactions that take too long, and forgets transactional ids that nobody uses. One agent at a time does it, under a lease.
//!
//! How long a transaction has been ongoing the sweeper judges by its own monotonic clock, from when it first saw it: wall clocks jump and differ. Who takes the lease
//! over begins anew. Whether a transactional id is unused only the wall clock can tell, since that takes days: so it is forgotten at the second look
//! that finds it unchanged and old.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use siltstone_configs::BrokerConfig;
use siltstone_log::{RegistrationId, TxnRow};
use siltstone_metadata::keys::lease::Task;
use siltstone_metadata::keys::txn;
use siltstone_metadata::lease::{Held, TaskLease};
use siltstone_metadata::transaction::{Decision, Refusal, Watch, abort_timed_out, is_expired};
use siltstone_store::{Commit, KeyRange, Mutation};
use tokio::time::Instant;

use super::describe::Pages;
use super::{Plan, TransactionError, Transactions, row};

/// Transactional ids that one look finds old, at most; the next one finds more.
const MOST_OLD: usize = 100_000;

/// Sweeps for as long as its agent lives.
#[derive(Debug)]
pub(crate) struct Sweeper {
    transactions: Arc<Transactions>,
    lease: TaskLease,
    /// A holder shows that it lives several times in this time.
    beat_every: Duration,
    started: Instant,
    watch: Watch,
    /// What the last look for unused ids has found, with the time at which each was last written.
    old: BTreeMap<String, i64>,
    last_abort: Option<Instant>,
    last_expiry: Option<Instant>,
}

impl Sweeper {
    /// For the agent registered as `own`; `lease`: how long a silent holder keeps the task.
    pub(crate) fn new(transactions: Arc<Transactions>, own: RegistrationId, lease: Duration) -> Self {
        let store = transactions.parts.store.clone();
        Sweeper {
            transactions,
            lease: TaskLease::new(store, Task::Transactions, own, lease),
            beat_every: lease / 3,
            started: Instant::now(),
            watch: Watch::default(),
            old: BTreeMap::new(),
            last_abort: None,
            last_expiry: None,
        }
    }

    /// Makes rounds for as long as there are configs.
    pub(crate) async fn run(mut self, config: impl Fn() -> Option<Arc<BrokerConfig>> + Send) {
        while let Some(now) = config() {
            let pause = Duration::from_millis(now.transactions.abort_check_interval_ms)
                .min(Duration::from_millis(now.transactions.expiry_check_interval_ms));
            tokio::time::sleep(pause.min(self.beat_every)).await;
            let Some(now) = config() else { return };
            if let Err(error) = self.round(&now).await {
                tracing::warn!(%error, "not all transactions were looked at: later");
            }
        }
    }

    /// Does what is due, if this agent holds the lease.
    pub(crate) async fn round(&mut self, config: &BrokerConfig) -> Result<(), TransactionError> {
        let Some(held) = self.lease.acquire().await? else {
            self.watch.clear();
            self.old.clear();
            return Ok(());
        };
        self.beat(&held).await?;
        let settings = &config.transactions;
        if is_due(self.last_abort, settings.abort_check_interval_ms) {
            self.abort_timed_out(&held).await?;
            self.last_abort = Some(Instant::now());
        }
        if is_due(self.last_expiry, settings.expiry_check_interval_ms) {
            self.expire(&held, settings.transactional_id_expiration_ms).await?;
            self.last_expiry = Some(Instant::now());
        }
        Ok(())
    }

    async fn beat(&self, held: &Held) -> Result<(), TransactionError> {
        let transactions = &self.transactions;
        let snapshot = transactions.parts.store.snapshot().await?;
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: held.reads(),
            mutations: vec![held.beat()],
            ..Commit::default()
        };
        let done = transactions.parts.store.commit(commit).await;
        done.map(|_| ()).map_err(|error| TransactionError::Unavailable(error.to_string()))
    }

    async fn abort_timed_out(&mut self, held: &Held) -> Result<(), TransactionError> {
        let transactions = self.transactions.clone();
        let mut pages = Pages::new();
        let mut over = Vec::new();
        loop {
            let Some(rows) = transactions.page(&pages).await? else { break };
            let now = self.started.elapsed();
            for (id, row) in pages.turn(rows) {
                if self.watch.observe(&id, &row, now) {
                    over.push((id, row));
                }
            }
        }
        self.watch.end_round();
        for (id, seen) in over {
            match transactions.patiently(|| transactions.try_abort(held, &id, &seen)).await {
                Ok(true) => {
                    metrics::counter!("siltstone_transactions_timed_out_total").increment(1);
                    tracing::info!(id, "a transaction took too long and was aborted");
                }
                Ok(false) => {}
                Err(error) => tracing::warn!(id, %error, "a transaction that took too long is still open"),
            }
        }
        Ok(())
    }

    async fn expire(&mut self, held: &Held, retention_ms: u64) -> Result<(), TransactionError> {
        let transactions = self.transactions.clone();
        let now = transactions.wall();
        let mut pages = Pages::new();
        let mut old = BTreeMap::new();
        loop {
            let Some(rows) = transactions.page(&pages).await? else { break };
            for (id, row) in pages.turn(rows) {
                if old.len() < MOST_OLD && is_expired(&row, retention_ms, now) {
                    old.insert(id, row.updated);
                }
            }
        }
        let before = std::mem::replace(&mut self.old, old.clone());
        for (id, updated) in old {
            if before.get(&id) == Some(&updated) {
                transactions.patiently(|| transactions.try_forget(held, &id, updated)).await?;
                self.old.remove(&id);
            }
        }
        Ok(())
    }
}

fn is_due(last: Option<Instant>, every_ms: u64) -> bool {
    last.is_none_or(|last| last.elapsed() >= Duration::from_millis(every_ms))
}

impl Transactions {
    /// Aborts a transaction if it still is the one that was seen. Whether it was aborted.
    async fn try_abort(&self, held: &Held, id: &str, seen: &TxnRow) -> Result<bool, TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?;
        let Some(found) = found.filter(|found| found == seen) else { return Ok(false) };
        if !held.holds(snapshot.as_ref()).await? {
            return Ok(false);
        }
        let now = self.wall();
        let rule = |fresh| match abort_timed_out(&found, fresh, now) {
            None => Err(Refusal::NotOngoing),
            Some(decision) => Ok::<Decision<_>, Refusal>(decision),
        };
        let ended = self.decide(rule).await?;
        let mut plan = Plan::of_row(id, &ended.row);
        plan.reads.push(KeyRange::key(txn::key(id)));
        plan.reads.extend(held.reads());
        let plan = plan.with(self.ending(snapshot.as_ref(), ended.marker, now).await?);
        self.commit(snapshot.as_ref(), plan).await?;
        Ok(true)
    }

    /// Forgets a transactional id unless it has been used since.
    async fn try_forget(&self, held: &Held, id: &str, updated: i64) -> Result<(), TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?;
        if found.is_none_or(|found| found.updated != updated) || !held.holds(snapshot.as_ref()).await? {
            return Ok(());
        }
        let mut reads = held.reads();
        reads.push(KeyRange::key(txn::key(id)));
        let mutations = vec![Mutation::Clear { key: txn::key(id) }];
        self.commit(snapshot.as_ref(), Plan { reads, mutations, ..Plan::default() }).await
    }
}
