//! Repairing what can be repaired without any risk to a record.
//!
//! Nothing is deleted here that a reader, or a row, could still refer to: counts are cleared, so that the checkpointer counts anew; objects that
//! are left over are handed to reclaim, which looks them through by its own rules and after its own time of grace; inline segments go
//! in a transaction that sees that they have no row and no living writer.

use std::collections::BTreeSet;

use bytes::Bytes;
use siltstone_log::{RegistrationId, SegmentId, ShardId};
use siltstone_metadata::keys::{
    ended_registration, inline_segment, parts, registration, segment_row, shard_counted,
};
use siltstone_store::{Commit, CommitError, KeyRange, Mutation};

use super::FsckError;
use super::finding::{Finding, Fix};
use super::report::Report;
use crate::context::Context;

/// What was repaired.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Repaired {
    /// A shard's uses of segments will be counted anew.
    Recount(ShardId),
    /// The objects of a writer will be looked through.
    LookThrough(RegistrationId),
    /// An inline segment is gone.
    Cleared(SegmentId),
    /// Something stood in the way; the text says what.
    NotDone(String),
}

/// Repairs what a report lists, as far as that is safe. Each is one transaction, so that what is done stays done.
///
/// # Errors
/// If the store does not answer. Repairing again is harmless.
pub async fn repair(cx: &Context, report: &Report) -> Result<Vec<Repaired>, FsckError> {
    let with = |fix: Fix| report.findings.iter().filter(move |finding| finding.kind.fix() == Some(fix));
    let segment = |finding: &Finding| finding.place.segment;
    let shards: BTreeSet<ShardId> = with(Fix::Recount).filter_map(|finding| finding.place.shard).collect();
    let objects: BTreeSet<SegmentId> = with(Fix::LookThrough).filter_map(segment).collect();
    let writers: BTreeSet<RegistrationId> = objects.iter().map(|id| id.registration).collect();
    let inline: BTreeSet<SegmentId> = with(Fix::Clear).filter_map(segment).collect();
    let mut done = Vec::new();
    for shard in shards {
        done.push(recount(cx, shard).await?);
    }
    for writer in writers {
        done.push(look_through(cx, writer).await?);
    }
    for segment in inline {
        done.push(clear(cx, segment).await?);
    }
    Ok(done)
}

/// Sends a repair; one that met a change is left for the next time.
async fn send(cx: &Context, commit: Commit, repaired: Repaired) -> Result<Repaired, FsckError> {
    match cx.store.commit(commit).await {
        Ok(_) => Ok(repaired),
        Err(CommitError::Conflict | CommitError::TooOld) => {
            Ok(Repaired::NotDone(format!("{repaired:?}: something changed meanwhile; run fsck again")))
        }
        Err(error) => Err(error.into()),
    }
}

async fn recount(cx: &Context, shard: ShardId) -> Result<Repaired, FsckError> {
    let mutations = vec![Mutation::Clear { key: shard_counted::key(shard) }];
    send(cx, Commit { mutations, ..Commit::default() }, Repaired::Recount(shard)).await
}

async fn look_through(cx: &Context, writer: RegistrationId) -> Result<Repaired, FsckError> {
    let snapshot = cx.store.snapshot().await?;
    let key = registration::key(writer);
    if snapshot.get(&key).await?.is_some() {
        return Ok(Repaired::NotDone(format!("registration {writer:?} lives")));
    }
    let commit = Commit {
        read_version: Some(snapshot.version()),
        reads: vec![KeyRange::key(key)],
        mutations: vec![ended_registration::set(writer)],
        ..Commit::default()
    };
    send(cx, commit, Repaired::LookThrough(writer)).await
}

async fn clear(cx: &Context, segment: SegmentId) -> Result<Repaired, FsckError> {
    let snapshot = cx.store.snapshot().await?;
    let needed: [Bytes; 2] = [registration::key(segment.registration), segment_row::key(segment)];
    for key in &needed {
        if snapshot.get(key).await?.is_some() {
            return Ok(Repaired::NotDone(format!(
                "inline segment {segment}: it has a row, or its writer lives"
            )));
        }
    }
    let range = parts::range(&inline_segment::prefix(segment));
    let mut reads: Vec<KeyRange> = needed.into_iter().map(KeyRange::key).collect();
    reads.push(range.clone());
    let mutations = vec![Mutation::ClearRange { range }];
    let commit = Commit { read_version: Some(snapshot.version()), reads, mutations, ..Commit::default() };
    send(cx, commit, Repaired::Cleared(segment)).await
}
