//! Erasures: that their rows can be read, and that what is said to be gone is gone.

use std::collections::BTreeSet;

use siltstone_log::{ErasedObject, ErasureId, ErasureRow, SegmentId};
use siltstone_metadata::keys::{erasure, segment_row};
use siltstone_store::Pages;

use super::FsckError;
use super::finding::{Finding, Kind, Place};
use super::look::Look;
use super::read::View;

impl Look<'_> {
    pub(super) async fn erasures(&mut self) -> Result<(), FsckError> {
        let mut view = View::new(self.cx.store.as_ref()).await?;
        let mut found = Vec::new();
        let mut completed = Vec::new();
        let mut pages = Pages::of(erasure::all());
        while let Some(page) = view.page(&mut pages).await? {
            for (key, value) in page {
                let Some(id) = erasure::parse(&key) else { continue };
                match ErasureRow::decode(&value) {
                    Ok(row) => completed.push((id, row.completed.is_some())),
                    Err(error) => {
                        let what = format!("erasure {id}: {error}");
                        found.push(Finding::new(Kind::Undecodable, Place::default(), what));
                    }
                }
            }
        }
        for (id, completed) in completed {
            for segment in objects(&mut view, id, completed, &mut found).await? {
                if view.get(&segment_row::key(segment)).await?.is_some() {
                    let what = format!("erasure {id} says that it is deleted, and it is in use");
                    found.push(Finding::new(Kind::Disagrees, Place::segment(segment), what));
                }
            }
        }
        self.tell_all(found);
        Ok(())
    }
}

/// Segments that an erasure says are deleted.
async fn objects(
    view: &mut View<'_>,
    id: ErasureId,
    completed: bool,
    found: &mut Vec<Finding>,
) -> Result<BTreeSet<SegmentId>, FsckError> {
    let mut deleted = BTreeSet::new();
    let mut pages = Pages::of(erasure::objects(id));
    while let Some(page) = view.page(&mut pages).await? {
        for (key, value) in page {
            let Some(segment) = erasure::parse_object(&key) else { continue };
            match ErasedObject::decode(&value) {
                Ok(object) if object.deleted.is_some() => drop(deleted.insert(segment)),
                Ok(_) if completed => {
                    let what = format!("erasure {id} is completed, and does not say that it is deleted");
                    found.push(Finding::new(Kind::Disagrees, Place::segment(segment), what));
                }
                Ok(_) => {}
                Err(error) => {
                    let what = format!("erasure {id}: {error}");
                    found.push(Finding::new(Kind::Undecodable, Place::segment(segment), what));
                }
            }
        }
    }
    Ok(deleted)
}
