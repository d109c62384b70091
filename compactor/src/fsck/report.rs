//! What was looked at and what was found.

use std::collections::{BTreeMap, BTreeSet};

use siltstone_log::TopicId;
use siltstone_metadata::keys::topic_id;

use super::FsckError;
use super::finding::{Finding, Kind, Severity};
use super::read::View;
use crate::context::Context;

/// How much was looked at, the first time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checked {
    /// Partitions with a row.
    pub partitions: u64,
    /// Extents in chunks.
    pub extents: u64,
    /// Entries of shard logs behind the floors.
    pub entries: u64,
    /// Rows of segments.
    pub segments: u64,
    /// Inline segments.
    pub inline: u64,
    /// Segments that wait to be deleted.
    pub trash: u64,
    /// Objects in the bucket.
    pub objects: u64,
    /// Their bytes.
    pub object_bytes: u64,
    /// Segments that were read.
    pub read_segments: u64,
    /// Bytes of blocks that were read.
    pub read_bytes: u64,
    /// Findings that are beyond what one look keeps.
    pub untold: u64,
    /// Counts and chunks of some shard were not read at one version.
    pub torn: bool,
}

/// All of it.
#[derive(Debug, Clone)]
pub struct Report {
    /// How much was looked at.
    pub checked: Checked,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
    /// Names of topics that findings are about.
    pub topics: BTreeMap<TopicId, String>,
}

impl Report {
    pub(super) async fn new(
        cx: &Context,
        mut found: Vec<Finding>,
        checked: Checked,
    ) -> Result<Report, FsckError> {
        found.sort_by(|a, b| {
            let order = |one: &Finding| (std::cmp::Reverse(one.kind.severity()), one.key());
            order(a).cmp(&order(b))
        });
        found.dedup_by(|a, b| a.key() == b.key() && a.what == b.what);
        let wanted: BTreeSet<TopicId> = found
            .iter()
            .filter_map(|finding| finding.place.partition)
            .map(|partition| partition.topic)
            .collect();
        let mut topics = BTreeMap::new();
        let mut view = View::new(cx.store.as_ref()).await?;
        for topic in wanted {
            let name = view.get(&topic_id::key(topic)).await?;
            topics.extend(name.map(|name| (topic, String::from_utf8_lossy(&name).into_owned())));
        }
        Ok(Report { checked, findings: found, topics })
    }

    /// Whether nothing is wrong.
    pub fn is_clean(&self) -> bool {
        self.findings.iter().all(|finding| finding.kind.severity() == Severity::Note)
            && self.checked.untold == 0
    }

    /// How many findings there are of each kind.
    pub fn kinds(&self) -> BTreeMap<Kind, usize> {
        let mut kinds = BTreeMap::new();
        self.findings.iter().for_each(|finding| *kinds.entry(finding.kind).or_default() += 1);
        kinds
    }
}
