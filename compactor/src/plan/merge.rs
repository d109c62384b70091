//! Which extents are merged.
//!
//! ```text
//! flushed ──▶ level 1 ──▶ level 2         what was flushed is merged once it is enough, or has waited long enough
//!                           │  ▲          `fan_in` segments of level 1 make segments of level 2, which stay
//!                           └──┘          small ones of level 2, of which quiet times leave some, are merged among themselves
//! ```
//!
//! So a byte is written three times: at its flush, and once for each level. A merge takes extents of all shards that the compactor holds
//! at once: each segment that was flushed is then read once, whatever lies in it.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use siltstone_log::{Extent, PartitionId, SegmentId, ShardId};

use crate::settings::MergeRules;
use crate::view::{Class, TOP_LEVEL, Views, class};

/// Extents that one merge takes, at most: what is beyond waits for the next.
const MOST_EXTENTS: usize = 200_000;
/// Extents of one batch, at most. Each may lie in a segment of its own, whose count the publishing transaction changes: 190 bytes each of the
/// 10 MB that a transaction may have.
const MOST_OF_BATCH: usize = 20_000;

/// An extent to be merged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// The shard.
    pub shard: ShardId,
    /// The partition.
    pub partition: PartitionId,
    /// Follows that of the extent before it if nothing lies between them.
    pub ordinal: u32,
    /// What it is.
    pub extent: Extent,
}

/// Why a merge is due.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    what: &'static str,
    bytes: u64,
    segments: usize,
    reason: String,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Why { what, bytes, segments, reason } = self;
        write!(f, "{what}: {bytes} bytes in {segments} segments, {reason}")
    }
}

/// A merge: each batch of inputs becomes one segment, and can be done on its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// The level of what it makes.
    pub level: u8,
    /// Ordered by shard, partition and offset, cut where a segment is full.
    pub batches: Vec<Vec<Input>>,
    /// Why it is due.
    pub why: Why,
}

/// How much there is of one class.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backlog {
    /// Stored bytes.
    pub bytes: u64,
    /// Stored bytes of inline segments among them.
    pub inline_bytes: u64,
    /// The segments in which they lie.
    pub segments: BTreeSet<SegmentId>,
    /// How many extents, ends of transactions among them.
    pub extents: usize,
}

/// How much there is of a class.
pub fn backlog(views: &Views, wanted: Class, rules: &MergeRules) -> Backlog {
    let mut sum = Backlog::default();
    for input in inputs(views, wanted, rules) {
        let extent = &input.extent;
        sum.extents += 1;
        sum.bytes += extent.stored_bytes();
        if let Some(segment) = extent.segment() {
            sum.segments.insert(segment.id);
            if segment.inline {
                sum.inline_bytes += extent.stored_bytes();
            }
        }
    }
    sum
}

fn inputs(views: &Views, wanted: Class, rules: &MergeRules) -> impl Iterator<Item = Input> {
    let partitions = views.iter().flat_map(|(shard, view)| {
        view.partitions.iter().map(move |(partition, view)| (*shard, *partition, view))
    });
    partitions.flat_map(move |(shard, partition, view)| {
        let some = view.candidates.iter().filter(move |some| class(&some.extent, rules) == wanted);
        some.map(move |some| Input { shard, partition, ordinal: some.ordinal, extent: some.extent })
    })
}

/// The merge that is due, if one is. `waited`: how long the oldest of what was flushed has been waiting.
pub fn plan(views: &Views, waited: Duration, rules: &MergeRules) -> Option<Merge> {
    flushed(views, waited, rules)
        .or_else(|| several(views, Class::Merged, "merged once", rules))
        .or_else(|| several(views, Class::Small, "merged to small segments", rules))
}

/// What there is of one class, and why it is not merged yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outlook {
    /// The class, in words.
    pub what: &'static str,
    /// How much there is of it.
    pub backlog: Backlog,
    /// Why it is due; else what it waits for.
    pub due: Result<String, String>,
}

/// How things stand with each class.
pub fn outlook(views: &Views, waited: Duration, rules: &MergeRules) -> Vec<Outlook> {
    let classes = [
        (Class::Flushed, "flushed"),
        (Class::Merged, "merged once"),
        (Class::Small, "merged to small segments"),
    ];
    let of = |(class, what)| {
        let backlog = backlog(views, class, rules);
        let due = match class {
            Class::Flushed => flushed_reason(&backlog, waited, rules).ok_or_else(|| waits(&backlog, rules)),
            _ => several_reason(&backlog, rules),
        };
        Outlook { what, backlog, due }
    };
    classes.map(of).into()
}

/// What flushed segments wait for.
fn waits(found: &Backlog, rules: &MergeRules) -> String {
    if found.extents == 0 {
        return "there is nothing".to_owned();
    }
    let segments = rules.flushed_segments.saturating_sub(found.segments.len());
    format!(
        "waits for {} bytes more, {} of them in the metadata store, or {segments} segments more, or until a compactor has known of it for {} s",
        rules.target_bytes.saturating_sub(found.bytes),
        rules.inline_bytes.saturating_sub(found.inline_bytes),
        rules.wait.as_secs()
    )
}

