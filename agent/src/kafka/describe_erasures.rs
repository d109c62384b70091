//! DescribeErasures, version 0: our own. All erasures in short, or one with its receipt, whose objects come in pages.

use siltstone_kafka::ErrorCode;
use siltstone_kafka::describe_erasures::{Request, Response, response};
use siltstone_log::{ErasedObject, ErasureId, ErasureRow, SegmentId};
use siltstone_metadata::erase::{self, EraseError};
use siltstone_metadata::keys::erasure;
use siltstone_store::{KeyRange, Pages, RangeLimit, Snapshot, read_all};

use super::context::Context;
use super::refused::Refused;

/// Objects of one page.
const PAGE: usize = 500;
/// Objects that are told in place of one, at most: the first of them.
const REPLACEMENTS: usize = 20;
/// Bytes of what is known of all partitions: some 40 each.
const PARTITIONS_BYTES: usize = 64 << 20;
/// What stands for no time.
const NEVER: i64 = -1;

pub(super) async fn handle(cx: &Context, _version: i16, request: Request) -> Response {
    match described(cx, &request).await {
        Ok((erasures, next)) => Response { erasures, next, ..Response::default() },
        Err(refused) => {
            let error_message = Some(refused.message);
            Response { error_code: refused.code.code(), error_message, ..Response::default() }
        }
    }
}

async fn described(
    cx: &Context,
    request: &Request,
) -> Result<(Vec<response::Erasure>, Option<String>), Refused> {
    let snapshot = cx.engine().store().snapshot().await.map_err(EraseError::from)?;
    let snapshot = snapshot.as_ref();
    if request.erasure_id.is_nil() {
        let mut all = Vec::new();
        for (id, row) in erase::list(snapshot).await? {
            all.push(in_short(snapshot, id, &row).await?);
        }
        all.sort_by_key(|erasure| erasure.requested_at);
        return Ok((all, None));
    }
    let id = ErasureId(request.erasure_id.as_u128());
    let row = erase::row(snapshot, id).await?;
    let mut erasure = in_short(snapshot, id, &row).await?;
    let mut range = erasure::objects(id);
    match &request.after {
        None => erasure.partitions = partitions(snapshot, id).await?,
        Some(after) => range.begin = KeyRange::key(erasure::object(id, parse(after)?)).end,
    }
    let (objects, next) = objects(snapshot, id, range).await?;
    erasure.objects = objects;
    Ok((vec![erasure], next.map(|segment| format!("{segment}"))))
}

/// What [`SegmentId`] shows as: the registration and the number, hexadecimal.
fn parse(text: &str) -> Result<SegmentId, Refused> {
    let parsed = text.split_once('/').and_then(|(registration, number)| {
        let registration = siltstone_log::RegistrationId(u128::from_str_radix(registration, 16).ok()?);
        Some(SegmentId { registration, number: u64::from_str_radix(number, 16).ok()? })
    });
    let message = || format!("{text:?} is no place in a list of objects.");
    parsed.ok_or_else(|| Refused::new(ErrorCode::InvalidRequest, message()))
}

async fn in_short(
    snapshot: &dyn Snapshot,
    id: ErasureId,
    row: &ErasureRow,
) -> Result<response::Erasure, EraseError> {
    let (mut found, mut deleted) = (0, 0);
    let mut pages = Pages::of(erasure::objects(id));
    while let Some(page) = pages.next(snapshot).await? {
        for (_, value) in &page {
            found += 1;
            deleted += i64::from(ErasedObject::decode(value)?.deleted.is_some());
        }
    }
    Ok(response::Erasure {
        erasure_id: id.uuid(),
        topic: row.name.clone(),
        topic_id: row.topic.uuid(),
        keys: i32::try_from(row.named).unwrap_or(i32::MAX),
        requested_at: row.requested,
        invisible_at: row.invisible.unwrap_or(NEVER),
        scanned_at: row.scanned.unwrap_or(NEVER),
        completed_at: row.completed.unwrap_or(NEVER),
        topic_deleted: row.topic_deleted,
        objects_found: found,
        objects_deleted: deleted,
        ..response::Erasure::default()
    })
}

/// Partitions that had records at the request, and how many of them are gone.
async fn partitions(snapshot: &dyn Snapshot, id: ErasureId) -> Result<Vec<response::Partition>, EraseError> {
    let counts = read_all(snapshot, &erasure::counts(id), PARTITIONS_BYTES).await?;
    let counts: std::collections::BTreeMap<u32, u64> =
        counts.iter().filter_map(|(key, value)| erasure::parse_count(key, value)).collect();
    let uptos = read_all(snapshot, &erasure::uptos(id), PARTITIONS_BYTES).await?;
    let uptos = uptos.iter().filter_map(|(key, value)| erasure::parse_upto(key, value));
    let partition = |(index, upto): (u32, i64)| response::Partition {
        partition_index: index as i32,
        upto,
        records: counts.get(&index).copied().unwrap_or(0) as i64,
    };
    Ok(uptos.map(partition).collect())
}

/// A page of objects; and the last one, if there are more.
async fn objects(
    snapshot: &dyn Snapshot,
    id: ErasureId,
    range: KeyRange,
) -> Result<(Vec<response::Object>, Option<SegmentId>), EraseError> {
    let page = snapshot.range(&range, RangeLimit { entries: PAGE, ..RangeLimit::default() }).await?;
    let mut objects = Vec::with_capacity(page.entries.len());
    let mut last = None;
    for (key, value) in &page.entries {
        let Some(segment) = erasure::parse_object(key) else { continue };
        let ErasedObject { inline, length, records, found, deleted, .. } = ErasedObject::decode(value)?;
        let (replaced_by, replaced_at) = replacements(snapshot, id, segment).await?;
        objects.push(response::Object {
            name: segment.object_name(),
            inline,
            bytes: length as i64,
            records: records as i64,
            found_at: found,
            replaced_at,
            deleted_at: deleted.unwrap_or(NEVER),
            replaced_by,
        });
        last = Some(segment);
    }
    Ok((objects, last.filter(|_| page.more)))
}

/// What took an object's place, and when the last of it did.
async fn replacements(
    snapshot: &dyn Snapshot,
    id: ErasureId,
    old: SegmentId,
) -> Result<(Vec<String>, i64), EraseError> {
    let limit = RangeLimit { entries: REPLACEMENTS, ..RangeLimit::default() };
    let page = snapshot.range(&erasure::replacements(id, old), limit).await?;
    let new = page.entries.iter().filter_map(|(key, value)| erasure::parse_replaced(key, value));
    let new: Vec<(SegmentId, i64)> = new.collect();
    let at = new.iter().map(|(_, at)| *at).max().unwrap_or(NEVER);
    Ok((new.iter().map(|(segment, _)| segment.object_name()).collect(), at))
}
