//! Reading at one version.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use foundationdb::options::StreamingMode;
use foundationdb::{KeySelector, RangeOption, Transaction};

use super::{Inner, error};
use crate::{KeyRange, Page, RangeLimit, Snapshot, StoreError, Version, check};

/// The database as of a version, through a transaction that never commits.
pub(super) struct At {
    pub(super) inner: Arc<Inner>,
    pub(super) transaction: Transaction,
    pub(super) version: Version,
}

#[async_trait]
impl Snapshot for At {
    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check::read_key(key)?;
        let found = self.transaction.get(&self.inner.space.key(key), true).await.map_err(error::reading)?;
        Ok(found.map(|value| Bytes::copy_from_slice(&value)))
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        check::read_range(range)?;
        let mut page = Page::default();
        let Some((mut begin, mut end)) = self.inner.space.range(range) else { return Ok(page) };
        let most = limit.entries.max(1);
        let mut bytes = 0;
        // An answer of the database ends where it likes: it counts bytes in its own way.
        for iteration in 1.. {
            let option = RangeOption {
                limit: Some(most - page.entries.len()),
                target_bytes: limit.bytes.saturating_sub(bytes).max(1),
                mode: StreamingMode::Iterator,
                reverse: limit.reverse,
                ..RangeOption::from((
                    KeySelector::first_greater_or_equal(&begin[..]),
                    KeySelector::first_greater_or_equal(&end[..]),
                ))
            };
            let found = self.transaction.get_range(&option, iteration, true);
            let found = found.await.map_err(error::reading)?;
            for (at, entry) in found.iter().enumerate() {
                bytes += entry.key().len() - self.inner.space.len() + entry.value().len();
                page.entries
                    .push((self.inner.space.stripped(entry.key()), Bytes::copy_from_slice(entry.value())));
                if page.entries.len() == most || bytes >= limit.bytes {
                    page.more = found.more() || at + 1 < found.len();
                    return Ok(page);
                }
            }
            let Some(last) = found.last().filter(|_| found.more()) else { break };
            match limit.reverse {
                true => end = last.key().to_vec(),
                false => begin = [last.key(), &[0]].concat(),
            }
        }
        Ok(page)
    }
}
