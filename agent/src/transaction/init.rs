//! InitProducerId: a producer takes a transactional id over.

use siltstone_configs::BrokerConfig;
use siltstone_metadata::keys::txn;
use siltstone_metadata::shard::LEVEL_TRANSACTIONS;
use siltstone_metadata::transaction::{self, InitRequest};
use siltstone_store::KeyRange;

use super::{Plan, TransactionError, Transactions, row};

impl Transactions {
    /// Gives a transactional id to a producer: its producer id and epoch. What the former one left open is aborted.
    ///
    /// # Errors
    /// See [`TransactionError`].
    pub async fn init(
        &self,
        config: &BrokerConfig,
        id: &str,
        request: InitRequest,
    ) -> Result<(i64, i16), TransactionError> {
        Transactions::check_id(id)?;
        let most = config.transactions.max_timeout_ms;
        if request.timeout_ms <= 0 || u64::from(request.timeout_ms.unsigned_abs()) > most {
            return Err(TransactionError::InvalidTimeout { most });
        }
        // Below that level the fold passes over the ends of transactions.
        if self.parts.catalog.state().level() < LEVEL_TRANSACTIONS {
            return Err(TransactionError::Unsupported);
        }
        let request = &request;
        self.patiently(|| self.try_init(id, request)).await
    }

    async fn try_init(&self, id: &str, request: &InitRequest) -> Result<(i64, i16), TransactionError> {
        let snapshot = self.parts.store.snapshot().await?;
        let found = row(snapshot.as_ref(), id).await?;
        let now = self.wall();
        let made = self.decide(|fresh| transaction::init(found.as_ref(), request, fresh, now)).await?;
        let mut plan = Plan::of_row(id, &made.row);
        plan.reads.push(KeyRange::key(txn::key(id)));
        if let Some(marker) = made.aborted {
            plan = plan.with(self.ending(snapshot.as_ref(), marker, now).await?);
        }
        self.commit(snapshot.as_ref(), plan).await?;
        Ok((made.row.producer_id, made.row.epoch))
    }
}
