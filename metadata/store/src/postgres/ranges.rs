//! Reading ranges: the statements, and what their rows say. Pure.

use std::cmp::Ordering;

use bytes::Bytes;
use tokio_postgres::Row;

use super::reads::corrupt;
use crate::{Entry, Page, RangeLimit, StoreError};

/// `$1` to `$2` at `$3`, at most `$4` entries, without those before which there are `$5` bytes. Each form goes along the index and
/// stops at the limit, whatever else the table holds.
pub(super) fn statement(table: &str, reverse: bool) -> String {
    let (live, order) = match reverse {
        false => (
            format!(
                "SELECT key, value FROM (SELECT DISTINCT ON (key) key, value FROM {table} \
                 WHERE key >= $1 AND key < $2 AND version <= $3 ORDER BY key, version DESC) latest \
                 WHERE value IS NOT NULL LIMIT $4"
            ),
            "key",
        ),
        true => (
            format!(
                "SELECT key, value FROM {table} e WHERE key >= $1 AND key < $2 AND version <= $3 AND value IS NOT NULL \
                 AND NOT EXISTS (SELECT FROM {table} n WHERE n.key = e.key AND n.version > e.version AND n.version <= $3) \
                 ORDER BY key DESC LIMIT $4"
            ),
            "key DESC",
        ),
    };
    format!(
        "SELECT m.horizon, EXISTS (SELECT FROM siltstone_long), r.key, r.value, r.total FROM siltstone_meta m \
         LEFT JOIN LATERAL (SELECT key, value, total FROM (SELECT key, value, count(*) OVER () AS total, \
         sum(octet_length(key) + octet_length(value)) OVER (ORDER BY {order} ROWS UNBOUNDED PRECEDING) \
         - octet_length(key) - octet_length(value) AS before FROM ({live}) live) summed WHERE before < $5) r ON true"
    )
}

/// Whether there are keys that are too long for the index.
pub(super) fn any_long(rows: &[Row]) -> bool {
    rows.first().is_some_and(|row| row.try_get(1).unwrap_or(true))
}

pub(super) fn size((key, value): &Entry) -> usize {
    key.len() + value.len()
}

fn order(a: &Bytes, b: &Bytes, reverse: bool) -> Ordering {
    if reverse { b.cmp(a) } else { a.cmp(b) }
}

/// What one table holds. There is one row without an entry if it holds nothing.
pub(super) fn read(rows: &[Row], limit: RangeLimit) -> Result<Page, StoreError> {
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
pub(super) fn merge(pieces: Vec<Page>, limit: RangeLimit) -> Page {
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
