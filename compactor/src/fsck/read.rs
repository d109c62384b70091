//! Reading ranges that may be long: one snapshot as long as it lasts, then the next.

use bytes::Bytes;
use siltstone_metadata::keys::parts;
use siltstone_store::{Entry, Pages, Snapshot, Store, StoreError};

/// Snapshots that one read may find too old.
const TRIES: usize = 20;

/// A view of the store. What is read through it is of one version as long as [`View::torn`] says no.
pub(super) struct View<'a> {
    store: &'a dyn Store,
    snapshot: Box<dyn Snapshot>,
    torn: bool,
}

impl<'a> View<'a> {
    pub(super) async fn new(store: &'a dyn Store) -> Result<Self, StoreError> {
        Ok(View { store, snapshot: store.snapshot().await?, torn: false })
    }

    /// Whether what was read is of more than one version.
    pub(super) fn torn(&self) -> bool {
        self.torn
    }

    /// After a read that failed: a new snapshot if the old one was too old, else the error.
    async fn renew(&mut self, error: StoreError, tries: &mut usize) -> Result<(), StoreError> {
        *tries += 1;
        if error != StoreError::TooOld || *tries > TRIES {
            return Err(error);
        }
        self.snapshot = self.store.snapshot().await?;
        self.torn = true;
        Ok(())
    }

    pub(super) async fn get(&mut self, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let mut tries = 0;
        loop {
            match self.snapshot.get(key).await {
                Ok(found) => return Ok(found),
                Err(error) => self.renew(error, &mut tries).await?,
            }
        }
    }

    /// A value that is stored in parts.
    pub(super) async fn parts(&mut self, prefix: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let mut tries = 0;
        loop {
            match parts::get(self.snapshot.as_ref(), prefix).await {
                Ok(found) => return Ok(found),
                Err(error) => self.renew(error, &mut tries).await?,
            }
        }
    }

    /// The next page of a range; `None`: that was all.
    pub(super) async fn page(&mut self, pages: &mut Pages) -> Result<Option<Vec<Entry>>, StoreError> {
        let mut tries = 0;
        loop {
            match pages.next(self.snapshot.as_ref()).await {
                Ok(page) => return Ok(page),
                Err(error) => self.renew(error, &mut tries).await?,
            }
        }
    }
}
