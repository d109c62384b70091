//! Keys and beginnings of ranges that are asked for together: the statement, and what its rows say. Pure.

use bytes::Bytes;
use tokio_postgres::Row;

use super::reads::{corrupt, version};
use crate::{Entry, KeyRange, Page, StoreError, Version};

/// Entries of a range: so few that many ranges can be asked for in one statement, though each value may have 100,000 bytes.
pub(super) const FIRST_ENTRIES: usize = 8;

/// For each place the value of the key `$1`, or, where `$2` is not null, the first entries of the range from `$1` to `$2`, at most `$4`: as of version `$3`.
/// At least one row for each.
pub(super) const TOGETHER: &str = "SELECT m.horizon, EXISTS (SELECT FROM siltstone_long), r.key, r.value, asked.place \
     FROM siltstone_meta m CROSS JOIN unnest($1::bytea[], $2::bytea[], $3::bigint[]) \
     WITH ORDINALITY AS asked (first, after, version, place) LEFT JOIN LATERAL (\
     (SELECT e.key, e.value FROM siltstone_entry e WHERE asked.after IS NULL AND e.key = asked.first \
     AND e.version <= asked.version ORDER BY e.version DESC LIMIT 1) UNION ALL \
     (SELECT key, value FROM (SELECT DISTINCT ON (key) key, value FROM siltstone_entry \
     WHERE key >= asked.first AND key < asked.after AND version <= asked.version ORDER BY key, version DESC) latest \
     WHERE value IS NOT NULL LIMIT $4)) r ON true";

/// A question, about what the index takes.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) first: Bytes,
    /// `None`: about the key alone.
    pub(super) after: Option<Bytes>,
    pub(super) version: i64,
    /// Most entries that are wanted.
    pub(super) most: usize,
}

impl Asked {
    pub(super) fn key(key: &[u8], version: i64) -> Self {
        Asked { first: Bytes::copy_from_slice(key), after: None, version, most: 1 }
    }

    /// The first entries of a range, at most so many and never more than [`FIRST_ENTRIES`].
    pub(super) fn range(range: &KeyRange, version: i64, most: usize) -> Self {
        let (first, after) = (range.begin.clone(), Some(range.end.clone()));
        Asked { first, after, version, most: most.min(FIRST_ENTRIES) }
    }
}

/// An answer.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub(super) horizon: Version,
    /// Whether there are keys that the index does not take.
    pub(super) any_long: bool,
    /// In key order.
    pub(super) page: Page,
}

/// What the rows say of each that was asked for.
pub(super) fn found(rows: &[Row], asked: &[Asked]) -> Result<Vec<Found>, StoreError> {
    let mut by_place: Vec<Vec<Entry>> = vec![Vec::new(); asked.len()];
    for row in rows {
        let place = row.try_get::<_, i64>(4).ok().and_then(|place| usize::try_from(place - 1).ok());
        let entries = place.and_then(|place| by_place.get_mut(place));
        let entries = entries.ok_or_else(|| corrupt("a place is no number"))?;
        let entry = (row.try_get::<_, Option<&[u8]>>(2), row.try_get::<_, Option<&[u8]>>(3));
        match entry {
            (Ok(Some(key)), Ok(Some(value))) => {
                entries.push((Bytes::copy_from_slice(key), Bytes::copy_from_slice(value)));
            }
            // Nothing, or a key that was cleared.
            (Ok(_), Ok(None)) => {}
            _ => return Err(corrupt("an entry is not bytes")),
        }
    }
    let (horizon, any_long) = (version(rows, 0)?, super::ranges::any_long(rows));
    let one = |(mut entries, asked): (Vec<Entry>, &Asked)| {
        // As they come they are in order; the join above them does not promise it.
        entries.sort_by(|(a, _), (b, _)| a.cmp(b));
        let more = entries.len() > asked.most;
        entries.truncate(asked.most);
        Found { horizon, any_long, page: Page { entries, more } }
    };
    Ok(by_place.into_iter().zip(asked).map(one).collect())
}
