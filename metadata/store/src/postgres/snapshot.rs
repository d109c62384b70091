//! A snapshot: reads at one version.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;

use super::ranges::{self, merge, read, size};
use super::reads::{Query, Reads, corrupt, version};
use super::together::Asked;
use crate::{KeyRange, Page, RangeLimit, Snapshot, StoreError, Version, check};

/// Keys of more bytes are in a table of their own: an index of PostgreSQL takes no more than 2,704.
const LONGEST_INDEXED: usize = 2_000;
/// Entries asked for at once, at first; then four times as many, and so on.
const FIRST_CHUNK: usize = 256;

pub(super) struct At {
    pub(super) reads: Arc<Reads>,
    pub(super) version: Version,
}

#[async_trait]
impl Snapshot for At {
    fn version(&self) -> Version {
        self.version
    }

    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        check::read_key(key)?;
        if key.len() <= LONGEST_INDEXED {
            let found = self.reads.ask(Asked::key(key, self.number())).await?;
            self.shows(found.horizon)?;
            return Ok(found.page.entries.into_iter().next().map(|(_, value)| value));
        }
        let rows = self.reads.run(Query::GetLong, &[&key, &self.number()]).await?;
        self.check(&rows)?;
        let value = rows.first().map(|row| row.try_get::<_, Option<&[u8]>>(1)).transpose();
        let value = value.map_err(|_| corrupt("a value is not bytes"))?;
        Ok(value.flatten().map(Bytes::copy_from_slice))
    }

    async fn range(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        check::read_range(range)?;
        let mut rest = range.clone();
        let (mut page, mut bytes, mut chunk) = (Page::default(), 0, FIRST_CHUNK);
        let mut first = !limit.reverse;
        while !rest.is_empty() {
            let most = limit.entries.max(1) - page.entries.len();
            let asked = RangeLimit {
                entries: most.min(chunk),
                bytes: limit.bytes.saturating_sub(bytes).max(1),
                reverse: limit.reverse,
            };
            let piece = if std::mem::take(&mut first) {
                self.first_piece(&rest, asked).await?
            } else {
                self.piece(&rest, asked).await?
            };
            bytes += piece.entries.iter().map(size).sum::<usize>();
            page.entries.extend(piece.entries);
            page.more = piece.more;
            let full = page.entries.len() >= limit.entries.max(1) || bytes >= limit.bytes;
            let Some((last, _)) = page.entries.last().filter(|_| piece.more && !full) else { break };
            match limit.reverse {
                false => rest.begin = KeyRange::key(last.clone()).end,
                true => rest.end = last.clone(),
            }
            chunk = chunk.saturating_mul(4);
        }
        Ok(page)
    }
}

impl At {
    fn number(&self) -> i64 {
        i64::try_from(self.version.0).unwrap_or(i64::MAX)
    }

    /// Whether the rows show what this snapshot is to show.
    fn check(&self, rows: &[Row]) -> Result<(), StoreError> {
        self.shows(version(rows, 0)?)
    }

    /// Whether what was read under this horizon shows what this snapshot is to show.
    fn shows(&self, horizon: Version) -> Result<(), StoreError> {
        if horizon > self.version { Err(StoreError::TooOld) } else { Ok(()) }
    }

    /// The first few entries of a range, asked for together with other ranges.
    async fn first_piece(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        let found = self.reads.ask(Asked::range(range, self.number(), limit.entries)).await?;
        self.shows(found.horizon)?;
        self.with_long(found.any_long, found.page, range, limit).await
    }

    /// The first entries of a range, as many as one question brings.
    async fn piece(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        let rows = self.rows(false, range, limit).await?;
        self.with_long(ranges::any_long(&rows), read(&rows, limit)?, range, limit).await
    }

    /// What the index has, and what is beside it.
    async fn with_long(
        &self,
        any_long: bool,
        page: Page,
        range: &KeyRange,
        limit: RangeLimit,
    ) -> Result<Page, StoreError> {
        let mut pieces = vec![page];
        if any_long {
            pieces.push(read(&self.rows(true, range, limit).await?, limit)?);
        }
        Ok(merge(pieces, limit))
    }

    async fn rows(&self, long: bool, range: &KeyRange, limit: RangeLimit) -> Result<Vec<Row>, StoreError> {
        // One more than wanted, to know whether there is more.
        let entries = i64::try_from(limit.entries).map_or(i64::MAX, |entries| entries.saturating_add(1));
        let bytes = i64::try_from(limit.bytes).unwrap_or(i64::MAX);
        let query = Query::Range { long, reverse: limit.reverse };
        let (begin, end) = (range.begin.as_ref(), range.end.as_ref());
        let rows = self.reads.run(query, &[&begin, &end, &self.number(), &entries, &bytes]).await?;
        self.check(&rows)?;
        Ok(rows)
    }
}
