//! Reading a whole range: page by page, or at once up to a cap that the caller names.

use crate::{Entry, KeyRange, RangeLimit, Snapshot, Store, StoreError};

/// Why [`read_all`] did not return a range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadAllError {
    /// A page could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The range holds more than the cap. What it was meant to hold is bounded, so this is a defect or corruption.
    #[error("a range holds more than {cap} bytes")]
    OverCap {
        /// The cap, bytes of keys and values.
        cap: usize,
    },
}

/// A range's entries page by page, in key order.
///
/// Each page is of one version. Whoever reads them by several snapshots sees what comes or goes meanwhile, or not; what stays, in any case. A page
/// that could not be read is the next one still.
#[derive(Debug, Clone)]
pub struct Pages {
    /// What has not been read; `None`: there is no more.
    rest: Option<KeyRange>,
    limit: RangeLimit,
}

impl Pages {
    /// All of a range, in pages of [`RangeLimit::default`]'s size.
    pub fn of(range: KeyRange) -> Self {
        Pages { rest: Some(range), limit: RangeLimit::default() }
    }

    /// In pages of at most so many entries.
    pub fn sized(self, entries: usize) -> Self {
        Pages { limit: RangeLimit { entries, ..self.limit }, ..self }
    }

    /// The next page, never empty; `None` behind the last one.
    ///
    /// # Errors
    /// The snapshot's. The same page can be asked for again, by another snapshot too.
    pub async fn next(&mut self, snapshot: &dyn Snapshot) -> Result<Option<Vec<Entry>>, StoreError> {
        let Some(rest) = &mut self.rest else { return Ok(None) };
        // An empty page is the end, whatever it says of more: a page holds an entry if there is one.
        let page = snapshot.range(rest, self.limit).await?;
        match page.entries.last() {
            Some((last, _)) if page.more => rest.begin = KeyRange::key(last.clone()).end,
            _ => self.rest = None,
        }
        Ok(Some(page.entries).filter(|entries| !entries.is_empty()))
    }

    /// As [`Pages::next`], by a snapshot of its own: a long range may take longer than one snapshot lasts.
    ///
    /// # Errors
    /// The store's. The same page can be asked for again.
    pub async fn next_fresh(&mut self, store: &dyn Store) -> Result<Option<Vec<Entry>>, StoreError> {
        Ok(self.next_seen(store).await?.map(|(_, page)| page))
    }

    /// As [`Pages::next_fresh`], with the snapshot that the page was read by, for what is to be read beside it.
    ///
    /// # Errors
    /// The store's. The same page can be asked for again.
    pub async fn next_seen(
        &mut self,
        store: &dyn Store,
    ) -> Result<Option<(Box<dyn Snapshot>, Vec<Entry>)>, StoreError> {
        if self.rest.is_none() {
            return Ok(None);
        }
        let snapshot = store.snapshot().await?;
        let page = self.next(snapshot.as_ref()).await?;
        Ok(page.map(|page| (snapshot, page)))
    }
}

/// All entries of `range` in key order, if keys and values together are at most `cap` bytes.
///
/// # Errors
/// [`ReadAllError`]; nothing is returned in part.
pub async fn read_all(
    snapshot: &dyn Snapshot,
    range: &KeyRange,
    cap: usize,
) -> Result<Vec<Entry>, ReadAllError> {
    let mut pages = Pages::of(range.clone());
    let (mut all, mut bytes) = (Vec::new(), 0_usize);
    while let Some(page) = pages.next(snapshot).await? {
        bytes += page.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>();
        if bytes > cap {
            return Err(ReadAllError::OverCap { cap });
        }
        all.extend(page);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::Commit;
    use crate::memory::{Faults, MemoryStore};

    /// With keys `k/0` and so on, and neighbours.
    async fn store(entries: u8) -> MemoryStore {
        let store = MemoryStore::new(1, Faults::none());
        let mut commit = Commit::blind().set("j", "before").set("l", "behind");
        for item in 0..entries {
            commit = commit.set(key(item), "x");
        }
        store.commit(commit).await.expect("the commit succeeds");
        store
    }

    fn key(item: u8) -> Bytes {
        vec![b'k', b'/', b'0' + item].into()
    }

    fn pages(entries: usize) -> Pages {
        Pages::of(KeyRange::prefix("k/")).sized(entries)
    }

    /// The items of each page.
    async fn read(store: &MemoryStore, mut pages: Pages) -> Vec<Vec<u8>> {
        let snapshot = store.snapshot().await.expect("a snapshot");
        let mut all = Vec::new();
        while let Some(page) = pages.next(snapshot.as_ref()).await.expect("a page") {
            all.push(page.iter().map(|(key, _)| key[2] - b'0').collect());
        }
        assert_eq!(pages.next(snapshot.as_ref()).await, Ok(None), "the end stays the end");
        all
    }

    #[tokio::test]
    async fn each_entry_is_in_one_page_and_no_page_is_empty() {
        let store = store(7).await;
        assert_eq!(read(&store, pages(3)).await, [vec![0, 1, 2], vec![3, 4, 5], vec![6]]);
        assert_eq!(read(&store, pages(7)).await, [[0, 1, 2, 3, 4, 5, 6]]);
        assert_eq!(read(&store, Pages::of(KeyRange::prefix("k/"))).await, [[0, 1, 2, 3, 4, 5, 6]]);
        assert_eq!(read(&store, Pages::of(KeyRange::prefix("m"))).await, Vec::<Vec<u8>>::new());
    }

    #[tokio::test]
    async fn by_a_snapshot_each_what_comes_behind_is_seen_and_nothing_twice() {
        let store = store(4).await;
        let mut pages = pages(2);
        assert_eq!(pages.next_fresh(&store).await.expect("a page").expect("entries").len(), 2);
        let change = Commit::blind().set(key(0), "y").set(key(5), "y").clear(key(2));
        store.commit(change).await.expect("the commit succeeds");
        let (snapshot, page) = pages.next_seen(&store).await.expect("a page").expect("entries");
        assert_eq!(page.iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(), [key(3), key(5)]);
        assert_eq!(snapshot.get(&key(2)).await, Ok(None), "it is the one that the page was read by");
        assert_eq!(pages.next_fresh(&store).await, Ok(None));
    }

    #[tokio::test]
    async fn what_could_not_be_read_is_the_next_page_still_and_the_end_asks_nobody() {
        let store = store(3).await;
        let mut pages = pages(2);
        pages.next_fresh(&store).await.expect("a page").expect("entries");
        store.set_faults(Faults { cut: true, ..Faults::none() });
        pages.next_fresh(&store).await.expect_err("nobody answers");
        store.set_faults(Faults::none());
        assert_eq!(pages.next_fresh(&store).await, Ok(Some(vec![(key(2), "x".into())])));
        store.set_faults(Faults { cut: true, ..Faults::none() });
        assert_eq!(pages.next_fresh(&store).await, Ok(None));
    }
}
