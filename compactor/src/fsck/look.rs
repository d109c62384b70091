//! One look at everything: what its steps hand on to each other.

use std::collections::BTreeMap;
use std::sync::Arc;

use siltstone_log::{SegmentId, SegmentPlace, ShardId};
use siltstone_metadata::catalog::{Catalog, CatalogState};
use tokio::task::JoinSet;

use super::finding::{Finding, Kind, Place};
use super::report::Checked;
use super::{FsckError, Watcher};
use crate::context::Context;

/// Findings that one look keeps; what is beyond is counted only.
pub(super) const MOST: usize = 100_000;

/// Each takes some seconds.
const CATALOG_TRIES: usize = 3;

/// What is needed of a segment.
#[derive(Debug, Clone)]
pub(super) struct Need {
    pub(super) inline: bool,
    pub(super) length: u64,
    /// Extents, and batches of log entries, that lie in it.
    pub(super) claims: u64,
    /// Shards that refer to it.
    pub(super) shards: Vec<ShardId>,
    /// Its object, or its parts, were seen.
    pub(super) seen: bool,
}

/// The state of a look.
pub(super) struct Look<'a> {
    pub(super) cx: &'a Context,
    pub(super) watcher: &'a dyn Watcher,
    pub(super) catalog: Arc<CatalogState>,
    /// Segments that something refers to.
    pub(super) needs: BTreeMap<SegmentId, Need>,
    /// Segments that have a row or are trash; whether they are inline.
    pub(super) known: BTreeMap<SegmentId, bool>,
    /// Segments that can't be read for a reason that is told of.
    pub(super) bad: BTreeMap<SegmentId, (Kind, String)>,
    pub(super) checked: Checked,
    found: Vec<Finding>,
}

impl<'a> Look<'a> {
    pub(super) async fn new(cx: &'a Context, watcher: &'a dyn Watcher) -> Result<Self, FsckError> {
        let catalog = Catalog::new(cx.store.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(catalog.clone().run());
        let mut catalog_tries = 0;
        let catalog = loop {
            match catalog.fresh().await {
                Ok(catalog) => break catalog,
                Err(error) if catalog_tries >= CATALOG_TRIES => return Err(error.into()),
                Err(_) => catalog_tries += 1,
            }
        };
        Ok(Look {
            cx,
            watcher,
            catalog,
            needs: BTreeMap::new(),
            known: BTreeMap::new(),
            bad: BTreeMap::new(),
            checked: Checked::default(),
            found: Vec::new(),
        })
    }

    /// All but what lies in segments.
    pub(super) async fn fast(&mut self) -> Result<(), FsckError> {
        self.watcher.begin("shards", Some(u64::from(self.cx.shards)));
        for shard in (0..self.cx.shards).map(ShardId) {
            self.shard(shard).await?;
            self.watcher.advance(1);
        }
        self.segments().await?;
        self.erasures().await?;
        self.bucket().await?;
        self.locate().await
    }

    pub(super) fn end(self) -> (Vec<Finding>, Checked) {
        (self.found, self.checked)
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        if self.found.len() < MOST {
            self.found.push(finding);
        } else {
            self.checked.untold += 1;
        }
    }

    pub(super) fn tell_all(&mut self, findings: Vec<Finding>) {
        findings.into_iter().for_each(|finding| self.tell(finding));
    }

    /// Notes that a shard needs a segment.
    pub(super) fn need(&mut self, shard: ShardId, segment: &SegmentPlace, claims: u64) {
        let SegmentPlace { id, inline, length } = *segment;
        let new = || Need { inline, length, claims: 0, shards: Vec::new(), seen: false };
        let need = self.needs.entry(id).or_insert_with(new);
        need.claims += claims;
        if need.shards.last() != Some(&shard) {
            need.shards.push(shard);
        }
        if (need.inline, need.length) != (inline, length) {
            let what = format!("extents differ about it: {} or {length} bytes", need.length);
            let place = Place { shard: Some(shard), ..Place::segment(id) };
            self.tell(Finding::new(Kind::Disagrees, place, what));
        }
    }
}
