//! A snapshot: reads at one version.

use std::cmp::Ordering;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio_postgres::Row;

use super::reads::{Asked, Query, Reads, corrupt, version};
use crate::{Entry, KeyRange, Page, RangeLimit, Snapshot, StoreError, Version, check};

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
            let asked = Asked { key: key.to_vec(), version: self.number() };
            let (horizon, value) = self.reads.get(asked).await?;
            return self.shows(horizon).map(|()| value);
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
        while !rest.is_empty() {
            let most = limit.entries.max(1) - page.entries.len();
            let asked = RangeLimit {
                entries: most.min(chunk),
                bytes: limit.bytes.saturating_sub(bytes).max(1),
                reverse: limit.reverse,
            };
            let piece = self.piece(&rest, asked).await?;
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

    /// The first entries of a range, as many as one question brings.
    async fn piece(&self, range: &KeyRange, limit: RangeLimit) -> Result<Page, StoreError> {
        let rows = self.rows(false, range, limit).await?;
        let any_long = rows.first().is_some_and(|row| row.try_get(1).unwrap_or(true));
        let mut pieces = vec![read(&rows, limit)?];
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

fn size((key, value): &Entry) -> usize {
    key.len() + value.len()
}

fn order(a: &Bytes, b: &Bytes, reverse: bool) -> Ordering {
    if reverse { b.cmp(a) } else { a.cmp(b) }
}

/// What one table holds. There is one row without an entry if it holds nothing.
fn read(rows: &[Row], limit: RangeLimit) -> Result<Page, StoreError> {
    let mut page = Page::default();
    let mut found = 0;
    for row in rows {
        let entry = (row.try_get::<_, Option<&[u8]>>(2), row.try_get::<_, Option<&[u8]>>(3));
        match entry {
            (Ok(Some(key)), Ok(Some(value))) => {
                page.entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            }
            (Ok(None), Ok(None)) => continue,
            _ => return Err(corrupt("an entry is not bytes")),
        }
        found = row.try_get::<_, i64>(4).map_err(|_| corrupt("a count is not a number"))?;
    }
    // As they come they are in order; the join above them does not promise it.
    page.entries.sort_by(|(a, _), (b, _)| order(a, b, limit.reverse));
    page.entries.truncate(limit.entries);
    page.more = usize::try_from(found).unwrap_or(usize::MAX) > page.entries.len();
    Ok(page)
}

/// The first entries of all tables, up to the limit. Where one has more than it told, only what comes before that is known.
fn merge(pieces: Vec<Page>, limit: RangeLimit) -> Page {
    let order = |a: &Bytes, b: &Bytes| order(a, b, limit.reverse);
    let ends = pieces.iter().filter(|piece| piece.more).filter_map(|piece| piece.entries.last());
    let known = ends.map(|(key, _)| key.clone()).min_by(order);
    let mut more = known.is_some();
    let mut entries: Vec<Entry> = pieces.into_iter().flat_map(|piece| piece.entries).collect();
    entries.sort_by(|(a, _), (b, _)| order(a, b));
    if let Some(known) = known {
        entries.retain(|(key, _)| order(key, &known) != Ordering::Greater);
    }
    let mut bytes = 0;
    let full = entries.iter().position(|entry| {
        bytes += size(entry);
        bytes >= limit.bytes
    });
    let kept = full.map_or(entries.len(), |at| at + 1).min(limit.entries);
    more |= kept < entries.len();
    entries.truncate(kept);
    Page { entries, more }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(keys: &[&'static str], more: bool) -> Page {
        let entry = |key: &&'static str| (Bytes::from(*key), Bytes::from("v"));
        Page { entries: keys.iter().map(entry).collect(), more }
    }

    fn keys(page: &Page) -> Vec<&[u8]> {
        page.entries.iter().map(|(key, _)| key.as_ref()).collect()
    }

    #[test]
    fn what_one_table_has_not_told_yet_hides_what_comes_behind() {
        let limit = |entries, reverse| RangeLimit { entries, bytes: 1_000, reverse };
        let merged = merge(vec![piece(&["a", "c"], true), piece(&["b", "d"], false)], limit(9, false));
        assert_eq!((keys(&merged), merged.more), (vec![&b"a"[..], b"b", b"c"], true));
        let merged = merge(vec![piece(&["d", "b"], false), piece(&["c", "a"], false)], limit(3, true));
        assert_eq!((keys(&merged), merged.more), (vec![&b"d"[..], b"c", b"b"], true));
        let merged = merge(vec![piece(&["a"], false), piece(&[], false)], limit(1, false));
        assert_eq!((keys(&merged), merged.more), (vec![&b"a"[..]], false));
    }
}
