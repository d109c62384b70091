//! ListTransactions and DescribeTransactions.

use siltstone_log::{PartitionId, TxnRow, TxnState};
use siltstone_metadata::keys::txn;
use siltstone_store::{KeyRange, RangeLimit};

use super::end::partitions;
use super::{TransactionError, Transactions, decode, row};

/// Which transactional ids are listed: those that pass all that is set.
#[derive(Default)]
pub struct ListFilter<'a> {
    /// In one of these states.
    pub states: Option<Vec<TxnState>>,
    /// Of one of these producer ids.
    pub producer_ids: Option<&'a [i64]>,
    /// Begun more than so many ms ago. Who has never begun one passes, as in Kafka.
    pub older_than_ms: Option<i64>,
    /// Whose id this says yes to.
    pub id: Option<&'a (dyn Fn(&str) -> bool + Sync)>,
}

impl std::fmt::Debug for ListFilter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("ListFilter")
    }
}

impl ListFilter<'_> {
    fn passes(&self, id: &str, row: &TxnRow, now: i64) -> bool {
        self.states.as_ref().is_none_or(|states| states.contains(&row.state))
            && self.producer_ids.is_none_or(|ids| ids.contains(&row.producer_id))
            && self.older_than_ms.is_none_or(|ms| now.saturating_sub(row.started) > ms)
            && self.id.is_none_or(|says| says(id))
    }
}

/// A transactional id as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTransaction {
    /// The id.
    pub id: String,
    /// Its producer id.
    pub producer_id: i64,
    /// What its last transaction is at.
    pub state: TxnState,
}

/// A transactional id with all that is known of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DescribedTransaction {
    /// Its row.
    pub row: TxnRow,
    /// The partitions of the open transaction, in the order of topic ids.
    pub partitions: Vec<PartitionId>,
}

impl Transactions {
    /// The transactional ids of the cluster that pass a filter, in their order. They are read in pages, at several moments if they are very many.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn list(&self, filter: &ListFilter<'_>) -> Result<Vec<ListedTransaction>, TransactionError> {
        let now = self.wall();
        let mut found = Vec::new();
        let mut pages = Pages::new();
        loop {
            let rows = self.patiently(|| self.page(&pages)).await?;
            let Some(rows) = rows else { return Ok(found) };
            for (id, row) in pages.turn(rows) {
                if filter.passes(&id, &row, now) {
                    found.push(ListedTransaction { id, producer_id: row.producer_id, state: row.state });
                }
            }
        }
    }

    /// What is known of a transactional id.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn describe(&self, id: &str) -> Result<DescribedTransaction, TransactionError> {
        Transactions::check_id(id)?;
        self.patiently(|| self.try_describe(id)).await
    }

    async fn try_describe(&self, id: &str) -> Result<DescribedTransaction, TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?.ok_or(TransactionError::NotFound)?;
        let partitions = partitions(snapshot.as_ref(), found.producer_id).await?;
        Ok(DescribedTransaction { row: found, partitions })
    }

    /// The next rows, by a snapshot of their own; `None` behind the last.
    pub(super) async fn page(
        &self,
        pages: &Pages,
    ) -> Result<Option<Vec<(String, TxnRow)>>, TransactionError> {
        let Some(rest) = &pages.rest else { return Ok(None) };
        let snapshot = self.parts.store.snapshot().await?;
        let page = snapshot.range(rest, RangeLimit::default()).await?;
        let mut rows = Vec::with_capacity(page.entries.len());
        for (key, value) in &page.entries {
            if let Some(id) = txn::parse(key) {
                rows.push((id.to_owned(), decode(value)?));
            }
        }
        Ok(Some(rows))
    }
}

/// How far rows have been read.
#[derive(Debug)]
pub(super) struct Pages {
    rest: Option<KeyRange>,
}

impl Pages {
    pub(super) fn new() -> Self {
        Pages { rest: Some(txn::all()) }
    }

    /// Goes on behind these rows; there are none behind none.
    pub(super) fn turn(&mut self, rows: Vec<(String, TxnRow)>) -> Vec<(String, TxnRow)> {
        let last = rows.last().map(|(id, _)| KeyRange::key(txn::key(id)).end);
        self.rest = last.map(|begin| KeyRange { begin, end: txn::all().end });
        rows
    }
}