fn several_reason(found: &Backlog, rules: &MergeRules) -> Result<String, String> {
    match rules.fan_in.saturating_sub(found.segments.len()) {
        0 => Ok("enough of them".to_owned()),
        _ if found.extents == 0 => Err("there is nothing".to_owned()),
        more => Err(format!("waits for {more} segments more")),
    }
}

/// Why what was flushed is due, if it is.
fn flushed_reason(found: &Backlog, waited: Duration, rules: &MergeRules) -> Option<String> {
    if found.bytes >= rules.target_bytes {
        Some("enough for a segment".to_owned())
    } else if found.inline_bytes >= rules.inline_bytes {
        Some(format!("{} bytes of it in the metadata store", found.inline_bytes))
    } else if found.segments.len() >= rules.flushed_segments {
        Some("too many of them".to_owned())
    } else if found.extents > 0 && waited >= rules.wait {
        Some(format!("waiting for {} s", waited.as_secs()))
    } else {
        None
    }
}

fn flushed(views: &Views, waited: Duration, rules: &MergeRules) -> Option<Merge> {
    let found = backlog(views, Class::Flushed, rules);
    let reason = flushed_reason(&found, waited, rules)?;
    // Every partition has a little in every flushed segment. So a batch takes the same part of each partition, the oldest first: then
    // it reads few of those segments, whole, and not a little of all of them.
    let slices = (found.bytes / rules.target_bytes.max(1)).max(1);
    let mut batches = Vec::new();
    for slice in 0..slices {
        // What is not planned now is planned when this is done.
        if batches.iter().map(Vec::len).sum::<usize>() >= MOST_EXTENTS {
            break;
        }
        cut(sliced(views, rules, slice, slices), rules, &mut batches);
    }
    let why = Why { what: "flushed", bytes: found.bytes, segments: found.segments.len(), reason };
    Some(Merge { level: 1, batches, why })
}

/// One of some slices of what was flushed: the same part of each partition.
fn sliced(views: &Views, rules: &MergeRules, slice: u64, slices: u64) -> Vec<Input> {
    let mut taken = Vec::new();
    let partitions = views.iter().flat_map(|(shard, view)| {
        view.partitions.iter().map(move |(partition, view)| (*shard, *partition, view))
    });
    for (shard, partition, view) in partitions {
        let flushed = || view.candidates.iter().filter(|some| class(&some.extent, rules) == Class::Flushed);
        let count = flushed().count() as u64;
        let (from, to) = (count * slice / slices, count * (slice + 1) / slices);
        let some = flushed().skip(from as usize).take((to - from) as usize);
        taken.extend(some.map(|some| Input { shard, partition, ordinal: some.ordinal, extent: some.extent }));
    }
    taken
}

fn several(views: &Views, wanted: Class, what: &'static str, rules: &MergeRules) -> Option<Merge> {
    let found = backlog(views, wanted, rules);
    let reason = several_reason(&found, rules).ok()?;
    Some(merge(views, wanted, TOP_LEVEL, &found, what, reason, rules))
}

/// Inputs cut into batches, each of which becomes a segment of a good size.
pub fn in_batches(inputs: impl IntoIterator<Item = Input>, rules: &MergeRules) -> Vec<Vec<Input>> {
    let mut batches = Vec::new();
    cut(inputs, rules, &mut batches);
    batches
}

/// Cuts inputs where a segment is full.
fn cut(inputs: impl IntoIterator<Item = Input>, rules: &MergeRules, batches: &mut Vec<Vec<Input>>) {
    let begun = batches.len();
    let (mut batch, mut bytes) = (Vec::new(), 0);
    for input in inputs {
        bytes += input.extent.stored_bytes();
        batch.push(input);
        if bytes >= rules.target_bytes * 5 / 4 || batch.len() >= MOST_OF_BATCH {
            batches.push(std::mem::take(&mut batch));
            bytes = 0;
        }
    }
    // A small rest would be a small segment: it goes with the one before.
    let small = bytes < rules.target_bytes / 4;
    match batches[begun..].last_mut() {
        Some(last) if small && last.len() + batch.len() <= MOST_OF_BATCH => last.append(&mut batch),
        _ if batch.is_empty() => {}
        _ => batches.push(batch),
    }
}

fn merge(
    views: &Views,
    wanted: Class,
    level: u8,
    found: &Backlog,
    what: &'static str,
    reason: String,
    rules: &MergeRules,
) -> Merge {
    let mut batches = Vec::new();
    cut(inputs(views, wanted, rules).take(MOST_EXTENTS), rules, &mut batches);
    let why = Why { what, bytes: found.bytes, segments: found.segments.len(), reason };
    Merge { level, batches, why }
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
