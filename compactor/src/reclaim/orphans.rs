//! Objects that a writer has stored and never published: found under the names of registrations that have ended, since none of their
//! transactions can land any more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::TryStreamExt;
use siltstone_log::{RegistrationId, SegmentId};
use siltstone_metadata::bugs::{self, Bug};
use siltstone_metadata::keys::{ended_registration, segment_row};
use siltstone_metadata::lease::Held;
use siltstone_store::{Commit, KeyRange, Mutation, Pages, RangeLimit};
use tokio::time::Instant;

use super::{ReclaimError, trash};
use crate::context::Context;
use crate::telemetry;

/// Registrations that one pass looks through.
const AT_ONCE: usize = 100;
/// How long one listing, or one deletion, is tried.
const PATIENCE: Duration = Duration::from_secs(120);

/// Looks through what ended registrations have left over: once when they have ended, and once more after the time of grace, for uploads that were still
/// under way. Returns how many objects were deleted.
///
/// # Errors
/// Of the first registration that could not be looked through; the others were, if it was the object store that refused.
pub(super) async fn look(
    cx: &Context,
    held: &Held,
    ended: &mut BTreeMap<RegistrationId, Instant>,
) -> Result<u64, ReclaimError> {
    let snapshot = cx.store.snapshot().await?;
    let limit = RangeLimit { entries: 10 * AT_ONCE, ..RangeLimit::default() };
    let page = snapshot.range(&ended_registration::all(), limit).await?;
    drop(snapshot);
    let all: BTreeSet<_> =
        page.entries.iter().filter_map(|(key, _)| ended_registration::parse(key)).collect();
    ended.retain(|id, _| all.contains(id));
    let due = |id: &RegistrationId| ended.get(id).is_none_or(|at| at.elapsed() >= cx.settings.grace);
    let due: Vec<_> = all.iter().copied().filter(due).take(AT_ONCE).collect();
    let (mut deleted, mut failed) = (0, None);
    for id in due {
        match delete(cx, id).await {
            Ok(count) => deleted += count,
            // One whose objects can't be listed or deleted keeps nobody else's from it.
            Err(error @ (ReclaimError::List(_) | ReclaimError::Delete(_))) => {
                failed.get_or_insert(error);
                continue;
            }
            Err(error) => return Err(error),
        }
        if ended.remove(&id).is_none() {
            ended.insert(id, Instant::now());
            continue;
        }
        let snapshot = cx.store.snapshot().await?;
        let (read_version, reads) = (Some(snapshot.version()), held.reads());
        let mutations = vec![Mutation::Clear { key: ended_registration::key(id) }];
        cx.store.commit(Commit { read_version, reads, mutations, ..Commit::default() }).await?;
    }
    failed.map_or(Ok(deleted), Err)
}

/// The segment that an object's name says it is.
fn parse(name: &str, registration: RegistrationId) -> Option<SegmentId> {
    let number = name.rsplit('/').next()?;
    let id = SegmentId { registration, number: u64::from_str_radix(number, 16).ok()? };
    (id.object_name() == name).then_some(id)
}

async fn delete(cx: &Context, registration: RegistrationId) -> Result<u64, ReclaimError> {
    let mut pages = cx.objects.list(&registration.object_prefix(), Instant::now() + PATIENCE);
    let mut deleted = 0;
    while let Some(page) = pages.try_next().await? {
        let listed: Vec<SegmentId> =
            page.iter().filter_map(|object| parse(&object.name, registration)).collect();
        // Behind the listing: whatever was published is in a row by now, or in the trash.
        let known = known(cx, &listed).await?;
        let left: Vec<String> = listed
            .iter()
            .filter(|id| !known.contains(id) || bugs::on(Bug::OrphansUnchecked))
            .map(SegmentId::object_name)
            .collect();
        if left.is_empty() {
            continue;
        }
        deleted += left.len() as u64;
        telemetry::reclaimed("orphans", left.len() as u64);
        cx.limiter.request(0).await;
        cx.objects.delete(left, Instant::now() + PATIENCE).await?;
    }
    Ok(deleted)
}

/// Those that have a row, and all that are trash. Rows first: what becomes trash meanwhile is seen there.
async fn known(cx: &Context, listed: &[SegmentId]) -> Result<BTreeSet<SegmentId>, ReclaimError> {
    let mut known = BTreeSet::new();
    let (Some(first), Some(last)) = (listed.iter().min(), listed.iter().max()) else { return Ok(known) };
    // No more than lies between them: a long life wrote many.
    let end = KeyRange::key(segment_row::key(*last)).end;
    let rows = KeyRange { begin: segment_row::key(*first), end };
    let mut pages = Pages::of(rows);
    while let Some(page) = pages.next_fresh(cx.store.as_ref()).await? {
        known.extend(page.iter().filter_map(|(key, _)| segment_row::parse(key)));
    }
    known.extend(trash::all(cx.store.as_ref()).await?.into_keys());
    Ok(known)
}
