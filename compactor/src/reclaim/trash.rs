//! Deleting what has been trash for long enough.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use siltstone_log::SegmentId;
use siltstone_metadata::keys::{inline_segment, parts, segment_trash};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, Entry, Mutation, Pages, RangeLimit, Store, StoreError, Version};
use tokio::time::Instant;

use super::ReclaimError;
use crate::context::Context;
use crate::telemetry;

/// Segments that are deleted together. Where each takes a request of its own all must be done before the lease looks silent.
const AT_ONCE: usize = 100;
/// How long their deletion is tried.
const PATIENCE: Duration = Duration::from_secs(60);

/// All trash: whether a segment is inline, and its length, if that can be read. What is trash from before the call until its end is among it.
pub(crate) async fn all(store: &dyn Store) -> Result<BTreeMap<SegmentId, Option<(bool, u64)>>, StoreError> {
    let mut all = BTreeMap::new();
    let mut pages = Pages::of(segment_trash::all());
    while let Some(page) = pages.next_fresh(store).await? {
        let parsed =
            |(key, value): &Entry| Some((segment_trash::parse(key)?.1, segment_trash::decode(value)));
        all.extend(page.iter().filter_map(parsed));
    }
    Ok(all)
}

/// Deletes what became trash at `version` or before. Returns how many segments.
pub(super) async fn empty(cx: &Context, held: &Held, version: Version) -> Result<u64, ReclaimError> {
    let mut deleted = 0;
    loop {
        let snapshot = cx.store.snapshot().await?;
        let limit = RangeLimit { entries: AT_ONCE, ..RangeLimit::default() };
        let page = snapshot.range(&segment_trash::all(), limit).await?;
        let due: Vec<(Bytes, Bytes)> = page
            .entries
            .into_iter()
            .take_while(|(key, _)| {
                segment_trash::parse(key).is_none_or(|(stamp, _)| stamp.version() <= version)
            })
            .collect();
        if due.is_empty() {
            return Ok(deleted);
        }
        let mut names = Vec::new();
        let mut mutations = vec![held.beat()];
        for (key, value) in &due {
            let inline = segment_trash::decode(value).is_some_and(|(inline, _)| inline);
            match segment_trash::parse(key) {
                Some((_, id)) if inline => {
                    let range = parts::range(&inline_segment::prefix(id));
                    mutations.push(Mutation::ClearRange { range });
                }
                Some((_, id)) => names.push(id.object_name()),
                None => {}
            }
            mutations.push(Mutation::Clear { key: key.clone() });
        }
        // First the objects: what is trash no longer must not be there.
        if !names.is_empty() {
            cx.limiter.request(0).await;
            cx.objects.delete(names, Instant::now() + PATIENCE).await?;
        }
        // Deleting may take longer than a version can be committed at: by the one from before it nothing would ever be cleared.
        let snapshot = cx.store.snapshot().await?;
        if !held.holds(snapshot.as_ref()).await? {
            return Err(ReclaimError::LeaseLost);
        }
        let commit = Commit {
            read_version: Some(snapshot.version()),
            reads: held.reads(),
            mutations,
            ..Commit::default()
        };
        cx.store.commit(commit).await?;
        deleted += due.len() as u64;
        telemetry::reclaimed("deleted", due.len() as u64);
    }
}
